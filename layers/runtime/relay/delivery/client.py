"""The client of one agent: authorizes and sends requests, and reads the responses, unless the circuit is open."""

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
from relay.errors import CircuitOpen, CredentialsRefused, Unreachable

S = TypeVar("S", bound=BaseModel)

Result = Verdict | CircuitOpen
"""The verdict on an agent's response, or that nothing was sent."""

_SENT = {VerdictKind.DELIVERED, VerdictKind.UNCONFIRMED}


class AgentClient(NamedTuple, Generic[S]):
    """The client of one agent by the settings that its requests were built with.

    `force_refresh` is True if these were just read again because the agent refused the ones before.
    """

    agent: Agent[S]
    circuit: Circuit
    send: Send
    now: Callable[[], datetime]
    settings: S
    force_refresh: bool = False

    def send_all(self, requests: Sequence[Request], done: int) -> tuple[Result, int]:
        """Sends the requests of one event, without the first `done`, until one fails.

        The last result, and how many requests are done.
        """
        result: Result = Verdict(VerdictKind.DELIVERED, "nothing was left to send")
        for position, request in enumerate(requests[done:], done):
            result = self._send(request, 1)
            if isinstance(result, CircuitOpen) or result.kind not in _SENT:
                return result, position
        return result, len(requests)

    def send_batch(self, requests: Sequence[Request], has_time: Callable[[], bool]) -> list[Result]:
        """Sends one request for many events; if the agent rejects it, sends each half, down to the rejected event.

        Events for which no time is left are retried.
        """
        if self.agent.batching is None:
            raise TypeError(f"{self.agent.name} takes one event a request")
        if not has_time():
            return [Verdict(VerdictKind.RETRY, OUT_OF_TIME)] * len(requests)
        result = self._send(self.agent.batching.merge(requests), len(requests))
        if len(requests) == 1 or isinstance(result, CircuitOpen) or result.kind is not VerdictKind.REJECTED:
            return [result] * len(requests)
        middle = len(requests) // 2
        return self.send_batch(requests[:middle], has_time) + self.send_batch(requests[middle:], has_time)

    def _send(self, request: Request, number: int) -> Result:
        try:
            return self.circuit.call(partial(self._verdict, request, number))
        except CircuitOpen as circuit_open:
            return circuit_open

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
        verdict = agent.batching.classify(response, number) if agent.batching else agent.classify(response)
        return verdict._replace(status=response.status)


OUT_OF_TIME = "no time left"
"""Why a delivery is tried again whose function was about to end."""
