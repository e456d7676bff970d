"""How the client sends: in order, once, through faults, reloads and several tabs."""

import random
import time

import pytest
from playwright.sync_api import BrowserContext

from tests.client.conftest import App
from tests.client.service import Fault, Relay, short, token

PROBLEM = '{"type":"about:blank","title":"A problem","status":%d,"detail":"What is wrong."}'


def _problem(status: int, **headers: str) -> Fault:
    return Fault(status, headers, PROBLEM % status)


def test_a_bare_login_is_sent_and_then_gone_from_storage(app: App, relay: Relay) -> None:
    assert app.start().call("notifyLogin({customerId: '12345'})") is None
    relay.wait_for("login 12345")
    app.drain()
    assert '"event"' not in app.storage()
    assert app.reported() == []


def test_two_people_offline_arrive_in_order_each_with_their_own_token_in_one_call(
    app: App, relay: Relay, profile: BrowserContext
) -> None:
    app.start()
    profile.set_offline(offline=True)
    tokens = {uid: token(uid) for uid in ("ana-1", "bruno-2")}
    app.call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{tokens['ana-1']}'}})")
    app.call("track('seen by ana')")
    app.call("notifyLogout()")
    app.call("open()")
    app.call(f"notifyLogin({{customerId: 'bruno-2', identityToken: '{tokens['bruno-2']}'}})")
    app.call("track('seen by bruno')")
    assert relay.calls == []
    relay.must_prove = True
    profile.set_offline(offline=False)
    relay.wait_for("login ana-1", "seen by ana", "logout ana-1", "open", "login bruno-2", "seen by bruno")
    assert len(relay.calls) == 1
    assert [event.get("identityToken") for event in relay.accepted] == [
        *[tokens["ana-1"]] * 3,
        None,
        *[tokens["bruno-2"]] * 2,
    ]
    ana, bruno = ({event["anonymousId"] for event in part} for part in (relay.accepted[:3], relay.accepted[3:]))
    assert len(ana) == len(bruno) == 1
    assert ana != bruno
    assert len({event["device"]["id"] for event in relay.accepted}) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 415])
def test_a_refused_call_keeps_everything_until_it_is_repaired(app: App, relay: Relay, status: int) -> None:
    relay.always = _problem(status)
    app.start()
    app.call("notifyLogin({customerId: 'ana-1'})")
    app.call("track('seen')")
    relay.wait_until(lambda: len(relay.calls) >= 1)
    app.call("flush()")
    app.call("flush()")
    assert app.codes() == ["refused"]
    assert app.reported()[0]["status"] == status
    assert app.pending() == ["login", "track"]
    calls = len(relay.calls)
    app.call("track('seen later')")
    time.sleep(0.3)
    assert len(relay.calls) == calls, "a paused client leaves the relay alone"
    relay.always = None
    app.reload()
    relay.wait_for("login ana-1", "seen", "seen later")


