"""google_data_manager's function against the sandbox: many events a request, dry runs, and what comes of a sample."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from functions.agents.google_data_manager import app
from local.sandbox.google_data_manager import GoogleDataManager
from local.settings import optional_agents
from relay.agent.auth import Attempt
from relay.agent.http import Request, Response
from relay.delivery import aftermath
from relay.delivery.aftermath import Aftermath
from relay.delivery.handler import lambda_handler
from relay.event.model import Event
from relay.ledger.ledger import Ledger
from relay.ledger.samples import ASK_SECONDS, LAPSE_SECONDS, Samples
from tests.sandboxed import Vendor

URL = "https://agents.example"
SETTINGS = optional_agents(URL)["google_data_manager"]
PATH = "/session-relay/test/agents/google_data_manager"
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@dataclass
class Time:
    """A Lambda context with plenty of time."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass
class Google:
    """The sandbox as the vendor, at a clock that the test moves; `status` answers questions of a status instead."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: Response | None = None

    def __post_init__(self) -> None:
        """Begins with no requests."""
        self.vendor = Vendor(GoogleDataManager(SETTINGS), f"{URL}/google_data_manager", lambda: self.now)

    def __call__(self, request: Request) -> Response:
        """Takes one request."""
        answer = self.vendor(request)
        return self.status if self.status and "requestStatus" in request.url else answer

    def asked(self) -> int:
        """How often a status was asked."""
        return sum("requestStatus" in path for path in self.vendor.paths())


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, table: str) -> Google:
    """The function's environment, settings and queues, and its vendor."""
    sqs = boto3.client("sqs")
    for name, document in ((PATH, SETTINGS), ("/session-relay/test/apps/shop", {"keys": []})):
        boto3.client("ssm").put_parameter(Name=name, Value=json.dumps(document), Type="SecureString")
    for variable, value in {
        "SETTINGS_PARAMETER": PATH,
        "TABLE": table,
        "QUEUE_URL": sqs.create_queue(QueueName="q")["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": sqs.create_queue(QueueName="dead")["QueueUrl"],
        "RETRY_SCHEDULE": "5,30",
        "RETRY_HORIZON_SECONDS": "86400",
        "HOLD_SECONDS": "900",
        "CIRCUIT_SECONDS": "30",
        "CLAIM_SECONDS": "60",
        "DEFAULT_CONSENT": "granted",
        "ALLOW_INSECURE_AGENTS": "false",
    }.items():
        monkeypatch.setenv(variable, value)
    return Google()


def _event(number: int, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "type": "login",
        "appId": "shop",
        "eventId": f"evt_{number}",
        "occurredAt": now,
        "receivedAt": now,
        "sequence": number,
        "customerId": f"customer-{number}",
        "email": "nadia.okafor+shop@gmail.com",
        "ids": {"gaClientId": "1872054418.1795100000"},
        **fields,
    }


def _record(event: dict[str, Any]) -> dict[str, Any]:
    sent = str(int(datetime.now(UTC).timestamp() * 1000))
    return {
        "messageId": event["eventId"],
        "receiptHandle": event["eventId"],
        "body": json.dumps(event),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": sent},
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:agent",
    }


def _deliver(google: Google, *events: dict[str, Any]) -> list[str]:
    records = [_record(event) for event in events]
    answer = lambda_handler(app.AGENT, send=google)({"Records": records}, Time())
    return sorted(failure["itemIdentifier"] for failure in answer["batchItemFailures"])


def _receipt(number: int) -> dict[str, Any]:
    return dict(Ledger("receipts").receipts("shop", f"evt_{number}")[""]["google_data_manager"])


def test_sixty_events_are_one_request_after_one_sign_in(google: Google) -> None:
    assert _deliver(google, *(_event(number) for number in range(60))) == []
    assert google.vendor.violations == []
    assert [path for path in google.vendor.paths() if "ingest" in path] == ["/v1/events:ingest"]
    assert len(google.vendor.sent) == 3
    assert google.vendor.agent.state()["count"] == 60
    assert _receipt(59)["state"] == "delivered"
    assert _receipt(59)["reason"].startswith("request ")


def test_a_delivered_event_is_not_sent_again_whatever_sqs_does(google: Google) -> None:
    event = _event(1)
    _deliver(google, event)
    assert _deliver(google, event) == []
    assert google.vendor.agent.state()["count"] == 1


def test_an_event_that_google_refuses_is_parked_and_the_others_are_delivered(google: Google) -> None:
    # The sandbox knows more than the agent here: a future time, which ingest clamps.
    late = _event(7, occurredAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert _deliver(google, *(_event(number) for number in range(7)), late) == []
    assert _receipt(7)["state"] == "parked"
    assert "EVENT_TIME_INVALID" in _receipt(7)["reason"]
    assert {_receipt(number)["state"] for number in range(7)} == {"delivered"}
    assert google.vendor.paths().count("/v1/events:ingest") == 3


def test_a_role_that_google_does_not_admit_holds_everything_and_sends_nothing(google: Google) -> None:
    google.vendor.agent.settings = {}
    assert _deliver(google, _event(1), _event(2)) == ["evt_1", "evt_2"]
    assert _receipt(1)["state"] == "held"
    assert not [path for path in google.vendor.paths() if "ingest" in path]


def test_a_dry_run_shows_the_request_and_neither_signs_in_nor_sends(google: Google) -> None:
    shown = lambda_handler(app.AGENT, send=google)({"dryRun": json.dumps(_event(1))}, Time())
    (request,) = shown["requests"]
    assert request["url"] == f"{URL}/google_data_manager/v1/events:ingest"
    assert "authorization" not in request["headers"]
    (event,) = request["body"]["events"]
    assert event["eventName"] == "login"
    # SHA-256 of nadiaokafor@gmail.com.
    digest = "4b4dec38af235b856891649c53a9f769f014ddb1e0f21772e90758be27d173d5"
    assert event["userData"] == {"userIdentifiers": [{"emailAddress": digest}]}
    assert google.vendor.sent == []


@dataclass
class Following:
    """The aftermath of batches at a clock that the test moves."""

    google: Google
    settings: app.Settings

    def batch(self, minutes: float, scope: str = "google_data_manager", reference: str = "") -> None:
        """A batch whose request was taken, so many minutes after the start."""
        self.google.now = START + timedelta(minutes=minutes)
        aftermath.forget()
        follower = Aftermath(
            app.AGENT, Samples("receipts", "google_data_manager", lambda: self.google.now), self.google
        )
        follower.note(scope, self.settings, reference or self.take())
        follower.look(lambda: True)

    def take(self) -> str:
        """The id of a request of three events that the sandbox has taken just now."""
        event = _event(1, occurredAt=self.google.now.isoformat())
        built = app.build_requests(Event.load(json.dumps(event)), self.settings) * 3
        attempt = Attempt(self.google.now, self.google, force_refresh=False)
        return app.classify(self.google(app.authorize(app.merge(built), self.settings, attempt))).reference


@pytest.fixture(scope="module")
def key_file() -> dict[str, Any]:
    """A service account's key: its assertions are of the test's clock, the proof of a role is of the machine's."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = "session-relay@example-shop.iam.gserviceaccount.com"
    known = {"client_email": account, "private_key_id": "0f1e2d3c", "private_key": private.decode()}
    return {**known, "token_uri": f"{URL}/google_data_manager/token"}


@pytest.fixture
def following(google: Google, key_file: dict[str, Any]) -> Following:
    """The aftermath of batches, by settings with a key."""
    document = {**SETTINGS, "workload_identity": None, "service_account_key": key_file}
    google.vendor.agent.settings = document
    return Following(google, app.Settings.model_validate(document))


def _written(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    """The values of a field, or a metric, of the lines that were logged."""
    return [getattr(record, name) for record in caplog.records if hasattr(record, name)]


def _answer(state: str, *counts: dict[str, Any]) -> Response:
    one = {"requestStatus": state, "eventsIngestionStatus": {"recordCount": "3"}, "errorInfo": {"errorCounts": counts}}
    return Response(200, json.dumps({"requestStatusPerDestination": [one]}).encode())


FAULT = {"recordCount": "2", "reason": "PROCESSING_ERROR_REASON_INVALID_EVENT"}


def test_the_first_question_comes_half_an_hour_after_the_request(following: Following) -> None:
    following.batch(0)
    following.batch(29)
    assert following.google.asked() == 0
    following.batch(31)
    assert following.google.asked() == 1
    assert following.google.vendor.violations == []


def test_a_day_of_batches_asks_48_times_at_most(table: str) -> None:
    asked = 0
    for minute in range(0, 24 * 60, 10):
        samples = Samples(table, "google_data_manager", lambda minute=minute: START + timedelta(minutes=minute))  # type: ignore[misc]
        sample = samples.due("google_data_manager", f"request-{minute}")
        if sample:
            asked += 1
            samples.follow(sample, f"request-{minute}")
    assert 40 <= asked <= 48


def test_two_functions_at_once_ask_once(following: Following) -> None:
    following.batch(0)
    samples = Samples("receipts", "google_data_manager", lambda: START + timedelta(minutes=40))
    assert [samples.due("google_data_manager", "r2") is not None for _ in range(2)] == [True, False]


def test_a_partial_success_is_a_metric_and_a_warning(following: Following, caplog: pytest.LogCaptureFixture) -> None:
    following.google.status = _answer("PARTIAL_SUCCESS", FAULT)
    following.batch(0)
    following.batch(31)
    assert _written(caplog, "SampledFaulty") == [2]
    assert _written(caplog, "reason") == ["PROCESSING_ERROR_REASON_INVALID_EVENT: 2"]


def test_a_success_writes_no_metric(following: Following, caplog: pytest.LogCaptureFixture) -> None:
    following.batch(0)
    following.batch(31)
    assert _written(caplog, "SampledFaulty") == []
    assert (_written(caplog, "events"), _written(caplog, "faulty")) == ([3], [0])


def test_a_sample_without_a_last_word_is_asked_less_often_and_given_up_after_a_day(
    following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    following.google.status = _answer("PROCESSING")
    for minute in range(0, LAPSE_SECONDS // 60 + 121, 30):
        following.batch(minute, reference="request-1")
    assert 20 <= following.google.asked() <= 28
    assert _written(caplog, "SampledFaulty") == [1]
    assert _written(caplog, "reason") == ["no last word within a day"]


def test_a_sample_is_asked_by_the_settings_that_sent_it_alone(following: Following) -> None:
    following.batch(0, scope="google_data_manager#outlet")
    following.batch(60)
    assert following.google.asked() == 0
    following.batch(61, scope="google_data_manager#outlet")
    assert following.google.asked() == 1


def test_settings_that_send_nothing_any_more_give_their_place_up_after_a_day(following: Following) -> None:
    following.batch(0, scope="google_data_manager#outlet")
    following.batch(LAPSE_SECONDS / 60 + ASK_SECONDS / 60 + 1)
    following.batch(LAPSE_SECONDS / 60 + 2 * ASK_SECONDS / 60 + 2)
    assert following.google.asked() == 1


def test_a_question_that_google_refuses_fails_no_delivery_and_is_reported(
    following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    following.google.status = Response(403)
    following.batch(0)
    following.batch(31)
    assert _written(caplog, "reason") == ["not known: HTTP 403"]


def test_a_ledger_that_is_down_fails_no_delivery(following: Following, caplog: pytest.LogCaptureFixture) -> None:
    boto3.client("dynamodb").delete_table(TableName="receipts")
    following.batch(0)
    assert _written(caplog, "reason") == ["not known: ResourceNotFoundException"]


def _sample() -> dict[str, Any]:
    key = {"event": {"S": "#sample"}, "agent": {"S": "google_data_manager"}}
    return dict(boto3.client("dynamodb").get_item(TableName="receipts", Key=key).get("Item", {}))


def test_the_functions_own_batches_keep_the_sample(google: Google) -> None:
    _deliver(google, _event(1))
    assert _receipt(1)["reason"] == f"request {_sample()['reference']['S']}"
    assert "usr" not in json.dumps(_sample())
    assert _sample().keys() == {"event", "agent", "reference", "scope", "taken", "due", "wait", "expires"}


def test_a_request_that_was_refused_is_no_sample(google: Google) -> None:
    google.vendor.failing["/v1/events:ingest"] = 503
    _deliver(google, _event(1))
    assert _sample() == {}


def test_a_functions_instance_looks_once_a_minute_and_not_without_time(following: Following) -> None:
    samples = Samples("receipts", "google_data_manager", lambda: following.google.now)
    following.batch(0)
    following.google.now += timedelta(minutes=40)
    follower = Aftermath(app.AGENT, samples, following.google)
    follower.note("google_data_manager", following.settings, "request-2")
    follower.look(lambda: True)
    assert following.google.asked() == 0
    aftermath.forget()
    follower.look(lambda: False)
    assert following.google.asked() == 0
    follower.look(lambda: True)
    assert following.google.asked() == 1


def test_a_status_that_cannot_be_read_fails_no_delivery(following: Following) -> None:
    following.google.status = Response(200, b'{"requestStatusPerDestination":[{"requestStatus":["x"]}]}')
    following.batch(0)
    following.batch(31)
    assert following.google.asked() == 1
