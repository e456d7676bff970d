"""ingest against SNS: what is published for an accepted event, and what the caller hears when it cannot be."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.ingest.app import handler
from relay.api.caller import Caller
from relay.api.identity_tokens import IdentityKeys, mint
from relay.aws import clients, environment
from relay.ledger.ledger import Ledger

KEY = "an-identity-key-of-at-least-32-bytes"


@pytest.fixture
def queue_url(monkeypatch: pytest.MonkeyPatch, table: str) -> str:  # noqa: ARG001 - ingest writes there as well
    """A queue that receives everything that is published."""
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="events.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url = sqs.create_queue(QueueName="all.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    monkeypatch.setenv("TOPIC_ARN", topic)
    return url


def _call(
    body: Any, path: str = "/login", kind: str = "secret", identity: str = "optional", **request: Any
) -> dict[str, Any]:
    return handler(
        {
            "resource": path,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {
                "authorizer": {"appId": "shop", "kind": kind, "identity": identity},
                "identity": {"sourceIp": "203.0.113.24", "userAgent": "Shop/4.12"},
            },
            **request,
        },
        None,
    )


def _heard(queue_url: str) -> list[dict[str, Any]]:
    messages: list[Any] = (
        boto3.client("sqs")
        .receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        .get("Messages", [])
    )
    return messages


def test_an_accepted_event_is_in_the_topic(queue_url: str) -> None:
    answer = _call({"eventId": "evt_1", "customerId": "12345", "device": {"id": "d1"}})
    assert answer["statusCode"] == 202
    assert json.loads(answer["body"]) == {"eventId": "evt_1", "status": "accepted"}
    (message,) = _heard(queue_url)
    event = json.loads(message["Body"])
    assert (event["type"], event["appId"], event["customerId"]) == ("login", "shop", "12345")
    assert message["MessageAttributes"]["type"]["StringValue"] == "login"


def test_the_group_is_the_device_and_never_the_customer(queue_url: str) -> None:
    _call({"eventId": "1", "customerId": "ana", "device": {"id": "phone"}})
    _call({"eventId": "2", "customerId": "bob", "device": {"id": "phone"}})
    _call({"eventId": "3", "customerId": "ana", "device": {"id": "tablet"}})
    groups = [message["Attributes"]["MessageGroupId"] for message in _heard(queue_url)]
    # SHA-256 of "shop", a zero byte and "phone".
    assert groups[0] == groups[1] == "89334d9f121efe1f4abbbc0d933f097a3ecaab18331ddbf3ec33e8365f4c2766"
    assert groups[2] not in groups[:2]


def test_the_same_event_sent_twice_is_published_once(queue_url: str) -> None:
    for _ in range(2):
        assert _call({"eventId": "evt_1", "customerId": "12345"})["statusCode"] == 202
    assert len(_heard(queue_url)) == 1


def test_a_logout_needs_no_body(queue_url: str) -> None:
    assert _call(None, "/logout")["statusCode"] == 202
    assert json.loads(_heard(queue_url)[0]["Body"])["type"] == "logout"


def test_a_body_in_base64_is_read(queue_url: str) -> None:
    body = base64.b64encode(b'{"customerId":"12345"}').decode()
    assert _call(body, isBase64Encoded=True)["statusCode"] == 202
    assert len(_heard(queue_url)) == 1


def test_a_public_keys_context_is_the_connections(queue_url: str) -> None:
    _call({"customerId": "1", "context": {"ip": "198.51.100.7", "url": "https://shop.example.com/"}}, kind="public")
    assert json.loads(_heard(queue_url)[0]["Body"])["context"] == {
        "ip": "203.0.113.24",
        "userAgent": "Shop/4.12",
        "url": "https://shop.example.com/",
    }


def test_a_secret_keys_context_is_the_bodys(queue_url: str) -> None:
    _call({"customerId": "1", "context": {"ip": "198.51.100.7"}})
    assert json.loads(_heard(queue_url)[0]["Body"])["context"] == {"ip": "198.51.100.7"}


STRICT = {"Prefer": "handling=strict"}


def test_wrong_details_are_400_with_their_places_where_the_caller_prefers_it(queue_url: str) -> None:
    answer = _call({"customerId": 12345, "device": {"platform": "vax"}}, headers=STRICT)
    assert answer["headers"]["Preference-Applied"] == "handling=strict"
    assert answer["statusCode"] == 400
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    problem = json.loads(answer["body"])
    assert (problem["title"], problem["status"]) == ("Bad Request", 400)
    assert problem["errors"] == [
        {"pointer": "#/customerId", "detail": "must be a valid string"},
        {"pointer": "#/device/platform", "detail": "must be 'ios', 'android' or 'web'"},
    ]
    assert _heard(queue_url) == []


def test_a_wrong_detail_costs_itself_and_never_the_event(queue_url: str, table: str) -> None:
    body = {"eventId": "e1", "customer_id": 12345, "phone": "call me", "device": {"platform": "iOS", "secret": "x"}}
    answer = _call(body)
    assert answer["statusCode"] == 202
    assert "Preference-Applied" not in answer["headers"]
    warnings = {one["pointer"]: one["detail"] for one in json.loads(answer["body"])["warnings"]}
    assert warnings == {
        "#/customer_id": "was normalised: must be a valid string",
        "#/phone": "was left out: must be in E.164: '+', country code and digits only, as in +5511999887766",
        "#/device/platform": "was normalised: must be 'ios', 'android' or 'web'",
        "#/device/secret": "was left out: is not a known field here; send it as a property",
    }
    event = json.loads(_heard(queue_url)[0]["Body"])
    assert (event["customerId"], event["device"]) == ("12345", {"platform": "ios"})
    assert "warnings" not in event
    # What the caller made up is not kept: only names that the schema knows.
    (rows,) = Ledger(table).receipts("shop", "e1").values()
    kept = json.loads(rows["*"]["warnings"])
    assert {one["pointer"] for one in kept} == {"#/customerId", "#/phone", "#/device/platform", "#/device"}
    assert "secret" not in str(kept)
    (within,) = (one["detail"] for one in kept if one["pointer"] == "#/device")
    assert within == "a part of it was left out: is not a known field here; send it as a property"


def test_a_warned_event_is_counted_by_app(caplog: pytest.LogCaptureFixture, queue_url: str) -> None:
    with caplog.at_level("INFO"):
        _call({"customerId": "1", "email": ""})
        _call({"customerId": "1"})
    warned, plain = (vars(record) for record in caplog.records if record.message == "accepted")
    assert warned["warned"] == ["#/email"]
    assert (warned["Warned"], warned["app"]) == (1, "shop")
    directives = warned["_aws"]["CloudWatchMetrics"]
    assert {"Dimensions": [["stage", "app"]], "Metrics": [{"Name": "Warned"}]}.items() <= directives[1].items()
    assert "Warned" not in plain
    assert len(_heard(queue_url)) == 2


def test_national_numbers_are_those_of_the_apps_region(queue_url: str) -> None:
    context = {"authorizer": {"appId": "shop", "kind": "secret", "identity": "optional", "region": "BR"}}
    answer = _call({"customerId": "1", "phone": "(11) 99988-7766"}, requestContext=context)
    assert [one["pointer"] for one in json.loads(answer["body"])["warnings"]] == ["#/phone"]
    assert json.loads(_heard(queue_url)[0]["Body"])["phone"] == "+5511999887766"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("handling=strict", "strict"),
        ("respond-async, Handling = Strict; x=1", "strict"),
        ('handling="strict"', "strict"),
        ("handling=lenient, handling=strict", "lenient"),
        ("handling=other", None),
        ("", None),
    ],
)
def test_the_first_preference_that_is_known_counts(queue_url: str, prefer: str, applied: str | None) -> None:
    answer = _call({"customerId": "1", "email": ""}, headers={"prefer": prefer})
    assert answer["statusCode"] == (400 if applied == "strict" else 202)
    assert answer["headers"].get("Preference-Applied") == (applied and f"handling={applied}")
    assert len(_heard(queue_url)) == (0 if applied == "strict" else 1)


def test_an_id_that_is_no_event_id_is_its_digest_and_the_answer_says_so(queue_url: str) -> None:
    answer = json.loads(_call({"customerId": "1", "eventId": "orders/ana@example.com"})["body"])
    assert answer["eventId"] == f"sha256-{hashlib.sha256(b'orders/ana@example.com').hexdigest()}"
    assert answer["warnings"][0]["pointer"] == "#/eventId"
    assert json.loads(_heard(queue_url)[0]["Body"])["eventId"] == answer["eventId"]


@pytest.mark.parametrize("event_id", ["fb.1.1795100000000.1098115397", "a:b~c", "x" * 128, "..."])
def test_the_ids_of_vendors_pixels_are_event_ids(queue_url: str, event_id: str) -> None:
    assert json.loads(_call({"customerId": "1", "eventId": event_id})["body"])["eventId"] == event_id
    assert len(_heard(queue_url)) == 1


def test_a_body_that_is_too_large_is_413(queue_url: str) -> None:
    answer = _call({"customerId": "1", "properties": {f"p{n}": "x" * 1000 for n in range(40)}})
    assert answer["statusCode"] == 413
    assert "32768 bytes" in json.loads(answer["body"])["detail"]
    assert _heard(queue_url) == []


@pytest.mark.usefixtures("table")
def test_a_topic_that_does_not_take_it_is_503_and_never_a_false_202(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:gone.fifo")
    answer = _call({"customerId": "12345"})
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "2"


def _token(uid: str, *, key: str = KEY, expires_in: int = 3600) -> dict[str, str]:
    keys = IdentityKeys.model_validate({"keys": [key]})
    return {"X-Identity-Token": mint(keys, uid, expires_in, datetime.now(UTC)).token}


@pytest.fixture
def identity_key() -> None:
    """The app's identity key in SSM."""
    value = json.dumps({"keys": [KEY]})
    boto3.client("ssm").put_parameter(Name="/session-relay/test/identity/shop", Value=value, Type="SecureString")


