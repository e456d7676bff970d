"""Who an event speaks for: people, visitors, tokens and push, over logouts, crashes and tokens that end."""

import json

import pytest
from playwright.sync_api import BrowserContext

from tests.client.conftest import App
from tests.client.service import Fault, Relay, token

STORE = "localStorage['session-relay.w']"


def test_an_expired_token_is_renewed_once_and_everything_goes_on(
    app: App, relay: Relay, profile: BrowserContext
) -> None:
    first, second = token("ana-1"), token("ana-1", 7200)
    relay.must_prove = True
    app.start(f"{{identityToken: async (uid) => (asked.push(uid), asked.length > 1 ? '{second}' : '{first}')}}")
    app.call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_for("login ana-1")
    profile.set_offline(offline=True)
    app.call("track('seen')")
    app.call("track('seen again')")
    relay.refused_tokens = {first}
    profile.set_offline(offline=False)
    relay.wait_for("login ana-1", "seen", "seen again")
    assert [event["identityToken"] for event in relay.accepted] == [first, second, second]
    assert app.page.evaluate("asked") == ["ana-1", "ana-1"]
    assert app.reported() == []


def test_a_login_waits_for_the_token_that_set_identity_brings(app: App, relay: Relay) -> None:
    relay.must_prove = True
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    assert app.codes(1) == ["identity"]
    app.call("track('seen')")
    assert app.pending() == ["login", "track"]
    app.call(f"setIdentity('ana-1', '{token('ana-1')}')")
    relay.wait_for("login ana-1", "seen")


def test_a_token_that_cannot_be_had_now_is_asked_for_later_and_nothing_is_lost(app: App, relay: Relay) -> None:
    relay.must_prove = True
    good = token("ana-1")
    app.start(f"""{{identityToken: async (uid) => {{
      asked.push(uid);
      if (asked.length < 3) throw new Error('the back end does not answer');
      return '{good}';
    }}}}""")
    app.call("notifyLogin({customerId: 'ana-1'})")
    app.drain()
    assert relay.names() == ["login ana-1"]
    assert app.page.evaluate("asked.length") == 3


def test_of_a_person_who_left_and_whose_token_ended_only_the_logout_is_sent_without_the_customer(
    app: App, relay: Relay, profile: BrowserContext
) -> None:
    relay.must_prove = True
    app.start()
    profile.set_offline(offline=True)
    app.call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{token('ana-1', 1)}'}})")
    app.call("track('seen')")
    app.call("notifyLogout()")
    app.call("track('of the next visitor')")
    app.page.wait_for_timeout(1100)
    profile.set_offline(offline=False)
    relay.wait_for("logout", "of the next visitor")
    assert [(error["code"], error["type"]) for error in app.reported(2)] == [
        ("identity", "login"),
        ("identity", "track"),
    ]
    assert "ana-1" not in json.dumps(relay.accepted)


def test_of_a_person_who_left_and_whose_token_is_refused_only_the_logout_is_sent(
    app: App, relay: Relay, profile: BrowserContext
) -> None:
    revoked = token("ana-1")
    relay.must_prove, relay.refused_tokens = True, {revoked}
    app.start()
    profile.set_offline(offline=True)
    app.call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{revoked}'}})")
    app.call("notifyLogout()")
    profile.set_offline(offline=False)
    relay.wait_for("logout")
    assert app.codes(1) == ["identity"]


def test_a_stored_token_is_deleted_when_it_ends_online_or_not(app: App, profile: BrowserContext) -> None:
    jwt = token("ana-1", 2)
    app.start()
    profile.set_offline(offline=True)
    app.call(f"setIdentity('ana-1', '{jwt}')")
    assert jwt in app.storage()
    app.page.wait_for_function(f"!JSON.stringify(localStorage).includes('{jwt}')")


def test_the_token_of_a_person_who_has_left_is_deleted_once_nothing_of_theirs_waits(app: App, relay: Relay) -> None:
    jwt = token("ana-1")
    app.start().call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{jwt}'}})")
    app.call("notifyLogout()")
    relay.wait_for("login ana-1", "logout ana-1")
    app.drain()
    assert jwt not in app.storage()
    assert "ana-1" not in app.storage()


def test_a_token_is_renewed_before_it_ends(app: App, relay: Relay) -> None:
    first, second = token("ana-1", 3), token("ana-1")
    app.start(f"{{identityToken: async () => (asked.push(1), '{second}')}}")
    app.call(f"setIdentity('ana-1', '{first}')")
    app.page.wait_for_function("asked.length")
    app.page.wait_for_function(f"JSON.stringify(localStorage).includes('{second}')")
    app.call("track('seen')")
    relay.wait_for("seen")
    assert relay.accepted[0]["identityToken"] == second


def test_a_token_of_another_person_is_a_mistake_and_is_not_stored(app: App) -> None:
    jwt = token("bruno-2")
    app.start().call(f"setIdentity('ana-1', '{jwt}')")
    assert app.codes(1) == ["invalid"]
    assert jwt not in app.storage()


