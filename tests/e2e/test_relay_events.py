"""`relay send`, `events`, `tail` and `status`: events go their way through the local cloud, and agents fail."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import requests

from local import settings
from local.deploy import STAGE, wait_for
from local.scenario import PHONE
from tests.e2e.conftest import PATIENCE_SECONDS, Caller
from tests.e2e.terminal import RELAY, Terminal, plain

Unique = Callable[[], str]


def _status(terminal: Terminal) -> Any:
    """The status; it ends with 1 exactly if it says that something is wrong."""
    run = terminal.relay("status", "--json")
    assert run.code == int(bool(run.json["wrong"])), run
    return run.json


def _sent(app: Caller, unique: Unique, *more: str) -> str:
    event_id = unique()
    terminal = Terminal(app.stack)
    arguments = ("--customer", unique(), "--device", event_id, "--push-token", unique(), "--id", event_id)
    assert terminal.well("send", "login", *arguments, *more).out == f"Accepted as {event_id}.\n"
    return event_id


def test_every_kind_of_event_can_be_sent(app: Caller, unique: Unique) -> None:
    terminal, who = Terminal(app.stack), ("--customer", unique(), "--device", unique())
    kinds = {
        "login": ("--email", "ana@example.com", "--phone", "+5511999887766"),
        "logout": (),
        "open": ("--platform", "ios"),
        "signup": (),
        "identify": (),
        "track": ("--name", "checkout_started", "--property", "total=99.9", "--property", "plan=gold"),
        "push_token": ("--push-token", "false"),
    }
    ids = [terminal.answered("send", kind, *who, *more)["eventId"] for kind, more in kinds.items()]
    assert [terminal.answered("events", "show", one, "--app", app.stack.app_id)["type"] for one in ids] == list(kinds)
    for one in ids:
        app.settled(one)


def test_a_test_event_is_followed_until_it_is_settled(app: Caller, unique: Unique) -> None:
    terminal, event_id = Terminal(app.stack), unique()
    given = json.dumps({**PHONE, "device": {**PHONE["device"], "id": event_id}})
    run = terminal.well("send", "login", "--customer", "12345", "--id", event_id, "--body", "-", "--wait", given=given)
    states = {line.split("\t")[1]: line.split("\t")[2] for line in run.out.splitlines()[1:]}
    assert states.pop("") == "accepted"
    assert states == {agent: receipt["state"] for agent, receipt in app.receipts(event_id).items()}
    live = terminal.typed("send", "logout", "--device", event_id, "--wait", "--stage", "local")
    assert (live.code, "delivered" in plain(live.out), "\x1b[" in live.out) == (0, True, True)


def test_a_test_event_that_is_parked_or_refused_ends_with_1(app: Caller, unique: Unique) -> None:
    terminal, event_id = Terminal(app.stack), unique()
    app.fault("eitri_push", status=400, match=event_id, times=1)
    run = terminal.relay("send", "open", "--device", event_id, "--id", event_id, "--anonymous", unique(), "--wait")
    assert (run.code, "Not delivered at eitri_push." in run.stderr) == (1, True)
    refused = terminal.relay("send", "login")
    assert (refused.code, "customerId is required" in refused.stderr) == (1, True)
    wrong = terminal.relay("send", "login", "--customer", "1", RELAY_KEY="sk_demo_" + 32 * "x")
    assert (wrong.code, "401" in wrong.stderr) == (1, True)
    assert terminal.relay("send", "logout", "--property", "x").code == 2
    assert terminal.relay("send", "logout", "--api", "http://127.0.0.1:9").code == 3
    assert terminal.relay("send", "nothing").code == 2


def test_what_was_normalised_or_left_out_is_named_wherever_the_event_is_shown(app: Caller, unique: Unique) -> None:
    terminal, event_id = Terminal(app.stack), unique()
    device = {"platform": "Android", "secret-name": "x"}
    given = json.dumps({"device": device, "email": "ana@example.com ", "phone": "no"})
    arguments = ("send", "login", "--customer", unique(), "--body", "-")
    refused = terminal.relay(*arguments, "--strict", given=given)
    assert (refused.code, "#/phone" in refused.stderr) == (1, True)
    sent = terminal.well(*arguments, "--id", event_id, given=given)
    assert "#/device/secret-name was left out" in sent.stderr
    shown = terminal.well("events", "show", event_id, "--app", app.stack.app_id)
    for pointer, became in {"/phone": "left out", "/email": "normalised", "/device/platform": "normalised"}.items():
        assert f"#{pointer} was {became}" in sent.stderr
        assert f"#{pointer} was {became}" in shown.stderr
    assert "secret-name" not in shown.out + shown.stderr
    assert "#/device a part of it was left out" in shown.stderr
    tailed = terminal.well("tail", "--event", event_id, "--since", "60", "--for", "4").out
    assert "accepted normalised or left out: " in tailed
    assert "secret-name" not in tailed
    app.settled(event_id)


def test_receipts_are_a_timeline_in_the_words_of_the_api(app: Caller, unique: Unique) -> None:
    terminal, event_id = Terminal(app.stack), _sent(app, unique)
    app.settled(event_id)
    asked = app.call(f"/events/{event_id}", key="secret", method="GET").json()
    assert terminal.answered("events", "show", event_id, "--app", app.stack.app_id) == asked
    lines = [
        line.split("\t")
        for line in terminal.well("events", "show", event_id, "--app", app.stack.app_id).out.splitlines()
    ]
    assert lines[0][:4] == ["at", "agent", "state", "reason"]
    assert [line[0] for line in lines[1:]] == sorted(line[0] for line in lines[1:])
    unknown = terminal.relay("events", "show", unique(), "--app", app.stack.app_id)
    assert (unknown.code, unknown.out, "No event of this app" in unknown.stderr) == (1, "", True)


def test_the_tail_shows_an_event_come_in_and_settle_and_filters(app: Caller, unique: Unique) -> None:
    terminal, event_id, other = Terminal(app.stack), _sent(app, unique), _sent(app, unique)
    became = app.settled(event_id)
    app.settled(other)
    looked = ("tail", "--since", "300", "--for", "0", "--event", event_id)

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in terminal.well(*looked, "--json").out.splitlines()]

    assert wait_for(lambda: len(lines()) > len(became), PATIENCE_SECONDS)
    seen = {(line.get("agent", "ingest"), line["message"]) for line in lines()}
    assert seen >= {("ingest", "accepted")} | {(agent, receipt["state"]) for agent, receipt in became.items()}
    assert {line["event_id"] for line in lines()} == {event_id}
    one = terminal.well("tail", "--since", "300", "--for", "0", "--agent", "dashx", "--app", app.stack.app_id).out
    assert other in one
    assert "emarsys" not in one
    assert terminal.relay("tail", "--agent", "nobody", "--for", "0").code == 1


def test_ctrl_c_ends_the_tail_cleanly(app: Caller, unique: Unique) -> None:
    app.settled(_sent(app, unique))
    environment = Terminal(app.stack)._environment({})  # noqa: SLF001 - the same as every command's
    tail = subprocess.Popen(  # noqa: S603 - our own command
        [RELAY, "tail", "--since", "300"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        assert tail.stdout
        assert tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        _, beside = tail.communicate(timeout=PATIENCE_SECONDS)
    finally:
        tail.kill()
    assert (tail.returncode, beside) == (0, b"")


def test_the_status_says_which_agent_fails_and_why_and_ends_with_1(app: Caller, unique: Unique) -> None:
    terminal = Terminal(app.stack)
    known = settings.agents(app.stack.sandbox_url)["facebook"]
    credentials = f"{app.stack.sandbox_url}/_credentials/facebook"
    try:
        requests.put(credentials, json={**known, "access_token": "ANOTHER-TOKEN"}, timeout=10).raise_for_status()
        event_id = _sent(app, unique)
        app.receipt(event_id, "facebook", "held")
        held = terminal.relay("status", "--json")
        assert held.code == 1
        assert f"relay agents check facebook --stage {STAGE}" in [one["fix"] for one in held.json["findings"]]
        rows = {row["agent"]: row for row in held.json["agents"]}
        assert rows["facebook"]["queued"] + rows["facebook"]["inFlight"] >= 1
        assert rows["facebook"]["whyHeld"].startswith("HTTP 400, code 190")
        assert _status(terminal)["settledShare"] < 1
        shown = plain(terminal.typed("status").out)
        assert "why held" in shown
        assert "code 190" in shown
    finally:
        requests.put(credentials, json=known, timeout=10).raise_for_status()
    app.receipt(event_id, "facebook", "delivered")
    app.settled(event_id)
    assert wait_for(lambda: _status(terminal)["unsettled"] == 0, PATIENCE_SECONDS)
    assert {row["whyHeld"] for row in _status(terminal)["agents"]} == {None}


def test_the_status_shows_an_open_circuit(app: Caller, unique: Unique) -> None:
    terminal = Terminal(app.stack)
    app.fault("google", status=503)
    ids = {"gaAppInstanceId": "0123456789abcdef0123456789abcdef"}
    for _ in range(8):
        app.accepted("/login", {"customerId": unique(), "device": {"id": unique(), "platform": "ios"}, "ids": ids})

    def circuit() -> str:
        return str(next(row["circuit"] for row in _status(terminal)["agents"] if row["agent"] == "google"))

    assert wait_for(lambda: circuit() in {"open", "half_open"}, PATIENCE_SECONDS)
    app.clear_faults()
    assert wait_for(lambda: circuit() == "closed", PATIENCE_SECONDS)


def test_the_hours_numbers_are_those_of_the_metrics(app: Caller, unique: Unique) -> None:
    terminal, event_id = Terminal(app.stack), _sent(app, unique)
    became = app.settled(event_id)

    def counted() -> bool:
        found = _status(terminal)
        hour = {row["agent"]: row["delivered"] for row in found["agents"]}
        reached = [agent for agent, receipt in became.items() if receipt["state"] == "delivered"]
        return (
            found["lastHour"]["accepted"] >= 1
            and found["lastHour"]["settled"] >= 6
            and all(hour[one] for one in reached)
        )

    assert wait_for(counted, PATIENCE_SECONDS)