@pytest.mark.usefixtures("identity_key")
def test_a_public_key_speaks_for_a_customer_with_his_token_alone(queue_url: str) -> None:
    public: dict[str, Any] = {"kind": "public", "identity": "required"}
    bare = _call({"customerId": "ana"}, **public)
    assert bare["statusCode"] == 401
    assert json.loads(bare["body"])["detail"].startswith("Incorrect Identity Token: Missing")
    foreign = _call({"customerId": "ana"}, headers=_token("bob"), **public)
    assert foreign["statusCode"] == 403
    assert _heard(queue_url) == []
    assert _call({"customerId": "ana"}, headers=_token("ana"), **public)["statusCode"] == 202
    assert json.loads(_heard(queue_url)[0]["Body"])["customerId"] == "ana"


@pytest.mark.usefixtures("identity_key")
def test_who_has_a_token_need_not_say_who_he_is(queue_url: str) -> None:
    assert _call(None, "/logout", kind="public", headers=_token("ana"))["statusCode"] == 202
    assert json.loads(_heard(queue_url)[0]["Body"])["customerId"] == "ana"


@pytest.mark.usefixtures("identity_key")
def test_a_visitor_needs_no_token(queue_url: str) -> None:
    body = {"anonymousId": "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901"}
    assert _call(body, "/open", kind="public", identity="required")["statusCode"] == 202
    assert len(_heard(queue_url)) == 1


