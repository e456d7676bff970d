"""The report of a batch: a log line for each delivery, the last of which carries the batch's metrics."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from relay.aws.log import MAX_VALUES, NO_METRICS, Metrics, emf, log_with_metrics
from relay.aws.trace import annotate
from relay.delivery.outcome import Outcome
from relay.event.model import Event
from relay.ledger.states import SENT, TERMINAL, DeliveryState

_COUNTED = TERMINAL | {DeliveryState.RETRYING, DeliveryState.HELD}
_WARNINGS = {DeliveryState.PARKED, DeliveryState.HELD, DeliveryState.WAITING, DeliveryState.UNSETTLED}


@dataclass(slots=True)
class Report:
    """The outcomes of one batch of an agent's deliveries, reported from several threads."""

    agent: str
    states: Counter[str] = field(default_factory=Counter)
    superseded: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    in_doubt: int = 0
    seconds: list[float] = field(default_factory=list)
    _last: tuple[str, dict[str, Any]] | None = None
    _lock: Lock = field(default_factory=Lock)

    def add(self, event: Event | None, outcome: Outcome, now: datetime, milliseconds: float) -> None:
        """Reports one delivery, which took so long.

        The one before it is written: the last line is kept for the batch's metrics.
        """
        known = {"event_id": event.event_id, "app": event.app_id, "type": event.type} if event else {}
        line = {
            "agent": self.agent,
            **known,
            "attempt": outcome.attempts,
            "ms": round(milliseconds),
            "reason": outcome.reason,
            "wait": outcome.wait,
            "late_by": outcome.late_by,
            "ordered_by": event.ordered_by if event and outcome.late_by is not None else None,
        }
        if event:
            annotate(
                event_id=event.event_id,
                state=outcome.state,
                agent=self.agent,
                app=event.app_id,
                attempt=outcome.attempts or 0,
                milliseconds=milliseconds,
            )
        with self._lock:
            self.states[outcome.state] += 1
            self.refused += outcome.refused
            if event and outcome.late_by is not None:
                self.superseded[event.app_id] += 1
            self.in_doubt += outcome.in_doubt
            if event and outcome.state in SENT:
                self.seconds.append(round((now - event.received_at).total_seconds(), 2))
            if self._last:
                _write(*self._last)
            self._last = (outcome.state, {name: value for name, value in line.items() if value not in {None, ""}})

    def close(self) -> None:
        """Writes the last line, with the batch's metrics."""
        if self._last:
            state, line = self._last
            first, *rest = self._metrics()
            _write(state, line, emf(first, self.agent))
            for more in rest:
                _write("more", {}, emf(more, self.agent))
            for app, number in self.superseded.items():
                _write("more", {"app": app}, emf({("app",): {"Superseded": number}}, self.agent))

    def _metrics(self) -> Iterator[dict[tuple[str, ...], Metrics]]:
        """The metrics by their dimensions beside the stage, a line's worth at a time."""
        ended = sum(self.states[state] for state in TERMINAL)
        counts = {state.capitalize(): number for state, number in self.states.items() if state in _COUNTED}
        refused = {"CredentialsRefused": self.refused}
        # A metric costs by the hour in which it has data, and this one seldom has any.
        doubts = {"InDoubt": self.in_doubt} if self.in_doubt else {}
        first, *rest = [self.seconds[at : at + MAX_VALUES] for at in range(0, len(self.seconds) or 1, MAX_VALUES)]
        yield {
            ("agent",): {**counts, **refused, **doubts, "DeliverySeconds": first},
            (): {"Settled": ended, **refused, **({"Unanswered": self.in_doubt} if self.in_doubt else {})},
        }
        for more in rest:
            yield {("agent",): {"DeliverySeconds": more}}


def _write(state: str, line: dict[str, Any], metrics: Mapping[str, Any] = NO_METRICS) -> None:
    log_with_metrics(logging.WARNING if state in _WARNINGS else logging.INFO, state, line, metrics)
