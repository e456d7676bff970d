"""The client without a page: in a worker, and in Node with storage and network handed in, as React Native does."""

import json
from typing import Any

from tests.client.conftest import App
from tests.client.node import run
from tests.client.service import CLIENT, Relay, token

# AsyncStorage: promises, and nothing else than text.
PHONE = """
import { createSessionRelay } from %(client)s;
const cells = new Map();
const later = (value) => new Promise((done) => setTimeout(() => done(value), 2));
const storage = {
  getItem: (key) => later(cells.has(key) ? cells.get(key) : null),
  setItem: (key, text) => { if (typeof text !== 'string') throw new TypeError(); return later(cells.set(key, text)); },
  removeItem: (key) => later(cells.delete(key)),
};
const reported = [];
let changed;
const start = (more) => createSessionRelay({ url: %(url)s, key: 'pk_demo_example', storage,
  onError: (one) => reported.push(one), network: (listener) => { changed = listener; },
  device: { id: 'phone-1', platform: 'android', model: 'SM-S911B' }, ids: { appsflyerId: 'af-1' }, ...more });
const say = (value) => console.log(JSON.stringify(value));
"""


def _phone(api: str, script: str) -> Any:
    """Runs a script on a phone of its own; what it says."""
    known = {"client": json.dumps(CLIENT.as_uri()), "url": json.dumps(api)}
    said = run("node", "--input-type=module", "-", text=PHONE % known + script)
    return json.loads(said) if said else None


def test_a_phone_hands_over_what_it_is_once_and_every_event_carries_it(relay: Relay, api: str) -> None:
    _phone(api, "const relay = start(); relay.notifyLogin({ customerId: 'ana-1' }); await relay.track('seen');")
    relay.wait_for("login ana-1", "seen")
    for event in relay.accepted:
        assert event["device"] == {"id": "phone-1", "platform": "android", "model": "SM-S911B"}
        assert event["ids"] == {"appsflyerId": "af-1"}
        assert event["context"] == {}


def test_a_phone_that_was_offline_and_restarted_sends_two_peoples_events_in_order(relay: Relay, api: str) -> None:
    relay.must_prove = True
    script = """
      let relay = start();
      changed(false);
      await relay.notifyLogin({ customerId: 'ana-1', identityToken: '%s' });
      await relay.notifyLogout();
      relay = start();
      changed(false);
      await relay.notifyLogin({ customerId: 'bruno-2', identityToken: '%s' });
      say((await relay.pending()).map(({ type }) => type));
      changed(true);
      await relay.flush();
    """
    assert _phone(api, script % (token("ana-1"), token("bruno-2"))) == ["login", "logout", "login"]
    assert relay.names() == ["login ana-1", "logout ana-1", "login bruno-2"]
    assert len(relay.calls) == 1


def test_calls_before_storage_is_read_are_captured_when_they_are_made_and_kept_in_order(relay: Relay, api: str) -> None:
    script = """
      const input = { customerId: 'ana-1' };
      const relay = start();
      const calls = [relay.notifyLogin(input), relay.track('first'), relay.notifyLogout(), relay.track('second')];
      input.customerId = 'bruno-2';
      say(await Promise.all(calls));
      await relay.flush();
    """
    assert _phone(api, script) == [None] * 4
    assert relay.names() == ["login ana-1", "first", "logout ana-1", "second"]
    assert "customerId" not in relay.accepted[3]


def test_on_a_phone_a_logout_and_its_new_visitor_are_one_write(relay: Relay, api: str) -> None:
    relay.must_prove = False
    script = """
      const relay = start();
      await relay.notifyLogin({ customerId: 'ana-1' });
      await relay.flush();
      const written = [];
      storage.setItem = async (key, text) => { written.push(text); };
      changed(false);
      await relay.notifyLogout();
      const [first] = written.map(JSON.parse);
      const queued = Object.keys(first).filter((cell) => cell[0] === 'e').map((cell) => JSON.parse(first[cell]).event);
      say({ who: JSON.parse(first.w), queued });
    """
    first = _phone(api, script)
    assert first["who"].keys() == {"visitor"}
    (logout,) = first["queued"]
    assert (logout["type"], logout["customerId"]) == ("logout", "ana-1")
    assert logout["anonymousId"] != first["who"]["visitor"]


def test_where_a_phones_storage_fails_events_are_sent_all_the_same_and_nobody_comes_back(
    relay: Relay, api: str
) -> None:
    script = """
      let relay = start();
      await relay.notifyLogin({ customerId: 'ana-1' });
      await relay.flush();
      const working = storage.setItem;
      storage.setItem = () => Promise.reject(new Error('disk full'));
      await relay.notifyLogout();
      await relay.flush();
      storage.setItem = working;
      relay = start();
      await relay.track('after');
      await relay.flush();
      say(reported.map(({ code }) => code));
    """
    assert _phone(api, script) == ["storage"]
    assert relay.names() == ["login ana-1", "logout ana-1", "after"]
    assert "customerId" not in relay.accepted[2]


def test_a_process_ends_although_events_wait(relay: Relay, api: str) -> None:
    relay.keys = set()
    script = (
        "const relay = start(); await relay.track('seen'); await relay.flush(); say(reported.map(({ code }) => code));"
    )
    assert _phone(api, script) == ["refused"]


WORKER = """async (script) => {
  const worker = new Worker('/worker.js', { type: 'module' });
  const answer = new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = ({ message }) => failed(new Error(message));
    setTimeout(failed, 20000, new Error('the worker does not answer'));
  });
  worker.postMessage(script);
  return answer;
}"""


def test_in_a_worker_without_window_and_storage_events_are_sent(app: App, relay: Relay) -> None:
    script = """(async () => {
      const relay = create({ url, key: 'pk_demo_example', onError: (one) => reported.push(one.code) });
      await relay.notifyLogin({ customerId: 'ana-1' });
      await relay.notifyLogout();
      await relay.flush();
      return [typeof window, typeof localStorage, reported, await relay.pending()];
    })()"""
    assert app.page.evaluate(WORKER, script) == ["undefined", "undefined", ["storage"], []]
    assert relay.names() == ["login ana-1", "logout ana-1"]
    device = relay.accepted[0]["device"]
    assert (device["platform"], device["timezone"]) == ("web", "America/Sao_Paulo")
    assert relay.accepted[0]["context"] == {}


def test_in_a_worker_with_storage_handed_in_a_restart_goes_on(app: App, relay: Relay) -> None:
    script = """(async () => {
      const cells = {};
      const storage = { getItem: async (key) => cells[key], setItem: async (key, text) => { cells[key] = text; } };
      const options = { url, key: 'pk_demo_example', storage, network: (changed) => changed(false) };
      await create(options).notifyLogin({ customerId: 'ana-1' });
      const relay = create({ ...options, network: undefined });
      await relay.track('seen');
      await relay.flush();
    })()"""
    app.page.evaluate(WORKER, script)
    relay.wait_for("login ana-1", "seen")
    assert relay.accepted[1]["customerId"] == "ana-1"
