"""ingest: takes callers' events on, or says exactly what is wrong with them."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from relay.api import topic
from relay.api.batch import parse_batch, parse_typed_event, spread_sequences
from relay.api.body import Body, too_large
from relay.api.body import read as read_body
from relay.api.caller import Caller
from relay.api.cors import add_headers, preflight
from relay.api.event_tokens import carries_token, split_tokens
from relay.api.preferences import Handling, applied
from relay.api.responses import (
    HANDLED_ERRORS,
    ProxyResponse,
    count_text,
    error_document,
    error_response,
    json_response,
    status_of,
    with_headers,
)
from relay.aws import clients
from relay.aws.environment import is_snapstart, table
from relay.aws.log import emf, emit_metric, log_with_metrics, logger
from relay.aws.trace import annotate, traced
from relay.errors import (
    FieldError,
    InvalidEvent,
    LedgerUnavailable,
    NotAccepted,
    RelayError,
    SettingsUnavailable,
    TooLarge,
)
from relay.event.model import EVENT_TYPES, Event, EventInput, EventType
from relay.event.reading import read_event
from relay.ledger.ledger import Ledger
from relay.uuid7 import uuid7

CALLS: dict[str, EventType] = {event_type.replace("_", "-"): event_type for event_type in EVENT_TYPES}
"""The calls that send one event, and the type of it."""

MAX_EVENT_BYTES = 32 * 1024
MAX_BATCH_BYTES = 512 * 1024
TRY_AGAIN = "The event was not accepted; send it again with this eventId and sequence."

Outcome = Event | RelayError
"""What became of an event: taken on, or why not."""


@traced
def handler(request: Mapping[str, Any], _context: object) -> ProxyResponse:
    """Answers an API Gateway proxy request: 202 once an event is durably in the topic, 4xx or 503 otherwise."""
    if request["resource"] == "/health":
        return json_response(HTTPStatus.OK, {"status": "ok"})
    if request.get("httpMethod") == "OPTIONS":
        return add_headers(request, preflight(request))
    return add_headers(request, _answered(request))


def _answered(request: Mapping[str, Any]) -> ProxyResponse:
    call = request["resource"].strip("/")
    preferred: Handling | None = None
    try:
        caller = Caller.from_request(request)
        preferred = caller.handling
        if call == "batch":
            response = _batch(read_body(request, MAX_BATCH_BYTES), caller)
        else:
            response = _single(read_body(request, MAX_EVENT_BYTES), caller, call)
    except HANDLED_ERRORS as error:
        _report(error, request["requestContext"]["authorizer"]["appId"], call)
        response = error_response(error, _detail(error))
    return with_headers(response, applied(preferred)) if preferred else response


def _single(body: Body, caller: Caller, call: str) -> ProxyResponse:
    # A logout needs no parameters, so it needs no body either.
    (outcome,) = _accept([_event(body.document, body.valid_text() or "{}", caller, CALLS[call])])
    if isinstance(outcome, RelayError):
        return error_response(outcome, _detail(outcome))
    return json_response(HTTPStatus.ACCEPTED, {"eventId": outcome.event_id, "status": "accepted", **_warnings(outcome)})


def _batch(body: Body, caller: Caller) -> ProxyResponse:
    """Answers 207: one result for each event, in their order, as it would have been answered alone."""
    items, faults = parse_batch(body)
    if not all(map(carries_token, items)):
        # Where it cannot be checked now, each event says so itself, and with what to send it again.
        with suppress(SettingsUnavailable):
            caller.verify_header(datetime.now(UTC))
    taken = [_item(item, faults.get(position, []), caller) for position, item in enumerate(items)]
    outcomes = _accept(spread_sequences(taken))
    return json_response(HTTPStatus.MULTI_STATUS, {"results": [_result(outcome) for outcome in outcomes]})


def _item(item: object, faults: list[FieldError], caller: Caller) -> Outcome:
    try:
        if faults:
            raise InvalidEvent(faults)
        event_type, document, text = parse_typed_event(item)
        if len(text.encode()) > MAX_EVENT_BYTES:
            raise TooLarge(too_large(MAX_EVENT_BYTES))
        return _event(document, text, caller, event_type)
    except HANDLED_ERRORS as error:
        _report(error, caller.app_id, "batch")
        return error


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, RelayError):
        return error_document(outcome, _detail(outcome))
    return {"status": int(HTTPStatus.ACCEPTED), "eventId": outcome.event_id, **_warnings(outcome)}


def _warnings(event: Event) -> dict[str, Any]:
    """Which details were normalised or left out, in the caller's own names."""
    found = [{"pointer": warned.pointer, "detail": warned.detail} for warned in event.warnings]
    return {"warnings": found} if found else {}


