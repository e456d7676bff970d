"""The fault matrix: everything that can go wrong with a delivery, and what becomes of it (docs/reliability.md)."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from local import settings
from local.cloud import HOME, REFUSING
from local.deploy import STAGE, Cloud, wait_for
from local.scenario import CONTACT, PHONE
from tests.e2e.conftest import CLOUD, PATIENCE_SECONDS, Caller, kill

pytestmark = pytest.mark.slow

Unique = Callable[[], str]
LONG_SECONDS = 100.0


def _login(app: Caller, unique: Unique, event_id: str | None = None) -> str:
    """A login of a new person on a new phone, whose id is the event's: so every agent gets it, also Emarsys."""
    event_id = event_id or unique()
    device = {**PHONE["device"], "id": event_id, "pushToken": unique()}
    body = {"eventId": event_id, "customerId": unique(), **CONTACT, **PHONE, "properties": {"mark": event_id}}
    return app.accepted("/login", {**body, "device": device})


def _faulted(app: Caller, unique: Unique, agent: str, **fault: Any) -> str:
    """A login that meets a fault at one agent."""
    event_id = unique()
    app.fault(agent, match=event_id, **fault)
    return _login(app, unique, event_id)


def _cloud(app: Caller) -> Cloud:
    return Cloud(app.stack.aws_endpoint, app.stack.region)


def _queue(app: Caller, name: str) -> str:
    """The URL of the queue whose logical id this is."""
    urls = _cloud(app).client("sqs").list_queues()["QueueUrls"]
    return str(next(url for url in urls if f"session-relay-{name}-" in url))


