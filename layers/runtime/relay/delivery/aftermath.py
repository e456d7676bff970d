"""What became later of requests that an agent took: asked of a sample, counted in metrics, reported in a log line."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from relay.agent.auth import Attempt, Send
from relay.agent.definition import Agent, RequestStatus
from relay.aws.log import emf, log_with_metrics, logger
from relay.delivery.client import within_time
from relay.errors import CredentialsRefused, LedgerUnavailable, OutOfTime, SettingsUnavailable, Unreachable
from relay.ledger.samples import Sample, Samples

LOOK_SECONDS = 60
"""How often at most a function's instance reads the sample's row."""

_looked: dict[str, float] = {}


@dataclass(slots=True)
class Aftermath:
    """The requests of a batch that the agent took, the next sample among them; nothing here ever fails a delivery.

    `references` are the vendor's ids of the last request by each scope of settings, and those settings.
    """

    agent: Agent[Any]
    samples: Samples
    send: Send
    references: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def note(self, scope: str, settings: object, reference: str) -> None:
        """Notes a request that the agent took."""
        if reference:
            self.references[scope] = (reference, settings)

    def look(self, has_time: Callable[[], bool]) -> None:
        """Asks what became of the sample, where that is due, its settings have just delivered, and there is time."""
        if (
            not self.references
            or not has_time()
            or monotonic() - _looked.get(self.agent.name, -LOOK_SECONDS) < LOOK_SECONDS
        ):
            return
        _looked[self.agent.name] = monotonic()
        for scope, (reference, settings) in self.references.items():
            try:
                self._look(scope, reference, settings, within_time(self.send, has_time))
            except (LedgerUnavailable, SettingsUnavailable, CredentialsRefused, Unreachable, OutOfTime) as fault:
                _report(logging.WARNING, self.agent.name, {"reason": f"not known: {fault}"})
            except Exception as bug:  # noqa: BLE001 - the events were delivered, whatever goes wrong here
                logger().error("fault", extra={"agent": self.agent.name, "kind": type(bug).__name__})

    def _look(self, scope: str, reference: str, settings: object, send: Send) -> None:
        sample = self.samples.due(scope, reference)
        if sample is None:
            return
        status = self._asked(sample, settings, send)
        if (status and status.is_final) or sample.is_over:
            self.samples.follow(sample, reference)
            self._count(sample, status or RequestStatus(is_final=False))

    def _asked(self, sample: Sample, settings: object, send: Send) -> RequestStatus | None:
        question = self.agent.batching.status if self.agent.batching else None
        if question is None:
            return None
        request = question.build(sample.reference, settings)
        if self.agent.authorize:
            request = self.agent.authorize(request, settings, Attempt(self.samples.now(), send, force_refresh=False))
        response = send(request)
        status = question.read(response)
        if status is None:
            reason = f"not known: HTTP {response.status}"
            _report(logging.WARNING, self.agent.name, {"reference": sample.reference, "reason": reason})
        return status

    def _count(self, sample: Sample, status: RequestStatus) -> None:
        """Reports the sample's last word: events that it held, and those that the agent could not use after all."""
        faulty = sum(status.faults.values())
        reason = ", ".join(f"{code}: {events}" for code, events in status.faults.items())
        if not status.is_final:
            faulty, reason = max(faulty, 1), "no last word within a day"
        line = {"reference": sample.reference, "events": status.events, "faulty": faulty, "reason": reason}
        metrics = emf(
            {("agent",): {"SampledFaulty": faulty}, (): {"SampledFaulty": faulty}},
            self.agent.name,
        )
        _report(logging.WARNING if faulty else logging.INFO, self.agent.name, line, metrics)


def forget() -> None:
    """Forgets when samples were looked at, as a new function instance does."""
    _looked.clear()


def _report(level: int, agent: str, line: Mapping[str, Any], metrics: Mapping[str, Any] | None = None) -> None:
    log_with_metrics(level, "status", {"agent": agent, **line}, metrics or {})
