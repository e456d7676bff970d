"""Events that carry their type, alone and in a batch `{"events": [...]}`, each with errors of its own."""

import json
import re
from typing import Any

from relay.api.body import Body
from relay.errors import FieldError, InvalidEvent, RelayError
from relay.event.faults import NOT_AN_OBJECT, ROOT, TOO_DEEP, child
from relay.event.model import EVENT_TYPES, Event, EventType

MAX_EVENTS = 100
_OF_EVENT = re.compile(r"#/events/([0-9]+)(.*)", re.DOTALL)


def parse_batch(body: Body) -> tuple[list[Any], dict[int, list[FieldError]]]:
    """The events of a batch as they were sent, and the faults of each by its position, with places in that event.

    Raises:
        InvalidEvent: it is no batch.
    """
    document = body.document
    if not isinstance(document, dict):
        raise InvalidEvent([FieldError(ROOT, 'must be a JSON object, as in {"events": [{"type": "login", ...}]}')])
    of_events: dict[int, list[FieldError]] = {}
    of_batch = [
        FieldError(child(ROOT, name), "is not a known field here; remove it") for name in document.keys() - {"events"}
    ]
    for fault in body.faults:
        inside = _OF_EVENT.fullmatch(fault.pointer)
        if inside:
            of_events.setdefault(int(inside[1]), []).append(FieldError(ROOT + inside[2], fault.detail))
        else:
            of_batch.append(fault)
    events = document.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        of_batch = [FieldError("#/events", f"must be a list of 1 to {MAX_EVENTS} events"), *of_batch]
    if of_batch:
        Body(body.text, document, tuple(of_batch)).valid_text()
    return list(events or []), of_events


def spread_sequences(taken: list[Event | RelayError]) -> list[Event | RelayError]:
    """Each event older than the next one of its device where both have the same time; sequences stay as they are.

    One that is sent again, with the sequence that it was given here, comes to the same place.
    """
    used: dict[str, set[int]] = {}
    counted: list[Event | RelayError] = []
    for outcome in reversed(taken):
        if isinstance(outcome, Event):
            known, sequence = used.setdefault(outcome.group, set()), outcome.sequence
            while outcome.ordered_by != "sequence" and sequence in known:
                sequence -= 1
            known.add(sequence)
            counted.append(outcome.model_copy(update={"sequence": sequence}))
        else:
            counted.append(outcome)
    return counted[::-1]


def parse_typed_event(document: object) -> tuple[EventType, dict[str, Any], str]:
    """An event that says its own type, as in a batch and in a dry run: its type, and the rest as JSON and as its text.

    Raises:
        InvalidEvent: it is no object, or its type is none that there is.
    """
    if not isinstance(document, dict):
        raise InvalidEvent([FieldError(ROOT, NOT_AN_OBJECT)])
    event_type = document.get("type")
    if event_type not in EVENT_TYPES:
        raise InvalidEvent([FieldError("#/type", f"must be one of {', '.join(EVENT_TYPES)}")])
    rest = {name: value for name, value in document.items() if name != "type"}
    try:
        return event_type, rest, json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise InvalidEvent([FieldError(ROOT, TOO_DEEP)]) from None