@pytest.mark.usefixtures("identity_key", "queue_url")
@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        (_token("ana", key="another-key-of-at-least-32-bytes..."), "Incorrect Identity Token: Invalid signature"),
        ({"x-identity-token": "not.a-token"}, "Incorrect Identity Token: Improper format"),
    ],
)
@pytest.mark.parametrize("kind", ["public", "secret"])
def test_a_token_that_proves_nothing_is_401_for_every_key(headers: dict[str, str], detail: str, kind: str) -> None:
    answer = _call({"customerId": "ana"}, kind=kind, headers=headers)
    assert (answer["statusCode"], json.loads(answer["body"])["detail"]) == (401, detail)


def test_an_empty_token_is_no_token(queue_url: str) -> None:
    headers = {"X-IDENTITY-TOKEN": ""}
    assert _call({"customerId": "ana"}, headers=headers)["statusCode"] == 202
    bare = _call({"customerId": "ana"}, kind="public", identity="required", headers=headers)
    assert json.loads(bare["body"])["detail"].startswith("Incorrect Identity Token: Missing")
    assert len(_heard(queue_url)) == 1


@pytest.mark.usefixtures("queue_url")
def test_a_token_of_an_app_without_an_identity_key_proves_nothing() -> None:
    answer = _call({"customerId": "ana"}, headers=_token("ana"))
    assert answer["statusCode"] == 401
    assert "no identity key" in json.loads(answer["body"])["detail"]