def test_after_a_wrong_key_the_right_key_sends_what_was_stored(app: App, relay: Relay) -> None:
    app.start("{key: 'pk_demo_wrong'}")
    app.call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_until(lambda: len(relay.calls) == 1)
    app.call("track('seen')")
    assert relay.accepted == []
    app.reload()
    relay.wait_for("login ana-1", "seen")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_a_storm_of_faults_the_accepted_order_is_the_order_of_the_calls(app: App, relay: Relay, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's own chance
    faults = [
        _problem(503),
        _problem(500),
        _problem(408),
        Fault(504, body="<h1>Gateway Timeout</h1>"),
        Fault(),
        Fault(works=True),
        Fault(500, works=True),
        Fault(200, {"Content-Type": "text/html"}, "<h1>Welcome to our Wi-Fi</h1>"),
    ]
    relay.fails(*chance.choices(faults, k=12))
    app.start()
    names = [f"step {number}" for number in range(12)]
    for at, name in enumerate(names):
        app.call(f"track('{name}')")
        if at % 3 == 2:
            app.call("flush()")
    app.drain()
    assert relay.names() == names
    sequences = [event["sequence"] for event in relay.accepted]
    assert sequences == sorted(set(sequences))
    assert app.codes() == []


def test_an_event_that_is_refused_for_now_is_sent_again_before_the_next(app: App, relay: Relay) -> None:
    left = [2]

    def busy(event: dict[str, str]) -> dict[str, int] | None:
        if event.get("name") != "second" or not left[0]:
            return None
        left[0] -= 1
        return {"status": 503}

    relay.judge = busy
    relay.always = _problem(503)
    app.start()
    app.page.evaluate("['first', 'second'].map((name) => relay.track(name))")
    relay.wait_until(lambda: bool(relay.calls))
    relay.always = None
    app.drain()
    assert relay.names() == ["first", "second"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_honoured(app: App, relay: Relay, status: int) -> None:
    relay.fails(_problem(status, **{"Retry-After": "1"}))
    app.start().call("track('seen')")
    relay.wait_until(lambda: len(relay.calls) == 1)
    app.call("flush()")
    app.reload()
    relay.wait_for("seen")
    assert relay.moments[1] - relay.moments[0] > 0.95


def test_retry_after_beside_a_batch_whose_event_must_wait_is_honoured(app: App, relay: Relay) -> None:
    busy = '{"results": [{"status": 503}]}'
    relay.fails(Fault(207, {"Retry-After": "1"}, busy))
    app.start().call("track('seen')")
    relay.wait_for("seen")
    assert relay.moments[1] - relay.moments[0] > 0.95


def test_two_tabs_lose_nothing_send_nothing_twice_and_one_at_a_time(
    app: App, relay: Relay, profile: BrowserContext, url: str
) -> None:
    other = App(profile.new_page(), url)
    for one in (app, other):
        one.start()
    relay.fails(_problem(503), Fault(works=True))
    for number in range(15):
        for name, one in (("left", app), ("right", other)):
            one.page.evaluate(f"void relay.track('{name} {number}')")
    relay.wait_until(lambda: len(relay.accepted) == 30)
    names = relay.names()
    for side in ("left", "right"):
        assert [name for name in names if name.startswith(side)] == [f"{side} {number}" for number in range(15)]
    assert relay.most_at_once == 1


def test_a_logout_in_one_tab_holds_in_the_other(app: App, relay: Relay, profile: BrowserContext, url: str) -> None:
    other = App(profile.new_page(), url)
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    other.start().call("track('of ana')")
    relay.wait_for("login ana-1", "of ana")
    app.call("notifyLogout()")
    other.page.wait_for_timeout(50)
    other.call("track('of nobody')")
    relay.wait_for("login ana-1", "of ana", "logout ana-1", "of nobody")
    assert [event.get("customerId") for event in relay.accepted] == ["ana-1", "ana-1", "ana-1", None]
    assert relay.accepted[3]["anonymousId"] != relay.accepted[2]["anonymousId"]


def test_a_reload_in_the_middle_of_a_send_loses_nothing_and_repeats_no_id(app: App, relay: Relay) -> None:
    app.start()
    relay.gate.clear()
    app.page.evaluate("['first', 'second', 'third'].map((name) => void relay.track(name))")
    relay.wait_until(lambda: relay.most_at_once == 1)
    app.reload()
    app.call("track('fourth')")
    relay.gate.set()
    relay.wait_until(lambda: len(relay.accepted) == 4)
    app.drain()
    assert relay.names() == ["first", "second", "third", "fourth"]


def test_a_page_that_closes_at_once_still_sends(app: App, relay: Relay) -> None:
    app.start().call("flush()")
    app.page.evaluate("void relay.track('the last'); location.href = 'about:blank'")
    app.page.wait_for_url("about:blank")
    relay.wait_for("the last")


def test_what_does_not_fit_into_one_request_goes_in_several(app: App, relay: Relay, profile: BrowserContext) -> None:
    app.start()
    profile.set_offline(offline=True)
    app.page.evaluate(
        "Promise.all(Array.from({length: 150}, (_, at) => relay.track('n' + at, {text: 'é'.repeat(400)})))"
    )
    profile.set_offline(offline=False)
    relay.wait_until(lambda: len(relay.accepted) == 150)
    assert relay.names() == [f"n{number}" for number in range(150)]
    assert max(relay.sizes) <= 60_000
    assert max(len(call) for call in relay.calls) <= 100


def test_a_months_old_queue_is_sent_with_the_times_of_then(app: App, relay: Relay, profile: BrowserContext) -> None:
    app.start().call("track('the first')")
    relay.wait_for("the first")
    profile.set_offline(offline=True)
    app.page.evaluate("(real => Date.now = () => real() - 30 * 24 * 3600 * 1000)(Date.now.bind(Date))")
    before = time.time() - 30 * 24 * 3600
    app.call("track('long ago')")
    profile.set_offline(offline=False)
    relay.wait_for("the first", "long ago")
    then = relay.accepted[1]["occurredAt"]
    assert then[:10] == time.strftime("%Y-%m-%d", time.gmtime(before))


@pytest.mark.parametrize("status", [400, 413])
def test_a_call_that_is_refused_as_a_whole_is_halved_down_to_its_culprit(
    app: App, relay: Relay, profile: BrowserContext, status: int
) -> None:
    relay.poison = ("n5", _problem(status))
    app.start()
    profile.set_offline(offline=True)
    app.page.evaluate("Promise.all(Array.from({length: 9}, (_, at) => relay.track('n' + at)))")
    profile.set_offline(offline=False)
    relay.wait_for(*(f"n{number}" for number in range(9) if number != 5))
    assert [(error["type"], error["status"]) for error in app.reported(1)] == [("track", status)]


def test_an_event_with_a_fault_is_dropped_and_reported_and_costs_no_other(app: App, relay: Relay) -> None:
    errors = [{"pointer": "#/name", "detail": "is required for track"}]
    relay.judge = lambda event: {"status": 400, "errors": errors} if short(event) == "wrong" else None
    app.start()
    app.page.evaluate("['first', 'wrong', 'last'].map((name) => relay.track(name))")
    relay.wait_for("first", "last")
    (reported,) = app.reported(1)
    assert (reported["code"], reported["type"], reported["errors"]) == ("invalid", "track", errors)


def test_a_warning_beside_an_accepted_event_is_passed_on(app: App, relay: Relay) -> None:
    warning = {"pointer": "#/phone", "detail": "is not in E.164; it is left out"}
    relay.judge = lambda _: {"status": 202, "warnings": [warning]}
    app.start().call("notifyLogin({customerId: 'ana-1', phone: '12'})")
    relay.wait_for("login ana-1")
    app.page.wait_for_function("warned.length")
    event_id = relay.accepted[0]["eventId"]
    assert app.page.evaluate("warned") == [{"type": "login", "eventId": event_id, **warning}]


def test_after_a_conflict_a_logout_and_a_declined_push_go_under_new_ids_and_the_rest_is_dropped(
    app: App, relay: Relay, profile: BrowserContext
) -> None:
    conflicts: list[str] = []

    def conflict(event: dict[str, str]) -> dict[str, int] | None:
        if len(conflicts) < 3:
            conflicts.append(event["eventId"])
            return {"status": 409}
        return None

    relay.judge = conflict
    app.start()
    profile.set_offline(offline=True)
    for call in ("pushToken(false)", "track('seen')", "notifyLogout()"):
        app.call(call)
    profile.set_offline(offline=False)
    relay.wait_until(lambda: len(relay.calls) >= 1)
    app.drain()
    assert relay.names() == ["push_token", "logout"]
    assert not {event["eventId"] for event in relay.accepted} & set(conflicts)
    assert app.codes() == ["conflict"] * 3


def test_a_page_that_the_relay_does_not_know_is_reported_and_keeps_everything(app: App, relay: Relay, api: str) -> None:
    relay.pages_may_call = False
    app.start(f"{{url: '{api.replace('127.0.0.1', 'localhost')}'}}").call("track('seen')")
    for _ in range(3):
        app.call("flush()")
    assert app.codes() == ["cors"]
    relay.pages_may_call = True
    app.drain()
    assert relay.names() == ["seen"]


def test_personal_data_follows_no_redirect(app: App, relay: Relay, url: str) -> None:
    relay.fails(Fault(307, {"Location": f"{url}/elsewhere"}))
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_until(lambda: len(relay.calls) == 1)
    app.drain()
    assert relay.paths == {f"{relay.generation}/v1/batch"}
