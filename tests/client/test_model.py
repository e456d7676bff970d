"""Random lives of a phone against a model: what the relay accepts, and in which order, is what the model says."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.client.conftest import App
from tests.client.service import Fault, Relay, token

PEOPLE = ("ana-1", "bruno-2")
STORM = [
    Fault(503, {}, '{"status":503}'),
    Fault(500),
    Fault(408),
    Fault(429, {}, '{"status":429}'),
    Fault(200, {"Content-Type": "text/html"}, "<h1>Wi-Fi</h1>"),
    Fault(),
    Fault(works=True),
    Fault(502, works=True),
]
STEPS = int(os.environ.get("CLIENT_MODEL_STEPS", "12"))
LIVES = int(os.environ.get("CLIENT_MODEL", "6"))


@dataclass
class Model:
    """A phone, as it should be: who is on it, what waits, and what has arrived."""

    visitor: int = 0
    person: str | None = None
    push: str | bool | None = None
    ended: set[str] = field(default_factory=set)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[dict[str, Any]] = field(default_factory=list)

    def happens(self, kind: str, **more: Any) -> None:
        """An event of the person who is here."""
        self.waiting.append({"type": kind, "who": self.person, "visitor": self.visitor, "push": self.push, **more})

    def leaves(self) -> None:
        """The person goes, and so do the visitor's id and the push token."""
        self.happens("logout")
        self.visitor, self.person, self.push = self.visitor + 1, None, None

    def arrives(self, person: str) -> None:
        """A person comes; the one who was here leaves."""
        if self.person not in {None, person}:
            self.leaves()
        self.person = person

    def sends(self) -> None:
        """All that waits arrives, but for what nobody can speak for any more."""
        for event in self.waiting:
            if event["who"] in self.ended and event["who"] != self.person:
                if event["type"] == "logout":
                    self.arrived.append({**event, "who": None})
            else:
                self.arrived.append(event)
        self.waiting = []