def test_a_token_in_the_input_is_no_property(app: App, relay: Relay) -> None:
    jwt = token("ana-1")
    app.start("{onError() {}}")
    app.page.evaluate("relay.flush()")
    app.call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{jwt}', loyaltyTier: 'gold'}})")
    relay.wait_for("login ana-1")
    assert relay.accepted[0]["loyaltyTier"] == "gold"


@pytest.mark.parametrize("call", ["notifyLogout()", "reset()"])
def test_a_logout_carries_the_old_ids_and_push_token_and_nothing_after_it_does(
    app: App, relay: Relay, call: str
) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1', email: 'ana@example.com'})")
    app.call("pushToken('fcm-1')")
    app.call(call)
    app.call("open()")
    relay.wait_for("login ana-1", "push_token ana-1", "logout ana-1", "open")
    login, push, logout, after = relay.accepted
    assert push["device"]["pushToken"] == logout["device"]["pushToken"] == "fcm-1"
    assert login["anonymousId"] == logout["anonymousId"] != after["anonymousId"]
    assert "pushToken" not in after["device"]
    assert "customerId" not in after
    assert "email" not in logout


def test_reset_after_a_logout_sends_no_second_one(app: App, relay: Relay) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    app.call("notifyLogout()")
    app.call("reset()")
    app.call("open()")
    relay.wait_for("login ana-1", "logout ana-1", "open")


def test_a_login_of_another_person_logs_the_one_before_out(app: App, relay: Relay) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    app.call("notifyLogin({customerId: 'bruno-2', email: 'bruno@example.com'})")
    relay.wait_for("login ana-1", "logout ana-1", "login bruno-2")
    _, logout, login = relay.accepted
    assert "email" not in logout
    assert logout["anonymousId"] != login["anonymousId"]


@pytest.mark.parametrize("write", range(5))
def test_whatever_crashes_in_a_logout_nothing_after_it_carries_the_old_person(
    app: App, relay: Relay, profile: BrowserContext, write: int
) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    relay.wait_for("login ana-1")
    app.drain()
    visitor = relay.accepted[0]["anonymousId"]
    profile.set_offline(offline=True)
    # From this write on nothing reaches storage, as if the process had been killed.
    app.page.evaluate(
        """(left) => {
          for (const name of ['setItem', 'removeItem']) {
            const real = Storage.prototype[name];
            Storage.prototype[name] = function (...given) { if (left-- > 0) real.apply(this, given); };
          }
        }""",
        write,
    )
    app.call("notifyLogout()")
    profile.set_offline(offline=False)
    app.reload().call("track('after')")
    relay.wait_until(lambda: relay.names()[-1:] == ["after"])
    after = relay.accepted[-1]
    if "logout ana-1" in relay.names():
        assert relay.names() == ["login ana-1", "logout ana-1", "after"]
        assert after["anonymousId"] != visitor
        assert "customerId" not in after
    else:
        # The logout never was, so Ana is still here.
        assert (after["customerId"], after["anonymousId"]) == ("ana-1", visitor)
        assert write < 2


def test_a_person_who_was_logged_in_is_still_so_after_a_restart(app: App, relay: Relay) -> None:
    app.start().call("notifyLogin({customerId: 'ana-1'})")
    app.reload().call("track('seen')")
    relay.wait_for("login ana-1", "seen")
    assert relay.accepted[1]["customerId"] == "ana-1"
    assert relay.accepted[0]["anonymousId"] == relay.accepted[1]["anonymousId"]


def test_a_push_token_that_changes_names_the_one_before_and_a_decline_is_false(app: App, relay: Relay) -> None:
    app.start()
    for value in ("'fcm-1'", "'fcm-2'", "false"):
        app.call(f"pushToken({value})")
    app.call("open()")
    relay.wait_for("push_token", "push_token", "push_token", "open")
    pushed = [(event["device"].get("pushToken"), event["device"].get("previousPushToken")) for event in relay.accepted]
    assert pushed == [("fcm-1", None), ("fcm-2", "fcm-1"), (False, "fcm-2"), (False, None)]


def test_a_refused_token_that_is_refused_again_waits_instead_of_asking_on_and_on(app: App, relay: Relay) -> None:
    refused = token("ana-1")
    relay.must_prove, relay.refused_tokens = True, {refused}
    app.start(f"{{identityToken: async () => (asked.push(1), '{refused}')}}")
    app.call("notifyLogin({customerId: 'ana-1'})")
    app.page.wait_for_timeout(400)
    assert app.page.evaluate("asked.length") <= 3
    assert app.pending() == ["login"]
    relay.refused_tokens = set()
    app.drain()
    assert relay.names() == ["login ana-1"]


def test_a_key_that_is_refused_is_not_taken_for_a_token_that_is(app: App, relay: Relay) -> None:
    relay.keys = set()
    jwt = token("ana-1")
    app.start("{identityToken: async () => { asked.push(1); throw new Error(); }}")
    app.call(f"notifyLogin({{customerId: 'ana-1', identityToken: '{jwt}'}})")
    assert app.codes(1) == ["refused"]
    assert app.page.evaluate("asked.length") == 0
    assert relay.faults == [] == [fault for fault in relay.faults if isinstance(fault, Fault)]
