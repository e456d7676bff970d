"""ingest: takes a caller's event on, or says exactly what is wrong with it."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relay import aws
from relay.environment import topic_arn
from relay.errors import InvalidEvent, TooLarge
from relay.event import Call, Context, Event, EventType
from relay.log import count, logger
from relay.problem import Answer, answer, problem
from relay.uuid7 import uuid7

EVENT_TYPES: dict[str, EventType] = {"/login": "login", "/logout": "logout"}
MAX_BODY_BYTES = 32 * 1024
RETRY_AFTER_SECONDS = 2


def handler(request: Mapping[str, Any], _context: object) -> Answer:
    """Answers an API Gateway proxy request: 202 once the event is durably in the topic, 4xx or 503 otherwise."""
    if request["resource"] == "/health":
        return answer(HTTPStatus.OK, {"status": "ok"})
    event_type = EVENT_TYPES[request["resource"]]
    caller = request["requestContext"]["authorizer"]
    try:
        event = _event(request, caller, event_type, datetime.now(UTC))
    except InvalidEvent as invalid:
        count("Rejected", type=event_type)
        logger().info("rejected", extra={"app": caller["appId"], "type": event_type, "faults": len(invalid.faults)})
        return problem(HTTPStatus.BAD_REQUEST, _summary(invalid), invalid.faults)
    except TooLarge as fault:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(fault))
    try:
        _publish(event)
    except (BotoCoreError, ClientError) as fault:
        count("Unavailable", type=event_type)
        logger().error("unavailable", extra={"event_id": event.event_id, "kind": type(fault).__name__})
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The event was not accepted; send it again with the same eventId.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    count("Accepted", type=event_type)
    logger().info("accepted", extra={"event_id": event.event_id, "app": event.app_id, "type": event_type})
    return answer(HTTPStatus.ACCEPTED, {"eventId": event.event_id, "status": "accepted"})


def _event(request: Mapping[str, Any], caller: Mapping[str, str], event_type: EventType, now: datetime) -> Event:
    call = Call.read(_body(request), event_type)
    if caller["kind"] == "public":
        # A public key speaks from the person's own device, so the connection says more than the body could.
        identity = request["requestContext"]["identity"]
        seen = {"ip": identity.get("sourceIp"), "user_agent": identity.get("userAgent") or None}
        call = call.model_copy(update={"context": (call.context or Context()).model_copy(update=seen)})
    return Event.stamp(call, event_type, caller["appId"], str(uuid7(now)), now)


def _body(request: Mapping[str, Any]) -> bytes:
    body = request.get("body") or ""
    raw = base64.b64decode(body) if request.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge(f"An event may have {MAX_BODY_BYTES} bytes at most; leave out what no agent needs.")
    # A logout needs no parameters, so it needs no body either.
    return raw or b"{}"


def _publish(event: Event) -> None:
    """Hands the event to the topic: one group per device, so that what happens on a device is told in order."""
    device = event.device.id or event.anonymous_id or event.customer_id or event.event_id
    aws.sns().publish(
        TopicArn=topic_arn(),
        Message=event.dump(),
        MessageGroupId=_digest(event.app_id, device),
        MessageDeduplicationId=_digest(event.app_id, event.event_id),
        MessageAttributes={"type": {"DataType": "String", "StringValue": event.type}},
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _summary(invalid: InvalidEvent) -> str:
    faults = "1 fault" if len(invalid.faults) == 1 else f"{len(invalid.faults)} faults"
    return f"The event has {faults}; nothing was accepted. {invalid}"
