"""ingest: takes callers' events on, or says exactly what is wrong with them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from relay.api import topic
from relay.api.batch import listed, one_after_the_other, typed
from relay.api.body import Body, too_large
from relay.api.body import read as read_body
from relay.api.caller import Caller
from relay.api.cors import admit, preflight
from relay.api.responses import REFUSALS, Answer, answer, faults_in_words, refusal, refusal_document, status_of
from relay.aws import clients
from relay.aws.environment import snapshotted, table
from relay.aws.log import count, logger, measured
from relay.aws.trace import annotate, traced
from relay.errors import Fault, InvalidEvent, LedgerUnavailable, RelayError, TooLarge, TopicUnavailable
from relay.event.model import EVENT_TYPES, Call, Event, EventType
from relay.ledger.ledger import Ledger
from relay.uuid7 import uuid7

CALLS: dict[str, EventType] = {event_type.replace("_", "-"): event_type for event_type in EVENT_TYPES}
"""The calls that send one event, and the type of it."""

MAX_EVENT_BYTES = 32 * 1024
MAX_BATCH_BYTES = 512 * 1024
TRY_AGAIN = "The event was not accepted; send it again with the same eventId."

Outcome = Event | RelayError
"""What became of an event: taken on, or why not."""


@traced
def handler(request: Mapping[str, Any], _context: object) -> Answer:
    """Answers an API Gateway proxy request: 202 once an event is durably in the topic, 4xx or 503 otherwise."""
    if request["resource"] == "/health":
        return answer(HTTPStatus.OK, {"status": "ok"})
    if request.get("httpMethod") == "OPTIONS":
        return admit(request, preflight(request))
    return admit(request, _answered(request))


def _answered(request: Mapping[str, Any]) -> Answer:
    call = request["resource"].strip("/")
    try:
        caller = Caller.of(request, datetime.now(UTC))
        if call == "batch":
            return _batch(read_body(request, MAX_BATCH_BYTES), caller)
        return _single(read_body(request, MAX_EVENT_BYTES), caller, call)
    except REFUSALS as refused:
        _tell_of(refused, request["requestContext"]["authorizer"]["appId"], call)
        return refusal(refused, _detail(refused))


def _single(body: Body, caller: Caller, call: str) -> Answer:
    # A logout needs no parameters, so it needs no body either.
    (outcome,) = _accept([_event(body.sound() or "{}", caller, CALLS[call])])
    if isinstance(outcome, RelayError):
        return refusal(outcome, _detail(outcome))
    return answer(HTTPStatus.ACCEPTED, {"eventId": outcome.event_id, "status": "accepted"})


def _batch(body: Body, caller: Caller) -> Answer:
    """Answers 207: one result for each event, in their order, as it would have been answered alone."""
    items, faults = listed(body)
    taken = [_item(item, faults.get(position, []), caller) for position, item in enumerate(items)]
    outcomes = _accept(one_after_the_other(taken))
    return answer(HTTPStatus.MULTI_STATUS, {"results": [_result(outcome) for outcome in outcomes]})


def _item(item: object, faults: list[Fault], caller: Caller) -> Outcome:
    try:
        if faults:
            raise InvalidEvent(faults)
        event_type, text = typed(item)
        if len(text) > MAX_EVENT_BYTES:
            raise TooLarge(too_large(MAX_EVENT_BYTES))
        return _event(text, caller, event_type)
    except REFUSALS as refused:
        _tell_of(refused, caller.app_id, "batch")
        return refused


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, RelayError):
        return refusal_document(outcome, _detail(outcome))
    return {"status": int(HTTPStatus.ACCEPTED), "eventId": outcome.event_id}


def _event(text: str | bytes, caller: Caller, event_type: EventType) -> Event:
    """The event that a JSON text is, bound to the person who is proven to send it."""
    now = datetime.now(UTC)
    call = caller.bind(Call.read(text, event_type, proven=caller.proven))
    return Event.stamp(call, event_type, caller.app_id, str(uuid7(now)), now, trusted=not caller.must_prove)


def _tell_of(refused: RelayError, app_id: str, call: str) -> None:
    """Counts and logs an event that was not taken on."""
    status = status_of(refused)
    known = {"app": app_id, "type": CALLS.get(call, call), "status": int(status)}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        count("Unavailable")
        logger().error("unavailable", extra={**known, "reason": str(refused)})
    else:
        count("Rejected")
        logger().info("rejected", extra=known)


def _accept(taken: list[Outcome]) -> list[Outcome]:
    """Publishes the events among these, notes them in the ledger meanwhile, and says of each what became of it."""
    events = [event for event in taken if isinstance(event, Event)]
    if not events:
        return taken
    noted = _beside().submit(_note, events)
    failed = topic.publish(events)
    noted.result()
    return [_told(outcome, failed) for outcome in taken]


@cache
def _beside() -> ThreadPoolExecutor:
    """The thread that writes to the ledger while the event is published; making one takes as long as a call to AWS."""
    return ThreadPoolExecutor(max_workers=1)


def _told(outcome: Outcome, failed: set[str]) -> Outcome:
    if isinstance(outcome, RelayError):
        return outcome
    known = {"event_id": outcome.event_id, "app": outcome.app_id, "type": outcome.type}
    if outcome.event_id in failed:
        count("Unavailable")
        logger().error("unavailable", extra=known)
        return TopicUnavailable("the topic did not take it")
    annotate(event_id=outcome.event_id, app=outcome.app_id, state="accepted")
    logger().info("accepted", extra={**known, **measured({(): {"Accepted": 1}})})
    return outcome


def _note(events: list[Event]) -> None:
    # What the ledger does not know of an event costs its receipt, never the event.
    try:
        Ledger(table()).accept(events)
    except LedgerUnavailable as fault:
        logger().warning("not noted", extra={"events": len(events), "reason": str(fault)})


def _detail(refused: RelayError) -> str:
    if isinstance(refused, InvalidEvent):
        return f"The event has {faults_in_words(refused)}; nothing was accepted. {refused}"
    return TRY_AGAIN if status_of(refused) is HTTPStatus.SERVICE_UNAVAILABLE else str(refused)


if snapshotted():
    # Clients are without connections until their first call, and read their credentials anew when these have ended.
    clients.sns()
    clients.dynamodb()
    Call.model_rebuild()
