"""A batch as its caller sends it: `{"events": [...]}`, each event with a type and faults of its own."""

import re
from typing import Any

from relay.body import Body
from relay.errors import Fault, InvalidEvent, RelayError
from relay.event import MAX_SEQUENCE, Event
from relay.pointer import ROOT, below

MAX_EVENTS = 100
_OF_EVENT = re.compile(r"#/events/([0-9]+)(.*)", re.DOTALL)


def listed(body: Body) -> tuple[list[Any], dict[int, list[Fault]]]:
    """The events of a batch as they were sent, and the faults of each by its position, with places in that event.

    Raises:
        InvalidEvent: it is no batch.
    """
    document = body.document
    if not isinstance(document, dict):
        raise InvalidEvent([Fault(ROOT, 'must be a JSON object, as in {"events": [{"type": "login", ...}]}')])
    of_events: dict[int, list[Fault]] = {}
    of_batch = [
        Fault(below(ROOT, name), "is not a known field here; remove it") for name in document.keys() - {"events"}
    ]
    for fault in body.faults:
        inside = _OF_EVENT.fullmatch(fault.pointer)
        if inside:
            of_events.setdefault(int(inside[1]), []).append(Fault(ROOT + inside[2], fault.detail))
        else:
            of_batch.append(fault)
    events = document.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        of_batch = [Fault("#/events", f"must be a list of 1 to {MAX_EVENTS} events"), *of_batch]
    if of_batch:
        Body(body.text, document, tuple(of_batch)).sound()
    return list(events or []), of_events


def one_after_the_other(taken: list[Event | RelayError]) -> list[Event | RelayError]:
    """Each event older than the next of its device: stamped in one millisecond they would tie, and all but one lose."""
    newest: dict[str, int] = {}
    counted: list[Event | RelayError] = []
    for outcome in reversed(taken):
        if isinstance(outcome, Event) and outcome.sequence == int(outcome.received_at.timestamp() * 1000):
            newest[outcome.group] = min(outcome.sequence, newest.get(outcome.group, MAX_SEQUENCE) - 1)
            counted.append(outcome.model_copy(update={"sequence": newest[outcome.group]}))
        else:
            counted.append(outcome)
    return counted[::-1]
