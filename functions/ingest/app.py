"""ingest: takes callers' events on, or says exactly what is wrong with them."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, get_args

from relay import identity, settings, topic
from relay.body import read as read_body
from relay.body import too_large
from relay.environment import identity_path, table
from relay.errors import (
    Fault,
    Forbidden,
    IncorrectToken,
    InvalidEvent,
    LedgerUnavailable,
    SettingsUnavailable,
    TooLarge,
)
from relay.event import MAX_SEQUENCE, Call, Context, Event, EventType
from relay.identity import IdentityKeys
from relay.ledger import Ledger
from relay.log import count, logger
from relay.problem import Answer, answer, problem, problem_document
from relay.uuid7 import uuid7

EVENT_TYPES: dict[str, EventType] = {
    "/login": "login",
    "/logout": "logout",
    "/open": "open",
    "/signup": "signup",
    "/identify": "identify",
    "/track": "track",
    "/push-token": "push_token",
}
MAX_EVENT_BYTES = 32 * 1024
MAX_BATCH_BYTES = 512 * 1024
MAX_BATCH_EVENTS = 100
RETRY_AFTER_SECONDS = 2
_TRY_AGAIN = "The event was not accepted; send it again with the same eventId."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends: the app and its key's kind; who is proven to be behind it; where on the network it is."""

    app_id: str
    kind: str
    must_prove: bool
    proven: str | None
    seen: Context


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event was not taken on, as the problem that its caller is told."""

    status: HTTPStatus
    detail: str
    faults: Sequence[Fault] = ()


def handler(request: Mapping[str, Any], _context: object) -> Answer:
    """Answers an API Gateway proxy request: 202 once an event is durably in the topic, 4xx or 503 otherwise."""
    if request["resource"] == "/health":
        return answer(HTTPStatus.OK, {"status": "ok"})
    try:
        caller = _caller(request, datetime.now(UTC))
        if request["resource"] == "/batch":
            return _batch(request, caller)
        return _single(request, caller, EVENT_TYPES[request["resource"]])
    except TooLarge as fault:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(fault))
    except IncorrectToken as fault:
        count("Rejected", reason="identity")
        return problem(HTTPStatus.UNAUTHORIZED, str(fault))
    except InvalidEvent as invalid:
        return problem(HTTPStatus.BAD_REQUEST, _summary(invalid), invalid.faults)
    except SettingsUnavailable as fault:
        logger().error("unavailable", extra={"reason": str(fault)})
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, _TRY_AGAIN, headers=_retry_after())


def _single(request: Mapping[str, Any], caller: Caller, event_type: EventType) -> Answer:
    # A logout needs no parameters, so it needs no body either.
    event = _taken(read_body(request, MAX_EVENT_BYTES) or b"{}", caller, event_type)
    (outcome,) = _accept([event])
    if isinstance(outcome, Refusal):
        headers = _retry_after() if outcome.status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        return problem(outcome.status, outcome.detail, outcome.faults, headers)
    return answer(HTTPStatus.ACCEPTED, {"eventId": outcome.event_id, "status": "accepted"})


def _batch(request: Mapping[str, Any], caller: Caller) -> Answer:
    """Answers 207: one result for each event, in their order, as it would have been answered alone."""
    try:
        events = json.loads(read_body(request, MAX_BATCH_BYTES)).get("events")
    except (AttributeError, ValueError, RecursionError):
        raise InvalidEvent([Fault("#", 'must be a JSON object, as in {"events": [{"type": "login", ...}]}')]) from None
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_BATCH_EVENTS:
        raise InvalidEvent([Fault("#/events", f"must be a list of 1 to {MAX_BATCH_EVENTS} events")])
    outcomes = _accept(_one_after_the_other([_taken_of_batch(item, caller) for item in events]))
    return answer(HTTPStatus.MULTI_STATUS, {"results": [_result(outcome) for outcome in outcomes]})


def _result(outcome: Event | Refusal) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        return problem_document(outcome.status, outcome.detail, outcome.faults)
    return {"status": int(HTTPStatus.ACCEPTED), "eventId": outcome.event_id}


def _taken_of_batch(item: object, caller: Caller) -> Event | Refusal:
    if not isinstance(item, dict):
        return _taken(json.dumps(item).encode(), caller, "logout")
    event_type = item.pop("type", None)
    if event_type not in get_args(EventType):
        sentence = f"must be one of {', '.join(get_args(EventType))}"
        return Refusal(HTTPStatus.BAD_REQUEST, f"#/type: {sentence}", [Fault("#/type", sentence)])
    text = json.dumps(item).encode()
    if len(text) > MAX_EVENT_BYTES:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(MAX_EVENT_BYTES))
    return _taken(text, caller, event_type)


def _one_after_the_other(taken: list[Event | Refusal]) -> list[Event | Refusal]:
    """Each event older than the next of its device: stamped in one millisecond they would tie, and all but one lose."""
    newest: dict[str, int] = {}
    counted: list[Event | Refusal] = []
    for outcome in reversed(taken):
        if isinstance(outcome, Event) and outcome.sequence == int(outcome.received_at.timestamp() * 1000):
            newest[outcome.group] = min(outcome.sequence, newest.get(outcome.group, MAX_SEQUENCE) - 1)
            counted.append(outcome.model_copy(update={"sequence": newest[outcome.group]}))
        else:
            counted.append(outcome)
    return counted[::-1]


def _taken(body: bytes, caller: Caller, event_type: EventType) -> Event | Refusal:
    """The event that a body is, bound to the person who is proven to send it."""
    now = datetime.now(UTC)
    try:
        call = _bound(Call.read(body, event_type, proven=caller.proven), caller)
    except InvalidEvent as invalid:
        refusal = Refusal(HTTPStatus.BAD_REQUEST, _summary(invalid), invalid.faults)
    except IncorrectToken as fault:
        refusal = Refusal(HTTPStatus.UNAUTHORIZED, str(fault))
    except Forbidden as fault:
        refusal = Refusal(HTTPStatus.FORBIDDEN, str(fault))
    else:
        return Event.stamp(call, event_type, caller.app_id, str(uuid7(now)), now, trusted=not caller.must_prove)
    count("Rejected", reason=refusal.status.phrase)
    logger().info("rejected", extra={"app": caller.app_id, "type": event_type, "status": int(refusal.status)})
    return refusal


def _bound(call: Call, caller: Caller) -> Call:
    if call.customer_id is not None and call.customer_id != caller.proven:
        if caller.proven is not None:
            raise Forbidden("The identity token is another customer's than customerId.")
        if caller.must_prove:
            raise IncorrectToken("Missing; a public key needs X-Identity-Token to speak for a customer")
    if caller.kind == "public":
        # A public key speaks from the person's own device, so the connection says more than the body could.
        seen = {"ip": caller.seen.ip, "user_agent": caller.seen.user_agent}
        return call.model_copy(update={"context": (call.context or Context()).model_copy(update=seen)})
    return call


def _caller(request: Mapping[str, Any], now: datetime) -> Caller:
    """Who sends the request, as the authorizer and the identity token say.

    Raises:
        IncorrectToken: there is an identity token, and it proves nothing.
    """
    context = request["requestContext"]
    known, connection = context["authorizer"], context.get("identity") or {}
    token = next((v for n, v in (request.get("headers") or {}).items() if n.lower() == "x-identity-token"), None)
    return Caller(
        app_id=known["appId"],
        kind=known["kind"],
        must_prove=known["kind"] == "public" and known["identity"] == "required",
        proven=None if token is None else _proven(token, known["appId"], now),
        seen=Context.model_construct(ip=connection.get("sourceIp"), user_agent=connection.get("userAgent") or None),
    )


def _proven(token: str, app_id: str, now: datetime) -> str:
    try:
        keys = settings.load(IdentityKeys, f"{identity_path()}/{app_id}")
    except SettingsUnavailable as fault:
        if fault.missing:
            raise IncorrectToken("The app has no identity key to check it by") from None
        raise
    return identity.verify(token, keys, now)


def _accept(taken: list[Event | Refusal]) -> list[Event | Refusal]:
    """Publishes the events among these, notes them in the ledger meanwhile, and says of each what became of it."""
    events = [event for event in taken if isinstance(event, Event)]
    if not events:
        return taken
    with ThreadPoolExecutor(max_workers=1) as beside:
        noted = beside.submit(_note, events)
        failed = topic.publish(events)
        noted.result()
    return [_told(outcome, failed) for outcome in taken]


def _told(outcome: Event | Refusal, failed: set[str]) -> Event | Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    known = {"event_id": outcome.event_id, "app": outcome.app_id, "type": outcome.type}
    if outcome.event_id in failed:
        count("Unavailable", type=outcome.type)
        logger().error("unavailable", extra=known)
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, _TRY_AGAIN)
    count("Accepted", type=outcome.type)
    logger().info("accepted", extra=known)
    return outcome


def _note(events: list[Event]) -> None:
    # What the ledger does not know of an event costs its receipt, never the event.
    try:
        Ledger(table()).accept(events)
    except LedgerUnavailable as fault:
        logger().warning("not noted", extra={"events": len(events), "reason": str(fault)})


def _summary(invalid: InvalidEvent) -> str:
    faults = "1 fault" if len(invalid.faults) == 1 else f"{len(invalid.faults)} faults"
    return f"The event has {faults}; nothing was accepted. {invalid}"


def _retry_after() -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_SECONDS)}