class Phone(RuleBasedStateMachine):
    """Calls, faults, restarts and tokens that end, in any order, on a page in Chromium."""

    app: App
    relay: Relay

    @initialize()
    def begins(self) -> None:
        """A page of which nothing is stored, and a relay that has received nothing."""
        self.relay.reset()
        self.relay.must_prove = True
        self.app.page.goto(self.app.url)
        self.app.page.evaluate("localStorage.clear()")
        self.model, self.number = Model(), 0
        self.tokens: dict[str, str] = {}
        for person in PEOPLE:
            self._renew(person)
        self._starts()

    def _starts(self) -> None:
        self.app.reload("{identityToken: (uid) => window.tokens[uid]}")
        self._hands_over()
        self.app.page.evaluate("dispatchEvent(new Event('online'))")

    def _hands_over(self) -> None:
        self.app.page.evaluate("(tokens) => { window.tokens = tokens; }", self.tokens)

    def _renew(self, person: str) -> None:
        self.tokens[person] = token(person)
        self.model.ended.discard(person)

    @rule(person=st.sampled_from(PEOPLE), call=st.sampled_from(["notifyLogin", "signup"]))
    def enters(self, person: str, call: str) -> None:
        """A login or a signup."""
        self.app.call(f"{call}({{customerId: '{person}', identityToken: '{self._comes(person)}'}})")
        self.model.arrives(person)
        self.model.happens({"notifyLogin": "login"}.get(call, call))

    @rule(person=st.sampled_from(PEOPLE))
    def is_known(self, person: str) -> None:
        """The app says who is here."""
        self.app.call(f"setIdentity('{person}', '{self._comes(person)}')")
        self.model.arrives(person)

    def _comes(self, person: str) -> str:
        # Whose token has ended cannot come back with it: the back end gives out another.
        if person in self.model.ended:
            self._renew(person)
            self._hands_over()
        return str(self.tokens[person])

    @rule()
    def logs_out(self) -> None:
        """A logout, of a person or of nobody."""
        self.app.call("notifyLogout()")
        self.model.leaves()

    @rule()
    def is_reset(self) -> None:
        """A reset: a logout where there is anyone, or anything, to forget."""
        self.app.call("reset()")
        if self.model.person or self.model.push:
            self.model.leaves()
        else:
            self.model.visitor, self.model.push = self.model.visitor + 1, None

    @rule(call=st.sampled_from(["open", "identify"]))
    def does(self, call: str) -> None:
        """The app is opened, or a profile changes."""
        self.app.call(f"{call}({{traits: {{firstName: 'A'}}}})")
        self.model.happens(call)

    @rule(times=st.integers(1, 3))
    def tracks(self, times: int) -> None:
        """Several things happen at once."""
        names = [f"n{self.number + number}" for number in range(times)]
        self.number += times
        self.app.page.evaluate("(names) => Promise.all(names.map((name) => relay.track(name)))", names)
        for name in names:
            self.model.happens("track", name=name)

    @rule(value=st.sampled_from(["fcm-1", "fcm-2", False]))
    def pushes(self, value: str | bool) -> None:  # noqa: FBT001
        """Push is accepted, renewed or declined."""
        self.app.page.evaluate("(value) => relay.pushToken(value)", value)
        self.model.happens("push_token")
        self.model.push = self.model.waiting[-1]["push"] = value

    @rule(faults=st.lists(st.sampled_from(STORM), min_size=1, max_size=4))
    def storms(self, faults: list[Fault]) -> None:
        """The next calls fail."""
        self.relay.fails(*faults)

    @rule()
    def is_cut_off(self) -> None:
        """The network goes, until the phone sends again."""
        self.relay.always = Fault()

    @rule()
    def restarts(self) -> None:
        """The page is loaded again, in the middle of whatever it does."""
        self._starts()

    @precondition(lambda self: not self.model.waiting and not self.relay.always)
    @rule(person=st.sampled_from(PEOPLE))
    def is_disowned(self, person: str) -> None:
        """A token ends, while nothing can be sent."""
        self.relay.always = Fault()
        self.relay.refused_tokens.add(self.tokens[person])
        self.model.ended.add(person)
        if self.model.person == person:
            # The app has another at once, for as long as its person is here.
            self.tokens[person] = token(person)
            self._hands_over()

    @rule()
    def sends(self) -> None:
        """The network is back, and all is sent."""
        self.relay.always = None
        self.app.drain()
        self.model.sends()
        self.agrees()

    def teardown(self) -> None:
        """At the end all has arrived."""
        if hasattr(self, "model"):
            self.sends()

    def agrees(self) -> None:
        """What was accepted is what the model says, in the order of the calls, each with its person and visitor."""
        visitors: dict[str, int] = {}
        for event in self.relay.accepted:
            visitors.setdefault(event["anonymousId"], len(visitors))
        order = {number: at for at, number in enumerate(dict.fromkeys(one["visitor"] for one in self.model.arrived))}
        assert [_seen(event, visitors) for event in self.relay.accepted] == [
            (one["type"], one.get("name"), one["who"], order[one["visitor"]], one["push"]) for one in self.model.arrived
        ]
        sequences = [event["sequence"] for event in self.relay.accepted]
        assert sequences == sorted(set(sequences))


def _seen(event: dict[str, Any], visitors: dict[str, int]) -> tuple[Any, ...]:
    push = event["device"].get("pushToken")
    return event["type"], event.get("name"), event.get("customerId"), visitors[event["anonymousId"]], push


def _lives(app: App, relay: Relay, number: int) -> Callable[[], None]:
    class Lives(Phone):
        pass

    Lives.app, Lives.relay = app, relay
    chosen = settings(
        max_examples=number,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        derandomize=number < 10,
    )
    return lambda: run_state_machine_as_test(Lives, settings=chosen)


def test_in_any_life_the_relay_accepts_what_the_model_says(app: App, relay: Relay) -> None:
    _lives(app, relay, LIVES)()
