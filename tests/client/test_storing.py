"""What the client stores and captures: bounds, full and refused storage, clocks, facts of the page, mistakes."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.client.conftest import App
from tests.client.service import Relay

UUID7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
HOUR = 3600 * 1000


def _clock(app: App, skew: int) -> None:
    app.page.evaluate(f"(real => Date.now = () => real() + {skew})(Date.realNow = Date.realNow || Date.now.bind(Date))")


def test_when_the_queue_is_full_the_oldest_tracks_go_first_and_a_logout_and_a_decline_never(
    app: App, profile: BrowserContext
) -> None:
    app.start()
    profile.set_offline(offline=True)
    app.call("notifyLogin({customerId: 'ana-1'})")
    app.call("notifyLogout()")
    app.call("pushToken(false)")
    # As many more as there is room for, by hand: a thousand calls would take their time.
    app.call("track('n0')")
    app.page.evaluate("""() => {
      const [cell] = Object.keys(localStorage).filter((key) => localStorage[key].includes('"n0"'));
      for (let at = 1; at < 997; at++) {
        localStorage[cell + String(at).padStart(3, '0')] = localStorage[cell].replace('"n0"', `"n${at}"`);
      }
    }""")
    app.start().call("open()")
    assert len(app.pending()) == 1000
    assert [(error["code"], error["type"]) for error in app.reported()] == [("full", "track")]
    # No track is left: then what else can be missed, but what protects a person.
    app.page.evaluate(
        "Object.keys(localStorage).map((key) => localStorage[key] = localStorage[key].replace('track', 'logout'))"
    )
    for call in ("pushToken('fcm-1')", "notifyLogout()", "pushToken(false)"):
        app.call(call)
    assert set(app.pending()) == {"logout", "push_token"}
    assert [(error["code"], error["type"]) for error in app.reported()][-3:] == [
        ("full", "open"),
        ("full", "login"),
        ("full", "push_token"),
    ]


def test_the_queue_holds_512_kilobytes(app: App, profile: BrowserContext) -> None:
    app.start()
    profile.set_offline(offline=True)
    app.page.evaluate(
        "Promise.all(Array.from({length: 60}, (_, at) => relay.track('n' + at, {text: 'x'.repeat(10000)})))"
    )
    assert 45 <= len(app.pending()) <= 52
    assert len(app.storage()) < 530 * 1024


def test_when_storage_is_full_tracks_make_room_for_the_logout(app: App, relay: Relay, profile: BrowserContext) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_for("login ana-1")
    app.drain()
    profile.set_offline(offline=True)
    for number in range(5):
        app.call(f"track('n{number}')")
    _fill(app)
    app.call("notifyLogout()")
    assert "full" in app.codes(1)
    profile.set_offline(offline=False)
    app.reload().call("open()")
    relay.wait_until(lambda: relay.names()[-1:] == ["open"])
    assert relay.names()[-2:] == ["logout ana-1", "open"]
    assert "customerId" not in relay.accepted[-1]


def test_what_a_full_storage_does_not_take_is_still_sent_and_nobody_comes_back(app: App, relay: Relay) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_for("login ana-1")
    app.drain()
    _fill(app)
    app.call("notifyLogout()")
    app.call("track('seen')")
    relay.wait_for("login ana-1", "logout ana-1", "seen")
    assert app.codes(1) == ["storage"]
    app.page.evaluate(
        "Object.keys(localStorage).filter((key) => key[0] === 'x').map((key) => localStorage.removeItem(key))"
    )
    app.reload().call("open()")
    relay.wait_for("login ana-1", "logout ana-1", "seen", "open")
    assert "customerId" not in relay.accepted[-1]


def _fill(app: App) -> None:
    """Fills the page's storage to the last character, as the site's other scripts may."""
    app.page.evaluate("""() => {
      for (let size = 1 << 22, at = 0; size >= 1; ) {
        try { localStorage.setItem('x' + at++, 'x'.repeat(size)); } catch { size >>= 1; }
      }
    }""")


def test_where_storage_is_refused_events_are_sent_all_the_same(chromium: Browser, relay: Relay, url: str) -> None:
    context = chromium.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }})"
    )
    app = App(context.new_page(), url).start()
    app.call("notifyLogin({customerId: 'ana-1'})")
    app.call("track('seen')")
    relay.wait_for("login ana-1", "seen")
    assert relay.accepted[0]["anonymousId"] == relay.accepted[1]["anonymousId"]
    assert app.codes() == ["storage"]
    context.close()


def test_the_sequence_rises_when_the_clock_is_set_back_and_over_a_restart(app: App, relay: Relay) -> None:
    app.start().call("track('one')")
    relay.wait_for("one")
    _clock(app, -HOUR)
    app.call("track('two')")
    app.reload()
    _clock(app, -24 * HOUR)
    app.call("track('three')")
    relay.wait_for("one", "two", "three")
    sequences = [event["sequence"] for event in relay.accepted]
    assert sequences == sorted(set(sequences))


def test_a_clock_that_is_wrong_is_corrected_by_the_relays_date(app: App, relay: Relay, profile: BrowserContext) -> None:
    app.page.evaluate("Date.realNow = Date.now.bind(Date)")
    now = app.page.evaluate("Date.now()")
    relay.keys = set()
    _clock(app, -5 * HOUR)
    app.start().call("track('captured before the time was known')")
    assert app.codes(1) == ["refused"]
    app.page.wait_for_function("localStorage['session-relay.s'].includes('offset')")
    profile.set_offline(offline=True)
    app.call("track('captured after')")
    relay.keys = {"pk_demo_example"}
    profile.set_offline(offline=False)
    app.drain()
    for event in relay.accepted:
        assert abs(event["sequence"] - now) < 60_000
    assert relay.accepted[0]["sequence"] < relay.accepted[1]["sequence"]


def test_a_clock_that_is_ahead_is_corrected_once_and_then_keeps_time(app: App, relay: Relay) -> None:
    now = app.page.evaluate("Date.now()")
    _clock(app, 5 * HOUR)
    app.start().call("track('one')")
    relay.wait_for("one")
    app.page.wait_for_function("localStorage['session-relay.s'].includes('offset')")
    app.call("track('two')")
    relay.wait_for("one", "two")
    assert abs(relay.accepted[1]["sequence"] - now) < 60_000


def test_a_clock_that_cannot_be_right_leaves_the_time_to_the_relay(app: App, relay: Relay) -> None:
    _clock(app, -50 * 365 * 24 * HOUR)
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_for("login ana-1")
    assert not {"occurredAt", "sequence"} & relay.accepted[0].keys()


def test_ids_are_uuids_of_version_7_and_the_facts_of_the_page_are_filled_in(app: App, relay: Relay, url: str) -> None:
    app.start().call("open()")
    relay.wait_for("open")
    (event,) = relay.accepted
    for name in ("eventId", "anonymousId"):
        assert app.page.evaluate(f"/{UUID7}/.test('{event[name]}')")
    device = {name: value for name, value in event["device"].items() if name != "id"}
    assert device == {"platform": "web", "language": "pt-BR", "timezone": "America/Sao_Paulo"}
    assert event["context"] == {"url": f"{url}/"}


def test_what_is_sent_is_what_was_true_at_the_call(app: App, relay: Relay, profile: BrowserContext) -> None:
    app.start("{device: () => ({model: window.model}), consent: {analytics: true}}")
    profile.set_offline(offline=True)
    app.page.evaluate("""async () => {
      window.model = 'the first';
      const cart = { sku: 'A' };
      const stored = relay.track('seen', cart);
      cart.sku = 'B';
      window.model = 'the second';
      await stored;
      await relay.setConsent({ analytics: false });
    }""")
    profile.set_offline(offline=False)
    relay.wait_for("seen")
    (event,) = relay.accepted
    assert (event["properties"], event["device"]["model"]) == ({"sku": "A"}, "the first")
    assert event["consent"] == {"analytics": True}


COOKIES = {
    "_ga": "GA1.1.1872054418.1795100000",
    "_fbp": "fb.1.1795100000000.1098115397",
    "_fbc": "fb.1.1795100000000.click",
}


@pytest.mark.parametrize(
    ("consent", "ids"),
    [
        ("{}", {"gaClientId": "1872054418.1795100000", "fbp": COOKIES["_fbp"], "fbc": COOKIES["_fbc"]}),
        ("{advertising: false}", {"gaClientId": "1872054418.1795100000"}),
        ("{analytics: false, advertising: false}", {}),
    ],
)
def test_cookies_are_read_as_ids_where_their_purpose_is_not_denied(
    app: App, relay: Relay, profile: BrowserContext, consent: str, ids: dict[str, str]
) -> None:
    profile.add_cookies([{"name": name, "value": value, "url": app.url} for name, value in COOKIES.items()])
    app.start(f"{{consent: {consent}}}").call("open()")
    relay.wait_for("open")
    assert relay.accepted[0]["ids"] == ids


@pytest.mark.parametrize(
    "call",
    [
        "notifyLogin({})",
        "notifyLogin({customerId: 12345})",
        "notifyLogin({customerId: 'undefined'})",
        "notifyLogin()",
        "signup({})",
        "track('')",
        "track()",
        "pushToken(undefined)",
        "pushToken('')",
        "setIdentity('')",
        "setConsent(false)",
        "track('seen', {big: 1n})",
    ],
)
def test_a_programming_mistake_is_reported_and_the_call_still_resolves(app: App, call: str) -> None:
    said: list[str] = []
    app.page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    assert app.start().call(call) is None
    assert app.codes() == ["invalid"]
    assert app.pending() == []
    assert any("session-relay" in line for line in said)


def test_without_a_public_key_nothing_is_sent_and_it_is_said(app: App, relay: Relay) -> None:
    for options in ("{key: undefined}", "{key: 'sk_demo_secret'}"):
        app.reload(options).call("track('seen')")
        assert app.codes() == ["invalid"]
    assert relay.calls == []


def test_the_listeners_of_an_app_may_throw(app: App, relay: Relay) -> None:
    relay.judge = lambda _: {"status": 202, "warnings": [{"pointer": "#/x", "detail": "y"}]}
    app.start("{onError() { throw new Error(); }, onWarning() { throw new Error(); }}")
    app.call("notifyLogin({})")
    app.call("track('seen')")
    app.drain()
    assert relay.names() == ["seen"]


def test_storage_that_another_script_has_spoilt_is_passed_over(app: App, relay: Relay) -> None:
    spoilt: dict[str, Any] = {"w": "{", "s": "null", "t": "[1", "c": "7", "e0000000000000001x": "not JSON", "d": '""'}
    app.page.evaluate(
        f"Object.entries({json.dumps(spoilt)}).map(([key, text]) => localStorage['session-relay.' + key] = text)"
    )
    app.start().call("track('seen')")
    relay.wait_for("seen")
