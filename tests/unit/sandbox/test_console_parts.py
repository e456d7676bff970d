"""The console's server: probes are no violations, devices are put together, an event's requests are found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.sandbox.devices import Devices
from local.sandbox.exchange import Request, VendorResponse
from local.sandbox.journal import PROBE, Entry, Journal
from local.sandbox.matching import marks_of, requests_of
from local.sandbox.server import Sandbox
from ops import check

NOON = 1_795_176_000.0
TRACK = {"query": "mutation {\n trackEvent(", "variables": {"input": {"event": "Seen"}}}
ACCEPTED = "2026-11-20T12:00:00.000Z"
PAGE = Path("local/sandbox/page")


def _entry(
    journal: Journal, agent: str, body: Any, seconds: float = 0.0, headers: dict[str, str] | None = None
) -> Entry:
    return journal.add(agent, Request("POST", "/x", {}, headers or {}, json.dumps(body).encode()), NOON + seconds)


def _event(agent: str = "emarsys", event_id: str = "evt-1", **receipt: Any) -> dict[str, Any]:
    return {
        "eventId": event_id,
        "acceptedAt": ACCEPTED,
        "agents": {agent: {"state": "delivered", "attempts": 1, **receipt}},
    }


def test_a_probe_that_breaks_a_contract_on_purpose_is_no_violation() -> None:
    journal = Journal()
    probe, mistake = _entry(journal, "emarsys", {}, headers=check.PROBE), _entry(journal, "emarsys", {})
    probe.violations = mistake.violations = ["body: hardware_id is missing"]
    assert journal.summary() == {"emarsys": {"requests": 2, "withViolations": 1}}
    assert [entry["number"] for entry in journal.display(wrong=True)] == [mistake.number]
    assert [entry["probe"] for entry in journal.display()] == [True, False]


def test_the_mark_of_a_probe_is_the_one_that_the_sandbox_knows() -> None:
    assert list(check.PROBE) == [PROBE]


def test_an_answer_is_kept_with_its_request() -> None:
    entry = _entry(Journal(), "emarsys", {})
    entry.respond(VendorResponse.json(400, {"error": "x" * 5_000}))
    shown = entry.display()
    assert (shown["status"], shown["answer"][:10], len(shown["answer"])) == (400, '{"error": ', 4_000)


@pytest.mark.parametrize(
    ("agent", "path", "body", "subject"),
    [
        ("appsflyer", "/inappevent/com.example.shop", {"eventName": "af_login"}, "af_login"),
        ("facebook", "/v26.0/1/events", {"data": [{"event_name": "Login"}, {"event_name": "Logout"}]}, "Login, Logout"),
        ("google", "/mp/collect", {"events": [{"name": "login"}]}, "login"),
        ("eitri_push", "/hooks/session", {"type": "session.login"}, "session.login"),
        ("emarsys", "/api/mobileengage/v2/events/Checkout%20Started", {}, "events/Checkout Started"),
        (
            "dashx",
            "/graphql",
            {"query": "mutation {\n trackEvent(", "variables": {"input": {"event": "Seen"}}},
            "trackEvent: Seen",
        ),
    ],
)
def test_each_agent_names_what_a_request_is_about(agent: str, path: str, body: Any, subject: str) -> None:
    request = Request("POST", path, {}, {}, json.dumps(body).encode())
    assert Sandbox({}).agents[agent].subject(request) == subject


def test_requests_that_carry_the_events_id_are_found_with_those_of_the_same_moment() -> None:
    journal = Journal()
    _entry(journal, "dashx", {"uid": "ana-1"}, -30)
    first = _entry(journal, "dashx", {"uid": "ana-1"}, 0.1)
    second = _entry(journal, "dashx", {"event_id": "evt-1"}, 0.2)
    _entry(journal, "dashx", {"uid": "bia-2"}, 0.3)
    _entry(journal, "emarsys", {"event_id": "evt-1"}, 0.3)
    found, by = requests_of(journal, "dashx", _event("dashx", at="2026-11-20T12:00:00.400Z"), ["ana-1"])
    assert ([entry.number for entry in found], by) == ([first.number, second.number], "id")


def test_requests_without_an_id_are_found_by_person_and_time_and_else_by_time() -> None:
    journal = Journal()
    earlier = _entry(journal, "emarsys", {"hardware_id": "phone-1"}, 0.1)
    _entry(journal, "emarsys", {"hardware_id": "phone-2"}, 0.2)
    event = _event(at="2026-11-20T12:00:00.300Z")
    found, by = requests_of(journal, "emarsys", event, ["phone-1"])
    assert ([entry.number for entry in found], by) == ([earlier.number], "person")
    found, by = requests_of(journal, "emarsys", event, [])
    assert ([entry.request.json()["hardware_id"] for entry in found], by) == (["phone-2"], "time")


@pytest.mark.parametrize("receipt", [{"attempts": 0, "state": "skipped"}, {"at": "2026-11-20T11:59:50.000Z"}])
def test_no_request_is_shown_for_an_event_that_caused_none(receipt: dict[str, Any]) -> None:
    journal = Journal()
    _entry(journal, "emarsys", {"hardware_id": "phone-2"}, 0.2)
    assert requests_of(journal, "emarsys", _event(**receipt), [])[0] == []


def test_a_probe_is_never_taken_for_an_events_request() -> None:
    journal = Journal()
    _entry(journal, "emarsys", {"hardware_id": "phone-1"}, 0.1, headers=check.PROBE)
    assert requests_of(journal, "emarsys", _event(), ["phone-1"])[0] == []


def test_an_events_marks_are_the_values_by_which_vendors_know_a_person_or_a_device() -> None:
    event = {
        "customerId": "ana-1",
        "device": {"id": "phone-1", "pushToken": False, "model": "M"},
        "ids": {"fbp": "fb.1"},
    }
    assert marks_of(event) == ["ana-1", "phone-1", "fb.1"]


def test_a_device_that_one_agent_knows_by_its_token_is_joined_with_the_others_device() -> None:
    devices = Devices()
    known = {"customer": "ana-1", "pushToken": "t-1", "pushesGoTo": "ana-1"}
    states: dict[str, Any] = {
        "eitri_push": {"devices": {"phone-1": known}},
        "dashx": {
            "devicesBy": "pushToken",
            "devices": {"t-1": {"customer": "bia-2", "pushesGoTo": ["ana-1", "bia-2"]}},
        },
    }
    (device,) = devices.display(states)
    assert (device["device"], device["token"]) == ("phone-1", "t-1")
    assert device["agents"]["dashx"]["owners"] == ["ana-1", "bia-2"]
    # The token is still this phone's after the other agent has lost it.
    states["eitri_push"]["devices"]["phone-1"] = {**known, "pushToken": None, "pushesGoTo": None}
    (device,) = devices.display(states)
    assert (device["token"], device["agents"]["eitri_push"]["owners"]) == ("t-1", [])


def test_the_page_has_no_list_of_agents() -> None:
    names = [*Sandbox({}).agents, *(agent.title for agent in Sandbox({}).agents.values()), "six"]
    for file in PAGE.iterdir():
        # `ids` of the example event are the API's own fields.
        text = re.sub(r"^const ids = .*$", "", file.read_text(), flags=re.MULTILINE)
        assert [name for name in names if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)] == [], file