def _parked(app: Caller, agent: str, containing: str) -> list[dict[str, Any]]:
    """The messages with this text in an agent's dead-letter queue, each with its attributes."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        messages = (
            _cloud(app)
            .client("sqs")
            .receive_message(
                QueueUrl=_queue(app, f"{agent}DeadLetterQueue"),
                MessageAttributeNames=["All"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=0,
            )
        )
        found[:] = [message for message in messages.get("Messages", []) if containing in message["Body"]]
        return bool(found)

    assert wait_for(look, PATIENCE_SECONDS), f"nothing with {containing} is parked at {agent}"
    return found


@contextmanager
def refusing(service: str) -> Iterator[None]:
    """An AWS service that answers every call as a throttled one does, while the block lasts."""
    switch = HOME / CLOUD / REFUSING
    switch.write_text(service)
    try:
        yield
    finally:
        switch.unlink()


def _store(app: Caller, agent: str, value: dict[str, Any]) -> None:
    _cloud(app).client("ssm").put_parameter(
        Name=f"/session-relay/{STAGE}/agents/{agent}", Value=json.dumps(value), Type="SecureString", Overwrite=True
    )


def test_429_with_retry_after_waits_as_long_as_the_agent_asks(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "eitri_push", status=429, retryAfter=4, times=1)
    first, second = app.wait_until_received("eitri_push", event_id, 2)
    assert (first["status"], second["status"]) == (429, 202)
    assert _seconds(second) - _seconds(first) >= 4
    assert app.receipt(event_id, "eitri_push", "delivered")["attempts"] == 2


def test_500_is_tried_again_until_the_agent_recovers(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "emarsys", status=500, times=2)
    assert app.receipt(event_id, "emarsys", "delivered")["attempts"] == 3


def test_a_hang_past_the_time_out_is_tried_again_where_that_does_no_harm(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "facebook", delaySeconds=6, times=1)
    assert app.receipt(event_id, "facebook", "delivered")["attempts"] == 2


def test_a_hang_past_the_time_out_leaves_a_delivery_in_doubt_where_a_second_would_count_twice(
    app: Caller, unique: Unique
) -> None:
    event_id = _faulted(app, unique, "appsflyer", delaySeconds=6, times=1)
    receipt = app.receipt(event_id, "appsflyer", "unconfirmed")
    assert receipt["reason"].startswith("in doubt")
    assert len(app.received("appsflyer", event_id)) == 1


def test_a_connection_that_is_reset_is_tried_again(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "eitri_push", reset=True, times=1)
    assert app.receipt(event_id, "eitri_push", "delivered")["attempts"] == 2


def test_an_answer_lost_after_the_work_was_done_does_not_double_it(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "eitri_push", reset=True, afterWork=True, times=1)
    receipt = app.receipt(event_id, "eitri_push", "delivered")
    assert receipt["lastStatus"] == 409
    event_id = _faulted(app, unique, "google", reset=True, afterWork=True, times=1)
    assert app.receipt(event_id, "google", "unconfirmed")["reason"].startswith("in doubt")
    assert len(app.received("google", event_id)) == 1


def test_a_garbage_answer_is_no_success(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "dashx", status=200, body="<html>busy</html>", times=1)
    assert app.receipt(event_id, "dashx", "delivered")["attempts"] == 2


def test_a_redirect_is_not_followed(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "eitri_push", status=302, location=f"{app.stack.sandbox_url}/_health")
    receipt = app.receipt(event_id, "eitri_push", "parked")
    assert (receipt["reason"], receipt["lastStatus"]) == ("HTTP 302", 302)


def test_refused_credentials_hold_until_the_secret_is_changed_and_nothing_else_is_needed(
    app: Caller, unique: Unique
) -> None:
    known = settings.agents(app.stack.sandbox_url)["facebook"]
    changed = {**known, "access_token": "ANOTHER-TOKEN"}
    credentials = f"{app.stack.sandbox_url}/_credentials/facebook"
    try:
        requests.put(credentials, json=changed, timeout=10).raise_for_status()
        event_id = _login(app, unique)
        receipt = app.receipt(event_id, "facebook", "held")
        assert receipt["attempts"] == 0
        assert "nextAttempt" not in receipt
        _store(app, "facebook", changed)
        assert app.receipt(event_id, "facebook", "delivered")["attempts"] == 1
    finally:
        requests.put(credentials, json=known, timeout=10).raise_for_status()
        _store(app, "facebook", known)
    # The function still has the other token, is refused once, and reads the parameter again.
    assert app.receipt(_login(app, unique), "facebook", "delivered")["state"] == "delivered"


def test_a_permanent_400_is_parked_with_what_an_operator_needs(app: Caller, unique: Unique) -> None:
    event_id = _faulted(app, unique, "emarsys", status=400, times=1)
    assert app.receipt(event_id, "emarsys", "parked")["lastStatus"] == 400
    (message,) = _parked(app, "Emarsys", event_id)
    notes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
    assert (notes["agent"], notes["reason"], notes["status"], notes["attempts"]) == ("emarsys", "HTTP 400", "400", "1")
    assert "firstSeen" in notes


def test_an_agent_that_is_busy_for_too_long_has_its_deliveries_parked(app: Caller, unique: Unique) -> None:
    # Not a 503: an agent that is down opens its circuit, and is waited for.
    event_id = _faulted(app, unique, "google", status=429)
    assert wait_for(lambda: app.receipts(event_id)["google"]["state"] == "parked", LONG_SECONDS)
    assert app.receipts(event_id)["google"]["reason"] == "still failing after the horizon: HTTP 429"


def test_a_function_killed_between_sending_and_settling_leaves_a_delivery_in_doubt(app: Caller, unique: Unique) -> None:
    event_id = unique()
    for agent in ("facebook", "appsflyer"):
        app.fault(agent, match=event_id, delaySeconds=4, afterWork=True, status=200, body="late", times=1)
    _login(app, unique, event_id)
    app.wait_until_received("facebook", event_id)
    app.wait_until_received("appsflyer", event_id)
    assert kill("Facebook") + kill("Appsflyer") >= 2
    assert app.receipts(event_id)["appsflyer"]["state"] == "sending"
    assert wait_for(lambda: app.receipts(event_id)["facebook"]["state"] == "delivered", LONG_SECONDS)
    assert wait_for(lambda: app.receipts(event_id)["appsflyer"]["state"] == "unconfirmed", LONG_SECONDS)
    # Meta gets the event again and knows the event by its id; AppsFlyer is not, since it would count it twice.
    assert len(app.received("facebook", event_id)) == 2
    assert len(app.received("appsflyer", event_id)) == 1
    assert app.receipts(event_id)["appsflyer"]["reason"].startswith("in doubt")


def test_a_message_that_comes_twice_is_delivered_once(app: Caller, unique: Unique) -> None:
    event_id = _login(app, unique)
    app.receipt(event_id, "facebook", "delivered")
    body = _message_of(app, event_id, unique)
    _cloud(app).client("sqs").send_message(QueueUrl=_queue(app, "FacebookQueue"), MessageBody=body)
    after = _login(app, unique)
    app.receipt(after, "facebook", "delivered")
    assert wait_for(lambda: _is_empty(app, "FacebookQueue"), PATIENCE_SECONDS)
    assert len(app.received("facebook", event_id)) == 1


def test_a_poison_message_is_parked_and_delays_nobody(app: Caller, unique: Unique) -> None:
    poison = f'{{"poison": "{unique()}"}}'
    _cloud(app).client("sqs").send_message(QueueUrl=_queue(app, "GoogleQueue"), MessageBody=poison)
    (message,) = _parked(app, "Google", poison)
    assert message["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable")
    assert app.receipt(_login(app, unique), "google", "unconfirmed")["state"] == "unconfirmed"


def test_a_login_redriven_after_a_newer_logout_is_superseded(app: Caller, unique: Unique) -> None:
    login, device = unique(), unique()
    phone = {**PHONE, "device": {**PHONE["device"], "id": device, "pushToken": unique()}}
    who = {"customerId": unique(), **CONTACT, **phone}
    app.fault("emarsys", match=device, status=400, times=1)
    app.accepted("/login", {"eventId": login, **who})
    app.receipt(login, "emarsys", "parked")
    logout = app.accepted("/logout", {"eventId": unique(), **who})
    app.receipt(logout, "emarsys", "delivered")
    before = len(app.received("emarsys", device))
    queues = _cloud(app).client("sqs")
    arns = [
        queues.get_queue_attributes(QueueUrl=_queue(app, name), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for name in ("EmarsysDeadLetterQueue", "EmarsysQueue")
    ]
    queues.start_message_move_task(SourceArn=arns[0], DestinationArn=arns[1])
    assert app.receipt(login, "emarsys", "skipped")["reason"] == "superseded"
    assert len(app.received("emarsys", device)) == before
    assert app.state("emarsys")["devices"][device]["pushesGoTo"] is None


def test_while_the_ledger_does_not_answer_nothing_is_sent_and_nothing_is_lost(app: Caller, unique: Unique) -> None:
    with refusing("dynamodb"):
        event_id = _login(app, unique)
        time.sleep(3)
        assert [agent for agent in ("facebook", "google", "eitri_push") if app.received(agent, event_id)] == []
    # Not even the note that the event was accepted could be written, so the first receipt is that of a delivery.
    app.wait_until_received("google", event_id)
    assert {receipt["attempts"] for receipt in app.settled(event_id).values()} == {1}
    assert len(app.received("google", event_id)) == 1


def test_while_ssm_does_not_answer_the_last_good_settings_serve(app: Caller, unique: Unique) -> None:
    app.receipt(_login(app, unique), "eitri_push", "delivered")
    with refusing("ssm"):
        # The refusal makes the function read its settings again, which fails, and go on with what it had.
        event_id = _faulted(app, unique, "eitri_push", status=401, times=1)
        app.wait_until_received("eitri_push", event_id, 2)
    assert app.receipt(event_id, "eitri_push", "delivered")["attempts"] == 1


def test_while_sns_does_not_answer_the_caller_gets_503_and_the_resend_is_sent_once(app: Caller, unique: Unique) -> None:
    event_id = unique()
    device = {**PHONE["device"], "id": event_id}
    body = {"eventId": event_id, "customerId": unique(), **CONTACT, **PHONE, "device": device}
    with refusing("sns"):
        answer = app.call("/login", body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.headers["content-type"] == "application/problem+json"
    for _ in range(2):
        assert app.accepted("/login", body) == event_id
    app.receipt(event_id, "eitri_push", "delivered")
    assert len(app.received("eitri_push", event_id)) == 1


def test_an_agent_that_fails_again_and_again_is_left_alone_for_a_while(app: Caller, unique: Unique) -> None:
    app.fault("appsflyer", status=503)
    events = [_login(app, unique) for _ in range(8)]
    assert wait_for(
        lambda: any("circuit open" in app.receipts(event)["appsflyer"].get("reason", "") for event in events),
        PATIENCE_SECONDS,
    )
    app.clear_faults()
    assert all(app.receipt(event, "appsflyer", "delivered")["state"] == "delivered" for event in events)


def _seconds(request: dict[str, Any]) -> float:
    hours, minutes, seconds = request["receivedAt"].split("T")[1].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _message_of(app: Caller, event_id: str, unique: Unique) -> str:
    """An event's message as its queue had it, made again from a parked copy of the same event at another agent."""
    marker = unique()
    app.fault("emarsys", status=400, times=1, match=marker)
    body = {"eventId": marker, "customerId": unique(), **PHONE, "device": {**PHONE["device"], "id": marker}}
    app.accepted("/login", body)
    (message,) = _parked(app, "Emarsys", marker)
    text: str = message["Body"]
    # Eitri's message id is the event's id and its scope: who proved it, its type, person and device.
    known = app.wait_until_received("eitri_push", event_id)[0]["body"]
    document = json.loads(text) | {"eventId": event_id, "scope": known["id"].rpartition(".")[2]}
    return json.dumps(document)


def _is_empty(app: Caller, name: str) -> bool:
    counts = _cloud(app).client("sqs").get_queue_attributes(QueueUrl=_queue(app, name), AttributeNames=["All"])
    return all(
        counts["Attributes"][count] == "0"
        for count in ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    )
