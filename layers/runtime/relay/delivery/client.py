"""The client of one agent: authorizes and sends requests, and reads the responses, unless the circuit is open."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Attempt, Send
from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict, VerdictKind, is_outage
from relay.delivery.circuit import Circuit
from relay.delivery.outcome import MAX_REASON
from relay.errors import CircuitOpen, CredentialsRefused, OutOfTime, Unreachable

S = TypeVar("S", bound=BaseModel)

Result = Verdict | CircuitOpen | OutOfTime
"""The verdict on an agent's response, or why nothing was sent."""

_SENT = {VerdictKind.DELIVERED, VerdictKind.UNCONFIRMED}
_NO_TIME = "no time left"


def within_time(send: Send, has_time: Callable[[], bool]) -> Send:
    """Sends as `send` does, but begins no request that may not end before the function does; raises OutOfTime then."""

    def send_in_time(request: Request) -> Response:
        if not has_time():
            raise OutOfTime(_NO_TIME)
        return send(request)

    return send_in_time


class AgentClient(NamedTuple, Generic[S]):
    """The client of one agent by the settings that its requests were built with.

    `has_time` says whether a request can end before the function does. `force_refresh` is True if the settings were
    just read again because the agent refused the ones before.
    """

    agent: Agent[S]
    circuit: Circuit
    send: Send
    now: Callable[[], datetime]
    has_time: Callable[[], bool]
    settings: S
    force_refresh: bool = False

    def send_all(self, requests: Sequence[Request], done: int) -> tuple[Result, int]:
        """Sends the requests of one event, without the first `done`, until one fails.

        The last result, and how many requests are done.
        """
        result: Result = Verdict(VerdictKind.DELIVERED, "nothing was left to send")
        for position, request in enumerate(requests[done:], done):
            result = self._send(request, 1)
            if not isinstance(result, Verdict) or result.kind not in _SENT:
                return result, position
        return result, len(requests)

    def send_joined(self, requests: Sequence[Request]) -> Result:
        """Sends one request that stands for the requests of many events."""
        if self.agent.batching is None:
            raise TypeError(f"{self.agent.name} takes one event a request")
        return self._send(self.agent.batching.merge(requests), len(requests))

    def _send(self, request: Request, number: int) -> Result:
        if not self.has_time():
            return OutOfTime(_NO_TIME)
        try:
            verdict = self.circuit.call(partial(self._verdict, request, number))
            if verdict.kind is VerdictKind.RETRY and is_outage(verdict):
                # A probe that failed: its delivery waits for the agent as the others do, not by the retry schedule.
                self.circuit.check()
        except (CircuitOpen, OutOfTime) as unsent:
            return unsent
        return verdict

    def _verdict(self, request: Request, number: int) -> Verdict:
        try:
            request = self._authorized(request)
        except Unreachable as fault:
            # A token endpoint that keeps silent: of the events nothing was sent.
            return Verdict(VerdictKind.RETRY, f"no answer: {fault}")
        except CredentialsRefused as fault:
            return Verdict(VerdictKind.UNAUTHORIZED, str(fault))
        try:
            # A new token may have taken as long as requests may.
            response = self._send_in_time(request) if self.agent.authorize else self.send(request)
        except Unreachable as fault:
            if fault.sent and not self.agent.repeatable:
                return Verdict(VerdictKind.UNCONFIRMED, f"in doubt: no answer: {fault}")
            return Verdict(VerdictKind.RETRY, f"no answer: {fault}")
        verdict = self._classify(response, number)
        return verdict._replace(status=response.status, reason=verdict.reason[:MAX_REASON])

    def _authorized(self, request: Request) -> Request:
        authorize = self.agent.authorize
        attempt = Attempt(self.now(), self._send_in_time, self.force_refresh)
        return authorize(request, self.settings, attempt) if authorize else request

    @property
    def _send_in_time(self) -> Send:
        return within_time(self.send, self.has_time)

    def _classify(self, response: Response, number: int) -> Verdict:
        agent = self.agent
        try:
            return agent.batching.classify(response, number) if agent.batching else agent.classify(response)
        except Exception as bug:  # noqa: BLE001 - a response that cannot be read costs its own delivery alone
            reason = f"HTTP {response.status}, which cannot be read: {type(bug).__name__}"
            kind = VerdictKind.RETRY if agent.repeatable else VerdictKind.UNCONFIRMED
            return Verdict(kind, reason)
