"""The functions' log lines: one JSON document for each thing that happens to an event."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ops.stage import client

Line = dict[str, Any]

MAX_PAGES = 5
OVERLAP_SECONDS = 10
"""CloudWatch returns a line only some seconds after it was written, and not in order."""


def lines(group: str, since: float, pattern: str = "", pages: int = MAX_PAGES) -> Iterator[Line]:
    """Yields the JSON lines of a log group since a time (epoch seconds) that match a filter pattern, oldest first.

    Each has `at`, the time of writing in epoch milliseconds, and `id`, CloudWatch's id of the line.
    """
    logs: dict[str, Any] = {"logGroupName": group, "startTime": int(since * 1000), "filterPattern": pattern}
    arguments = {name: value for name, value in logs.items() if value != ""}
    found = client("logs").get_paginator("filter_log_events").paginate(**arguments)
    for number, page in enumerate(found, 1):
        for event in page["events"]:
            line = _document(event["message"])
            if line is not None:
                # An emulator may return no id; stream, time and text identify a line as well.
                known = event.get("eventId") or f"{event['logStreamName']} {event['timestamp']} {event['message']}"
                yield {**line, "at": event["timestamp"], "id": known}
        if number >= pages:
            return


def _document(text: str) -> Line | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "message" in found else None


@dataclass
class Tail:
    """Reads the new lines of several log groups."""

    groups: list[str]
    since: float
    pattern: str = ""
    _seen: set[str] = field(default_factory=set)

    def look(self, now: float) -> list[Line]:
        """Returns the lines since the last call, in the order of writing."""
        look = partial(_look, since=self.since, pattern=self.pattern)
        with ThreadPoolExecutor(max_workers=len(self.groups) or 1) as pool:
            found = [line for part in pool.map(look, self.groups) for line in part if line["id"] not in self._seen]
        self._seen |= {line["id"] for line in found}
        self.since = max(self.since, now - OVERLAP_SECONDS)
        return sorted(found, key=lambda line: line["at"])


def _look(group: str, since: float, pattern: str) -> list[Line]:
    return list(lines(group, since, pattern))
