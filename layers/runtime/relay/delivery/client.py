"""Exchanges with an agent: requests authorized, sent and their answers read, unless the agent's circuit is open."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Attempt, Send
from relay.agent.definition import Agent
from relay.agent.http import Request
from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.circuit import Circuit
from relay.delivery.outcome import TOLD
from relay.errors import CircuitOpen, CredentialsRefused, Unreachable

S = TypeVar("S", bound=BaseModel)

Answer = Verdict | CircuitOpen
"""What an agent's answer means, or that it was not asked."""


class AgentClient(NamedTuple, Generic[S]):
    """The line to one agent; `settings` are those that its requests were built with, `force_refresh` if read again just now."""

    agent: Agent[S]
    circuit: Circuit
    send: Send
    now: Callable[[], datetime]
    settings: S
    force_refresh: bool = False

    def tell(self, requests: Sequence[Request], done: int) -> tuple[Answer, int]:
        """Makes one event's requests, but for those done before, until one fails; its answer, and how many are done."""
        answer: Answer = Verdict(VerdictKind.DELIVERED, "nothing was left to send")
        for position, request in enumerate(requests[done:], done):
            answer = self._ask(request, 1)
            if isinstance(answer, CircuitOpen) or answer.kind not in TOLD:
                return answer, position
        return answer, len(requests)

    def send_batch(self, requests: Sequence[Request], in_time: Callable[[], bool]) -> list[Answer]:
        """Makes one request of many events'; if the agent refuses it for good, of each half, down to the culprit.

        What there is no time left for is to be tried later.
        """
        if self.agent.batching is None:
            raise TypeError(f"{self.agent.name} is told one event at a time")
        if not in_time():
            return [Verdict(VerdictKind.RETRY, "no time left")] * len(requests)
        answer = self._ask(self.agent.batching.merge(requests), len(requests))
        if len(requests) == 1 or isinstance(answer, CircuitOpen) or answer.kind is not VerdictKind.REJECTED:
            return [answer] * len(requests)
        middle = len(requests) // 2
        return self.send_batch(requests[:middle], in_time) + self.send_batch(requests[middle:], in_time)

    def _ask(self, request: Request, number: int) -> Answer:
        try:
            return self.circuit.call(partial(self._verdict, request, number))
        except CircuitOpen as held:
            return held

    def _verdict(self, request: Request, number: int) -> Verdict:
        agent = self.agent
        try:
            if agent.authorize:
                request = agent.authorize(request, self.settings, Attempt(self.now(), self.send, self.force_refresh))
            response = self.send(request)
        except Unreachable as fault:
            if fault.sent and not agent.repeatable:
                return Verdict(VerdictKind.UNCONFIRMED, f"in doubt: no answer: {fault}")
            return Verdict(VerdictKind.RETRY, f"no answer: {fault}")
        except CredentialsRefused as fault:
            return Verdict(VerdictKind.UNAUTHORIZED, str(fault))
        told = agent.batching.classify(response, number) if agent.batching else agent.classify(response)
        return told._replace(status=response.status)
