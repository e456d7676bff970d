"""Finds the requests that an agent received about one event, though not every vendor's request carries its id."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from local.sandbox.journal import Entry, Journal

SLACK = timedelta(seconds=1)
"""Between an answer and the receipt; both clocks are this machine's."""

FIELDS = ("customerId", "anonymousId", "email", "phone")


def requests_of(
    journal: Journal, agent: str, event: Mapping[str, Any], marks: Iterable[str]
) -> tuple[list[Entry], str]:
    """Gives an event's requests at an agent, and how they were found: by `id`, by `person` and time, or by `time`.

    `event` is the API's answer to `GET /v1/events/{eventId}`; `marks` are values that its requests may hold.
    """
    receipt = event["agents"][agent]
    since = _shifted(event["acceptedAt"], -SLACK)
    until = _shifted(receipt["at"], SLACK) if receipt.get("at") else "9999"
    window = [one for one in journal.between(agent, since, until) if not one.is_probe]
    by_id = list(_holding(window, [event["eventId"]]))
    by_mark = list(_holding(window, [mark for mark in marks if mark]))
    if by_id:
        same = {one.number for one in by_id} | {one.number for one in by_mark if _is_near(one, by_id)}
        return [one for one in reversed(window) if one.number in same], "id"
    if by_mark:
        return by_mark[::-1], "person"
    # A receipt is written right after the answer.
    return window[:1] if receipt.get("attempts") else [], "time"


def marks_of(body: Mapping[str, Any]) -> list[str]:
    """Lists the values of an event that a vendor's request about it may hold in clear."""
    device, ids = body.get("device") or {}, body.get("ids") or {}
    values = [body.get(name) for name in FIELDS] + [device.get("id"), device.get("pushToken"), *ids.values()]
    return [value for value in values if isinstance(value, str)]


def _holding(entries: Iterable[Entry], marks: list[str]) -> Iterator[Entry]:
    for one in entries:
        text = f"{one.request.path} {dict(one.request.query)} {one.request.body.decode(errors='replace')}"
        if any(mark in text for mark in marks):
            yield one


def _is_near(one: Entry, others: Iterable[Entry]) -> bool:
    return any(abs(_time(one.received_at) - _time(other.received_at)) <= SLACK for other in others)


def _shifted(moment: str, by: timedelta) -> str:
    return (_time(moment) + by).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