def _event(document: object, text: str, caller: Caller, event_type: EventType) -> Event:
    """The event that a JSON document and its text are, bound to the person who is proven to send it.

    Raises:
        NotAccepted: who sends it cannot be known now.
    """
    now = datetime.now(UTC)
    own = split_tokens(document, text)
    reading = read_event(own.text, event_type, caller.terms)
    try:
        call, prover = caller.apply_identity(reading.call, own.tokens, now)
        event = _stamp(call, caller, event_type, now)
        return reading.mark(event.model_copy(update={"scope": topic.scope(event, prover)}))
    except SettingsUnavailable as fault:
        event = _stamp(reading.call, caller, event_type, now)
        raise NotAccepted(str(fault), event.event_id, event.sequence) from None


def _stamp(call: EventInput, caller: Caller, event_type: EventType, now: datetime) -> Event:
    return Event.stamp(call, event_type, caller.app_id, str(uuid7(now)), now, trusted=not caller.token_required)


def _report(error: RelayError, app_id: str, call: str) -> None:
    """Counts and logs an event that was not taken on."""
    status = status_of(error)
    known = {"app": app_id, "type": CALLS.get(call, call), "status": int(status)}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        emit_metric("Unavailable")
        logger().error("unavailable", extra={**known, "reason": str(error)})
    else:
        emit_metric("Rejected")
        logger().info("rejected", extra=known)


def _accept(taken: list[Outcome]) -> list[Outcome]:
    """Publishes the events among these, notes them in the ledger meanwhile, and says of each what became of it."""
    events = [event for event in taken if isinstance(event, Event)]
    if not events:
        return taken
    noted = _beside().submit(_write_receipts, events)
    published = iter(topic.publish(events))
    noted.result()
    return [_settle(outcome, is_taken=next(published)) if isinstance(outcome, Event) else outcome for outcome in taken]


@cache
def _beside() -> ThreadPoolExecutor:
    """The thread that writes to the ledger while the event is published; making one takes as long as a call to AWS."""
    return ThreadPoolExecutor(max_workers=1)


def _settle(event: Event, *, is_taken: bool) -> Outcome:
    """What became of an event that was published, logged and counted."""
    known = {"event_id": event.event_id, "app": event.app_id, "type": event.type}
    if not is_taken:
        emit_metric("Unavailable")
        logger().error("unavailable", extra=known)
        return NotAccepted("the topic did not take it", event.event_id, event.sequence)
    annotate(event_id=event.event_id, app=event.app_id, state="accepted")
    warned = {"warned": [warning.known for warning in event.warnings]} if event.warnings else {}
    # A zero for each, so that the average of Unavailable is the share of the events that were not accepted.
    metrics = emf({(): {"Accepted": 1, "Unavailable": [0]}, ("app",): {"Warned": int(bool(warned))}})
    log_with_metrics(logging.INFO, "accepted", {**known, **warned}, metrics)
    return event


def _write_receipts(events: list[Event]) -> None:
    # What the ledger does not know of an event costs its receipt, never the event.
    try:
        Ledger(table()).accept(events)
    except LedgerUnavailable as fault:
        logger().warning("not noted", extra={"events": len(events), "reason": str(fault)})


def _detail(error: RelayError) -> str:
    if isinstance(error, InvalidEvent):
        return f"The event has {count_text(error)}; nothing was accepted. {error}"
    return TRY_AGAIN if status_of(error) is HTTPStatus.SERVICE_UNAVAILABLE else str(error)


if is_snapstart():
    # Clients are without connections until their first call, and read their credentials anew when these have ended.
    clients.sns()
    clients.dynamodb()
    EventInput.model_rebuild()
