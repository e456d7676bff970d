"""What `relay status` calls wrong, what `relay forget` deletes, and what each vendor must be asked."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ops import agent_modules
from ops.forget import Person
from ops.stage import Stage
from ops.status import agent_findings, circuit_state
from relay.event.model import Event

CALM = {"agent": "dashx", "parked": 0, "circuit": "closed", "whyHeld": None}


@pytest.mark.parametrize(
    ("row", "finding", "fix"),
    [
        ({"parked": 50}, "50 parked", "relay parked list dashx --stage prod"),
        ({"circuit": "open"}, "circuit open: the agent is failing", "relay tail --agent dashx --stage prod"),
        ({"circuit": "half_open"}, "circuit half_open: the agent is failing", "relay tail --agent dashx --stage prod"),
        ({"whyHeld": "HTTP 401"}, "deliveries are held: HTTP 401", "relay agents check dashx --stage prod"),
        (
            {"whyHeld": "HTTP 401", "heldApp": "outlet"},
            "deliveries of outlet are held: HTTP 401",
            "relay agents check dashx --app outlet --stage prod",
        ),
    ],
)
def test_parked_messages_an_open_circuit_and_held_deliveries_are_wrong(
    row: dict[str, Any], finding: str, fix: str
) -> None:
    (found,) = agent_findings(Stage("prod"), {**CALM, **row})
    assert (found.state, found.about, found.finding, found.fix) == ("wrong", "dashx", finding, fix)


def test_an_agent_that_works_is_not_wrong() -> None:
    assert list(agent_findings(Stage("prod"), CALM)) == []


def _event(**fields: Any) -> Event:
    now = datetime.now(UTC).isoformat()
    stamps = {"type": "open", "appId": "shop", "eventId": "e", "occurredAt": now, "receivedAt": now, "sequence": 1}
    return Event.load(json.dumps({**stamps, **fields}))


@pytest.mark.parametrize(
    ("person", "is_theirs"),
    [
        (Person("shop", "phone-1", None, None), True),
        (Person("shop", None, "visitor-1", None), True),
        (Person("shop", None, None, "ana-1"), True),
        (Person("other", "phone-1", "visitor-1", "ana-1"), False),
        (Person("shop", "phone-2", None, "ana"), False),
        (Person("shop", None, None, None), False),
    ],
)
def test_an_event_is_a_persons_by_any_of_the_ids_that_were_given(person: Person, *, is_theirs: bool) -> None:
    event = _event(customerId="ana-1", anonymousId="visitor-1", device={"id": "phone-1"})
    assert person.matches(event) is is_theirs
    assert not person.matches(None)


def test_an_event_without_ids_is_nobodys() -> None:
    assert not Person("shop", None, None, "ana-1").matches(_event())


@pytest.mark.parametrize("agent", agent_modules.agent_names())
def test_every_agent_says_what_its_vendor_must_be_asked_and_where(agent: str) -> None:
    rows = agent_modules.erasure(agent)
    assert rows
    for row in rows:
        assert all(row[name] for name in ("identity", "request", "api"))
        assert re.match(r"(POST|DELETE) https://|none; ", row["api"])


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ({}, "closed"),
        ({"google": "CLOSED", "google#shop": "CLOSED"}, "closed"),
        ({"google": "OPEN", "google#shop": "OPEN"}, "open"),
        ({"google#shop": "OPEN"}, "open: shop"),
        ({"google_data_manager": "OPEN"}, "closed"),
    ],
)
def test_an_apps_own_circuit_is_shown_with_the_app(states: dict[str, str], shown: str) -> None:
    assert circuit_state("google", states) == shown
