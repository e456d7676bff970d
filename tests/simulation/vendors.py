"""The agents of a simulated month: each answers by its weather, and remembers what it has done."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from bench.canned_responses import answer
from functions.agents.appsflyer import app as appsflyer
from functions.agents.dashx import app as dashx
from functions.agents.eitri_push import app as eitri_push
from functions.agents.emarsys import app as emarsys
from functions.agents.facebook import app as facebook
from functions.agents.google import app as google
from local import settings as local_settings
from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.errors import Unreachable
from relay.event.model import Event
from tests.integration.simulated_dynamodb import Crash
from tests.simulation.clock import Clock
from tests.simulation.weather import Weather

AGENTS: dict[str, Agent[Any]] = {
    made.AGENT.name: made.AGENT for made in (appsflyer, facebook, google, eitri_push, emarsys, dashx)
}
SETTINGS = {name: json.dumps(value) for name, value in local_settings.agents("https://vendors.example.com").items()}

HOSTILE = ("9" * 400, "-1", "Fri, 31 Dec 9999 23:59:59 GMT", "1e400", "soon", "7200")
_STATUSES = {"down": 503, "busy": 429, "credentials": 401}
_OFTEN, _SELDOM = 1 / 2, 1 / 40
PARALLEL = 16
"""Requests of a function that are under way at once, so that one takes this part of its time from all of them."""


class Done(NamedTuple):
    """A request that a vendor took on, at a number in the order of all of its requests."""

    turn: int
    event: str
    position: int


class Vendor:
    """One agent's vendor; `doubts` are events of which the runtime cannot know whether a request was taken on.

    `luck` says what troubles the cloud; `meanwhile` is called now and then while a request is under way.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a vendor is made of
        self,
        name: str,
        clock: Clock,
        random: Random,
        weather: Weather,
        luck: Callable[[str], bool],
        meanwhile: Callable[[], None],
    ) -> None:
        self.name, self.clock, self.random, self.weather = name, clock, random, weather
        self.luck, self.meanwhile = luck, meanwhile
        self.is_steady = False
        """Whether a trouble meets every request."""
        self.bad: set[str] = set()
        self.done: list[Done] = []
        self.sent: set[str] = set()
        self.doubts: set[str] = set()
        self.requests = 0
        self.looks: defaultdict[str, int] = defaultdict(int)
        self.agent = replace(AGENTS[name], build_requests=self._build)

    def _build(self, event: Event, settings: Any) -> list[Request]:
        """The agent's requests, with a header by which this vendor knows the delivery; Facebook's are known as such."""
        requests = AGENTS[self.name].build_requests(event, settings)
        self.looks[event.event_id] += 1
        if self.agent.batching:
            return requests
        return [
            request._replace(headers={**request.headers, "x-simulated": f"{event.event_id} {position}"})
            for position, request in enumerate(requests)
        ]

    def _known(self, request: Request) -> list[tuple[str, int]]:
        if self.agent.batching:
            return [(one["event_id"], 0) for one in json.loads(request.body)["data"]]
        event, position = str(request.headers["x-simulated"]).split()
        return [(event, int(position))]

    def send(self, request: Request) -> Response:
        """Answers a request as the weather of the moment has it."""
        self.requests += 1
        known = self._known(request)
        trouble = self._trouble()
        if trouble == "unreachable":
            self.clock.pass_(2 / PARALLEL)
            raise Unreachable("ConnectTimeout", sent=False)
        self.clock.pass_((5 if trouble == "hanging" else 0.1) / PARALLEL)
        self.meanwhile()
        self.sent |= {event for event, _ in known}
        if self.luck("crashing") and self.random.random() < _SELDOM:
            raise Crash
        if trouble == "hanging":
            return self._hang(known, request)
        return self._answer(trouble, known, request)

    def _trouble(self) -> str:
        trouble = self.weather.at(self.clock.now)
        if trouble == "flaky":
            return self.random.choice(("down", "hanging", "unreachable", "busy", "garbage", "", "", "", ""))
        return trouble if self.is_steady or self.random.random() < 39 * _SELDOM else ""

    def _hang(self, known: Sequence[tuple[str, int]], request: Request) -> Response:
        """No answer in time; whether the work was done nobody knows."""
        self.doubts |= {event for event, _ in known}
        if self.random.random() < _OFTEN:
            self._work(known, request)
        raise Unreachable("ReadTimeout", sent=True)

    def _answer(self, trouble: str, known: Sequence[tuple[str, int]], request: Request) -> Response:
        if trouble in _STATUSES:
            return Response(_STATUSES[trouble], headers={"retry-after": "60"} if trouble == "busy" else {})
        if trouble == "hostile":
            return Response(429, b"[" * 70_000, {"retry-after": self.random.choice(HOSTILE)})
        if self.bad & {event for event, _ in known}:
            return Response(400, b'{"error":{"code":100,"message":"bad"},"errors":[{"message":"bad"}]}')
        answered = self._work(known, request)
        if trouble == "garbage":
            self.doubts |= {event for event, _ in known}
            return Response(200, b"[" * 70_000)
        if self.luck("crashing") and self.random.random() < _SELDOM:
            raise Crash
        return answered

    def _work(self, known: Sequence[tuple[str, int]], request: Request) -> Response:
        if not self.bad & {event for event, _ in known}:
            self.done += [Done(self.requests, event, position) for event, position in known]
        path = request.url.removeprefix("https://vendors.example.com")
        answer_of = answer(path, {}, request.body, {})
        return Response(answer_of.status, answer_of.body)

    def taken(self) -> Iterator[Done]:
        """What the vendor has done, in order."""
        yield from self.done