def test_each_event_of_a_batch_has_its_own_answer(queue_url: str) -> None:
    events = [
        {"type": "login", "eventId": "1", "customerId": "ana"},
        {"type": "signin", "customerId": "ana"},
        {"type": "login", "customerId": 5.5},
        "login",
        {"type": "push_token", "eventId": "5", "device": {"id": "d", "pushToken": "false", "model": ""}},
    ]
    answer = _call({"events": events}, "/batch")
    assert answer["statusCode"] == 207
    results = json.loads(answer["body"])["results"]
    assert [result["status"] for result in results] == [202, 400, 400, 400, 202]
    assert (results[0]["eventId"], results[4]["eventId"]) == ("1", "5")
    assert results[2]["errors"] == [{"pointer": "#/customerId", "detail": "must be a valid string"}]
    assert results[4]["warnings"] == [{"pointer": "#/device/model", "detail": "was left out: is empty"}]
    heard = [json.loads(message["Body"]) for message in _heard(queue_url)]
    assert [event["type"] for event in heard] == ["login", "push_token"]
    assert heard[1]["device"]["pushToken"] is False


def test_a_batch_of_a_hundred_keeps_its_order(queue_url: str) -> None:
    events = [{"type": "track", "name": "x", "eventId": str(n), "device": {"id": "d"}} for n in range(1, 101)]
    results = json.loads(_call({"events": events}, "/batch")["body"])["results"]
    assert [result["eventId"] for result in results] == [str(n) for n in range(1, 101)]
    heard: list[str] = []
    while messages := _heard(queue_url):
        heard += [json.loads(message["Body"])["eventId"] for message in messages]
        for message in messages:
            boto3.client("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert heard == [str(n) for n in range(1, 101)]


@pytest.mark.usefixtures("queue_url")
def test_once_an_event_of_a_device_was_refused_its_later_chunks_are_not_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = clients.sns()
    publish, asked = client.publish_batch, list[list[str]]()

    def refusing_the_login(TopicArn: str, PublishBatchRequestEntries: Any) -> Any:  # noqa: N803 - botocore's own names
        entries = PublishBatchRequestEntries
        asked.append([json.loads(entry["Message"])["eventId"] for entry in entries])
        taken = [entry for entry in entries if '"eventId":"login"' not in entry["Message"]]
        answer: Any = publish(TopicArn=TopicArn, PublishBatchRequestEntries=taken) if taken else {}
        failed = [{"Id": entry["Id"], "Code": "InternalError"} for entry in entries if entry not in taken]
        return {**answer, "Failed": failed}

    monkeypatch.setattr(client, "publish_batch", refusing_the_login)
    phone, second = {"customerId": "ana", "device": {"id": "phone"}}, "2026-11-20T09:15:42Z"
    events = [
        {"type": "login", "eventId": "login", "occurredAt": second, **phone},
        *(
            {"type": "track", "name": "x", "eventId": f"t{number}", "device": {"id": f"d{number}"}}
            for number in range(9)
        ),
        {"type": "logout", "eventId": "logout", "occurredAt": second, **phone},
        {"type": "open", "eventId": "other", "device": {"id": "tablet"}},
    ]
    results = json.loads(_call({"events": events}, "/batch")["body"])["results"]
    assert [result["status"] for result in results] == [503, *[202] * 9, 503, 202]
    assert asked[1] == ["other"]
    # Sent again with what the answers say, the login stays before the logout, though both have the same time.
    login, logout = results[0], results[10]
    assert (login["eventId"], logout["eventId"]) == ("login", "logout")
    assert login["sequence"] < logout["sequence"]


def test_a_token_that_cannot_be_checked_now_is_503_with_what_to_send_again(
    queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameter")

    monkeypatch.setattr(clients.ssm(), "get_parameter", silent)
    token = mint(IdentityKeys.model_validate({"keys": [KEY]}), "ana", 60, datetime.now(UTC)).token
    body, headers = {"eventId": "evt_1", "customerId": "ana", "sequence": 7}, {"x-identity-token": [token]}
    alone = _call(body, kind="public", multiValueHeaders=headers)
    batch = _call({"events": [{"type": "login", **body}]}, "/batch", "public", multiValueHeaders=headers)
    assert (alone["statusCode"], batch["statusCode"]) == (503, 207)
    for problem in (json.loads(alone["body"]), *json.loads(batch["body"])["results"]):
        assert (problem["status"], problem["eventId"], problem["sequence"]) == (503, "evt_1", 7)
    assert _heard(queue_url) == []


def test_the_ids_of_events_are_apart_by_who_proved_them(queue_url: str) -> None:
    boto3.client("ssm").put_parameter(
        Name="/session-relay/test/identity/shop", Value=json.dumps({"keys": [KEY]}), Type="SecureString"
    )
    token = mint(IdentityKeys.model_validate({"keys": [KEY]}), "ana", 60, datetime.now(UTC)).token
    body = {"eventId": "evt_1", "customerId": "ana", "device": {"id": "phone"}}
    _call({"eventId": "evt_1", "device": {"id": "phone"}}, "/logout", "public")
    for _ in range(2):
        _call(body, "/logout", "public", multiValueHeaders={"x-identity-token": [token]})
    _call({**body, "method": "password"}, "/logout", "secret")
    _call({**body, "device": {"id": "phone", "model": "X"}}, "/logout", "secret")
    heard = [json.loads(message["Body"]) for message in _heard(queue_url)]
    assert len({event["scope"] for event in heard}) == len(heard) == 3


@pytest.mark.usefixtures("queue_url")
@pytest.mark.parametrize("body", ["", "[]", "{}", '{"events":[]}', '{"events":{}}', "{", '{"events":' + "[" * 5000])
def test_what_is_no_batch_is_400(body: str) -> None:
    assert _call(body, "/batch")["statusCode"] == 400


@pytest.mark.usefixtures("queue_url")
def test_a_batch_of_101_is_400() -> None:
    answer = _call({"events": [{"type": "logout"}] * 101}, "/batch")
    assert json.loads(answer["body"])["errors"] == [
        {"pointer": "#/events", "detail": "must be a list of 1 to 100 events"}
    ]


def test_an_accepted_event_has_its_row_in_the_ledger(queue_url: str, table: str) -> None:
    _call({"eventId": "evt_1", "customerId": "ana"})
    assert Ledger(table).receipts("shop", "evt_1").popitem()[1]["*"]["state"] == "accepted"
    assert len(_heard(queue_url)) == 1


def test_a_ledger_that_does_not_answer_costs_no_event(queue_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE", "gone")
    environment.table.cache_clear()
    assert _call({"customerId": "ana"})["statusCode"] == 202
    assert len(_heard(queue_url)) == 1


def test_health_needs_nothing() -> None:
    assert handler({"resource": "/health"}, None)["statusCode"] == 200


@pytest.mark.usefixtures("queue_url")
def test_no_log_line_and_no_metric_holds_the_person(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    _call({"customerId": "cust-77", "email": "ana@example.com", "phone": "+5511999887766"})
    _call({"customerId": "cust-77", "email": "ana@example", "phone": "11999887766"})
    _call({"customerId": "cust-77", "email": "ana@example", "phone": "11999887766"}, headers=STRICT)
    printed = capsys.readouterr().out + str([vars(record) for record in caplog.records])
    assert "accepted" in printed
    assert "rejected" in printed
    for secret in ("cust-77", "ana@example", "999887766"):
        assert secret not in printed


def _results(answer: dict[str, Any]) -> list[int]:
    assert answer["statusCode"] == 207, answer
    return [result["status"] for result in json.loads(answer["body"])["results"]]


def _jwt(uid: str, **more: Any) -> str:
    return _token(uid, **more)["X-Identity-Token"]


@pytest.mark.usefixtures("identity_key")
def test_a_batch_of_two_people_is_taken_each_event_by_its_own_token(queue_url: str) -> None:
    events = [
        {"type": "login", "customerId": "ana", "identityToken": _jwt("ana")},
        {"type": "logout", "identityToken": _jwt("ana")},
        {"type": "login", "customerId": "bob", "identityToken": _jwt("bob")},
        {"type": "open"},
    ]
    assert _results(_call({"events": events}, "/batch", kind="public", identity="required")) == [202] * 4
    heard = [json.loads(message["Body"]) for message in _heard(queue_url)]
    assert sorted(event.get("customerId", "") for event in heard) == ["", "ana", "ana", "bob"]


@pytest.mark.usefixtures("identity_key")
def test_an_events_token_outranks_the_headers_and_an_invalid_one_costs_that_event_alone(queue_url: str) -> None:
    events = [
        {"type": "login", "customerId": "bob", "identityToken": _jwt("bob")},
        {"type": "login", "customerId": "ana", "identityToken": _jwt("ana", key="another-key-of-at-least-32-bytes...")},
        {"type": "login", "customerId": "ana", "identityToken": _jwt("bob")},
        {"type": "login", "customerId": "ana"},
    ]
    answer = _call({"events": events}, "/batch", kind="public", identity="required", headers=_token("ana"))
    assert _results(answer) == [202, 401, 403, 202]
    assert len(_heard(queue_url)) == 2


@pytest.mark.usefixtures("identity_key", "queue_url")
def test_a_header_that_proves_nothing_costs_no_batch_whose_events_have_tokens_of_their_own() -> None:
    own = {"type": "login", "customerId": "bob", "identityToken": _jwt("bob")}
    headers = {"X-Identity-Token": "not.a-token"}
    assert _results(_call({"events": [own]}, "/batch", kind="public", headers=headers)) == [202]
    assert _call({"events": [own, {"type": "open"}]}, "/batch", kind="public", headers=headers)["statusCode"] == 401


SPELLINGS = ["identityToken", "identity_token", "IDENTITY-TOKEN", "IdentityToken", "x-identity-token", "identity token"]


@pytest.mark.usefixtures("identity_key")
@pytest.mark.parametrize("name", [*SPELLINGS, "\uff49dentityToken"], ids=ascii)
@pytest.mark.parametrize("path", ["/login", "/batch"])
def test_a_token_in_a_body_is_a_credential_however_it_is_spelled_and_never_a_property(
    queue_url: str, capsys: pytest.CaptureFixture[str], name: str, path: str
) -> None:
    token = _jwt("ana")
    event = {"customerId": "ana", name: token, "properties": {name: token, "tier": "gold"}}
    body = {"events": [{"type": "login", **event}]} if path == "/batch" else event
    assert _call(body, path, kind="public", identity="required")["statusCode"] in {202, 207}
    (message,) = _heard(queue_url)
    assert json.loads(message["Body"])["properties"] == {"tier": "gold"}
    rows = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    for place in (json.dumps(message), json.dumps(rows), capsys.readouterr().out):
        assert token not in place


@pytest.mark.usefixtures("identity_key", "queue_url")
def test_two_tokens_in_one_event_prove_nobody() -> None:
    event = {"customerId": "ana", "identityToken": _jwt("ana"), "identity_token": _jwt("bob")}
    answer = _call(event, kind="public")
    assert (answer["statusCode"], json.loads(answer["body"])["detail"]) == (
        401,
        "Incorrect Identity Token: Sent more than once",
    )


def test_a_callers_tokens_are_not_in_its_repr() -> None:
    request = {"requestContext": {"authorizer": {"appId": "shop", "kind": "public", "identity": "required"}}}
    assert "secret-token" not in repr(Caller.from_request({**request, "headers": {"X-Identity-Token": "secret-token"}}))
