"""google_data_manager on the local cloud: it signs in by the function's role, and Google takes what it sends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.cloud import Stack, running
from local.scenario import BROWSER, CONTACT, PHONE
from tests.e2e.conftest import CLOUD, Caller, empty_dead_letters
from tests.e2e.terminal import Terminal

AGENT = "google_data_manager"
ENABLED = {"EnabledAgents": "GoogleDataManager", "StatusAlarm": "true"}


@pytest.fixture(scope="module")
def google_stack() -> Iterator[Stack]:
    """A local cloud with this agent alone."""
    with running(f"{CLOUD}-google", lambda _line: None, ENABLED) as stack:
        yield stack


@pytest.fixture
def google(google_stack: Stack) -> Iterator[Caller]:
    """A caller whose agent is well and has nothing parked, and is so again afterwards."""
    caller = Caller(google_stack)
    yield caller
    caller.clear_faults()
    empty_dead_letters(google_stack)


def _events(caller: Caller, containing: str) -> list[dict[str, Any]]:
    """The events with this text that were ingested, one by one."""
    received = caller.wait_until_received(AGENT, containing)
    ingested = [one for one in received if one["path"] == "/v1/events:ingest"]
    return [event for one in ingested for event in one["body"]["events"] if containing in json.dumps(event)]


def test_a_login_is_delivered_with_googles_id_of_the_request(google: Caller, unique: Callable[[], str]) -> None:
    customer = unique()
    event_id = google.accepted("/login", {"customerId": customer, **CONTACT, **PHONE})
    receipt = google.receipt(event_id, AGENT, "delivered")
    assert receipt["reason"].startswith("request ")
    (event,) = _events(google, customer)
    assert (event["eventName"], event["eventSource"], event["destinationReferences"]) == ("login", "APP", ["android"])
    assert [list(one) for one in event["userData"]["userIdentifiers"]] == [["emailAddress"], ["phoneNumber"]]
    assert google.received_since(0, wrong="true") == []


def test_events_of_a_batch_go_together_and_a_refused_one_is_parked_alone(
    google: Caller, unique: Callable[[], str]
) -> None:
    customers = [unique() for _ in range(6)]
    events = [{"type": "login", "eventId": one, "customerId": one, **BROWSER} for one in customers]
    violation = {"field": "events.events[0].event_name", "reason": "INVALID_EVENT_NAME"}
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    error = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [detail]}}
    google.fault(AGENT, status=400, body=json.dumps(error), match=customers[3])
    assert google.call("/batch", {"events": events}).status_code == 207
    states = {one: google.receipt(one, AGENT, "delivered", "parked")["state"] for one in customers}
    assert [one for one, state in states.items() if state == "parked"] == [customers[3]]
    assert "INVALID_EVENT_NAME" in google.receipts(customers[3])[AGENT]["reason"]


def test_a_dry_run_shows_the_request_and_sends_none(google: Caller, unique: Callable[[], str]) -> None:
    customer = unique()
    answer = google.call("/dry-run", {"type": "login", "customerId": customer, **BROWSER}, key="secret")
    (request,) = answer.json()["agents"][AGENT]["requests"]
    assert request["body"]["events"][0]["userId"] == customer
    assert google.received(AGENT, customer) == []


def test_check_and_doctor_speak_of_it(google: Caller) -> None:
    terminal = Terminal(google.stack)
    rows = terminal.answered("agents", "check", AGENT)
    assert [row["result"] for row in rows] == ["passed"] * 4 + ["note"]
    findings = terminal.answered("doctor")["findings"]
    said = {one["finding"] for one in findings if one["about"] == AGENT}
    assert {"an alarm watches what Google says later of events", "no stream gets an app's events twice"} <= said
    assert [one for one in findings if one["about"] == AGENT and one["state"] != "ok"] == []


def test_a_role_that_is_not_admitted_holds_and_goes_on_by_itself(google: Caller, unique: Callable[[], str]) -> None:
    google.fault(AGENT, status=401, body="{}")
    event_id = google.accepted("/login", {"customerId": unique(), **BROWSER})
    assert google.receipt(event_id, AGENT, "held")["state"] == "held"
    google.clear_faults()
    assert google.receipt(event_id, AGENT, "delivered")["state"] == "delivered"
