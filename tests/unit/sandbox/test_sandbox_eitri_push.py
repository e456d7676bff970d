"""The sandboxed Eitri Push Server verifies every signature and applies messages by their sequence."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from local.sandbox.eitri_push import EitriPush
from local.sandbox.exchange import CheckResult, Request, VendorResponse

SECRET = "whsec_ZWl0cmktZXhhbXBsZS1zaWduaW5nLWtleS0zMmJ5dGU="
STORE = {"account": "examplestore", "environment": "production"}
SETTINGS: dict[str, Any] = {"auth_mode": "hmac", "signing_secrets": [SECRET], "store": STORE}
NOW = 1_763_748_001.0
DEVICE = "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11"
ANA = "6f0c1f5e-1c4b-4f1a-8d61-2a3d7a3b9c55"
EXAMPLE = (
    b'{"schema":"eitri-session/1","type":"session.login","id":"evt_01JD8Z5T3N","occurred_at":'
    b'"2025-11-21T18:00:00.000Z","sequence":1763748000000,"store":{"account":"examplestore","environment":'
    b'"production"},"customer":{"id":"6f0c1f5e-1c4b-4f1a-8d61-2a3d7a3b9c55","email":"ana@example.com","phone":'
    b'"+5511999887766"},"device":{"id":"6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11","platform":"android","push":'
    b'{"provider":"fcm","token":"fcm-example-token"}}}'
)
EXAMPLE_SIGNATURE = "v1,q78F6M2MX0pfkKIP0ZSl9ZMRdhkUBIAO4w66NdmNW6A="
LOGIN: dict[str, Any] = json.loads(EXAMPLE)


def sign(message_id: str, stamp: str, body: bytes, secret: str = SECRET) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def post(message: Any, *, stamp: str = "1763748001", **headers: str) -> Request:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    message_id = json.loads(body)["id"]
    sent = {
        "content-type": "application/json",
        "user-agent": "session-relay/0.1.0",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(message_id, stamp, body),
    }
    return Request("POST", "/hooks/session", {}, sent | headers, body)


def message(kind: str, sequence: int, **more: Any) -> dict[str, Any]:
    same = {key: LOGIN[key] for key in ("schema", "occurred_at", "store")}
    device = {"id": DEVICE, "platform": "android"}
    return same | {"type": kind, "id": f"{kind}-{sequence}", "sequence": sequence, "device": device} | more


def checked(request: Request, settings: dict[str, Any] = SETTINGS) -> tuple[CheckResult, VendorResponse]:
    result = EitriPush(settings).check(request, NOW)
    return result, result.work()


def test_takes_the_login_of_the_contract_with_its_very_signature() -> None:
    assert sign("evt_01JD8Z5T3N", "1763748001", EXAMPLE) == EXAMPLE_SIGNATURE
    result, answer = checked(post(EXAMPLE, **{"webhook-signature": EXAMPLE_SIGNATURE}))
    assert list(result.violations) == []
    assert (answer.status, json.loads(answer.body)["accepted"]) == (202, True)


def test_takes_what_the_ready_made_library_signs() -> None:
    signature = Webhook(SECRET).sign("evt_01JD8Z5T3N", datetime.fromtimestamp(NOW, UTC), EXAMPLE.decode())
    assert signature == EXAMPLE_SIGNATURE
    assert list(checked(post(EXAMPLE, **{"webhook-signature": signature}))[0].violations) == []


@pytest.mark.parametrize(
    "example",
    [
        message("session.logout", 1763751600000, customer={"id": ANA}),
        message("session.logout", 1),
        message(
            "device.push_token",
            1,
            device={"id": DEVICE, "platform": "ios", "push": {"provider": "fcm", "token": "t"}},
        ),
        message("device.push_token_removed", 1),
        message("app.open", 1),
        message("event.track", 1, properties={"name": "checkout_started", "cart": "42"}),
        message("identity.updated", 1, customer={"id": ANA, "phone": "+5511999887766"}),
        message("session.login", 1, customer={"id": ANA}, session={"id": "s-1", "verified": True}),
    ],
)
def test_takes_the_other_examples(example: dict[str, Any]) -> None:
    result, answer = checked(post(example))
    assert list(result.violations) == []
    assert answer.status == 202


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "eitri-session/2"},
        {"type": "session.start"},
        {"occurred_at": "2025-11-21T18:00:00Z"},
        {"occurred_at": "2025-11-21T15:00:00.000-03:00"},
        {"sequence": "1763748000000"},
        {"sequence": 1.5},
        {"store": {"account": "examplestore"}},
        {"customer": None},
        {"customer": {"id": " "}},
        {"customer": {"id": "x" * 129}},
        {"customer": {"id": ANA, "phone": "11 99988-7766"}},
        {"customer": {"id": ANA, "name": "Ana"}},
        {"device": {"id": DEVICE}},
        {"device": {"id": DEVICE, "platform": "windows"}},
        {"device": {"id": DEVICE, "platform": "ios", "push": {"provider": "apns", "token": "t"}}},
        {"device": {"id": DEVICE, "platform": "ios", "model": "x"}},
        {"session": {"id": "s", "verified": "yes"}},
        {"session": {"id": "s", "verified": False}},
        {"properties": {"count": 1}},
        {"traits": {}},
    ],
)
def test_refuses_a_body_that_breaks_the_schema(change: dict[str, Any]) -> None:
    result, answer = checked(post(LOGIN | change))
    assert result.violations
    assert answer.status == 400


def test_needs_a_customer_a_token_and_properties_where_the_type_says_so() -> None:
    for kind in ("session.login", "identity.updated", "device.push_token", "event.track"):
        assert checked(post(message(kind, 1)))[1].status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1," + "A" * 43 + "="},
        {"webhook-timestamp": "1763747000"},
        {"webhook-timestamp": "now"},
    ],
)
def test_refuses_what_is_not_signed_properly(headers: dict[str, str]) -> None:
    assert checked(post(LOGIN, **headers))[1].status == 401


@pytest.mark.parametrize("stamp", ["1763747700", "1763748302"])
def test_refuses_a_signature_of_another_time(stamp: str) -> None:
    result, answer = checked(post(LOGIN, stamp=stamp))
    assert len(result.violations) == 1
    assert answer.status == 401


def test_accepts_either_secret_while_they_rotate() -> None:
    other = "whsec_" + base64.b64encode(b"another-signing-key-of-32-bytes!").decode()
    both = SETTINGS | {"signing_secrets": [other, SECRET]}
    assert checked(post(LOGIN), both)[1].status == 202
    wrong = sign("evt_01JD8Z5T3N", "1763748001", EXAMPLE, other)
    two = {"webhook-signature": f"{wrong} {EXAMPLE_SIGNATURE}"}
    assert list(checked(post(EXAMPLE, **two))[0].violations) == []
    assert checked(post(LOGIN), SETTINGS | {"signing_secrets": [other]})[1].status == 401


def test_refuses_another_store_another_id_and_a_body_too_large() -> None:
    assert checked(post(LOGIN | {"store": STORE | {"environment": "staging"}}))[1].status == 404
    assert checked(post(LOGIN, **{"webhook-id": "evt_2"}))[1].status == 401
    large = message("event.track", 1, properties={"name": "n" * 16_384})
    assert checked(post(large))[1].status == 413


@pytest.mark.parametrize("agent", ["", "python-requests/2.34.2", "relay"])
def test_wants_to_know_who_calls(agent: str) -> None:
    result, answer = checked(post(LOGIN, **{"user-agent": agent}))
    assert (len(result.violations), answer.status) == (1, 202)


def state_after(*messages: dict[str, Any]) -> Any:
    agent = EitriPush(SETTINGS)
    for one in messages:
        agent.check(post(one), NOW).work()
    return agent.state()["devices"][DEVICE]


def login(sequence: int, customer: str, token: str | None = None) -> dict[str, Any]:
    push = {"push": {"provider": "fcm", "token": token}} if token else {}
    device = {"id": DEVICE, "platform": "android"} | push
    return message("session.login", sequence, customer={"id": customer}, device=device)


def logout(sequence: int, customer: str | None = None) -> dict[str, Any]:
    return message("session.logout", sequence, **({"customer": {"id": customer}} if customer else {}))


def test_a_login_that_is_older_than_the_logout_is_ignored() -> None:
    assert state_after(logout(2, "a"), login(1, "a", "t"))["pushesGoTo"] is None


def test_a_logout_wins_a_tie_whichever_comes_first() -> None:
    assert state_after(login(1, "a", "t"), logout(1, "a"))["customer"] is None
    assert state_after(logout(1, "a"), login(1, "a", "t"))["customer"] is None


def test_the_newest_message_says_who_is_on_the_device() -> None:
    assert state_after(login(1, "b", "t"), logout(2, "a"))["pushesGoTo"] is None
    assert state_after(login(1, "b", "t"), logout(2))["pushesGoTo"] is None
    assert state_after(login(1, "a", "t"), message("app.open", 2, customer={"id": "b"}))["customer"] == "b"
    assert state_after(login(1, "a", "t"), message("app.open", 2))["pushesGoTo"] is None


def test_a_token_belongs_to_the_person_whom_its_message_named() -> None:
    assert state_after(login(1, "a", "t"), message("app.open", 2, customer={"id": "b"}))["pushToken"] is None
    foreign = {"id": DEVICE, "platform": "android", "push": {"provider": "fcm", "token": "foreign"}}
    unproven = message("device.push_token", 1, device=foreign)
    assert state_after(unproven, message("app.open", 2, customer={"id": "b"}))["pushesGoTo"] is None


def test_a_release_counts_once_and_its_event_may_follow_with_the_same_sequence() -> None:
    wanted = login(2, "b", "t2")
    release = logout(2) | {"id": f"release/{wanted['id']}", "release_of": wanted["id"]}
    assert state_after(login(1, "a", "t"), release)["customer"] is None
    assert state_after(login(1, "a", "t"), wanted, release, wanted)["pushesGoTo"] == "b"
    assert state_after(login(3, "a", "t"), release)["customer"] == "a"


def test_of_equal_sequences_the_later_received_counts_where_a_message_says_when() -> None:
    def at(received_at: str, one: dict[str, Any]) -> dict[str, Any]:
        return one | {"received_at": f"2026-11-20T09:15:42.{received_at}Z"}

    assert state_after(at("000001", logout(1)), at("000002", login(1, "b", "t")))["customer"] == "b"
    assert state_after(at("000002", logout(1)), at("000001", login(1, "b", "t")))["customer"] is None


def test_the_device_id_is_enough_for_what_ends_pushes() -> None:
    alone = {"device": {"id": DEVICE}}
    assert state_after(login(1, "a", "t"), logout(2) | alone)["customer"] is None
    assert state_after(login(1, "a", "t"), message("device.push_token_removed", 2, **alone))["pushesGoTo"] is None


def test_the_token_belongs_to_the_device_of_the_person_bound() -> None:
    token = {"id": DEVICE, "platform": "android", "push": {"provider": "fcm", "token": "t2"}}
    known = {"customer": {"id": "a"}}
    after = state_after(login(1, "a"), message("device.push_token", 2, device=token, **known))
    assert (after["pushToken"], after["pushesGoTo"]) == ("t2", "a")
    assert state_after(login(1, "a", "t"), message("device.push_token_removed", 2, **known))["pushToken"] is None


def test_answers_409_to_a_message_that_was_done_before() -> None:
    agent = EitriPush(SETTINGS)
    assert agent.check(post(LOGIN), NOW).work().status == 202
    again = agent.check(post(LOGIN), NOW)
    assert (list(again.violations), again.work().status) == ([], 409)
    changed = agent.check(post(LOGIN | {"sequence": 1}), NOW)
    assert any("another body" in violation for violation in changed.violations)


OAUTH = SETTINGS | {
    "auth_mode": "hmac+oauth2",
    "oauth": {"client_id": "id-example", "client_secret": "secret-example", "style": "json_body"},
}
ASKED = {"grant_type": "client_credentials", "client_id": "id-example", "client_secret": "secret-example"}


def ask(body: Any, **headers: str) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", "/v1/oauth/token", {}, {"content-type": "application/json"} | headers, raw)


def test_a_token_opens_the_hook_until_it_expires_or_the_secret_changes() -> None:
    agent = EitriPush(OAUTH)
    token = json.loads(agent.check(ask(ASKED), NOW).work().body)
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 900, "push:send")
    request = post(LOGIN, authorization=f"Bearer {token['access_token']}")
    assert agent.check(request, NOW).work().status == 202
    assert agent.check(post(LOGIN), NOW).work().status == 401
    agent.settings = OAUTH | {"oauth": OAUTH["oauth"] | {"client_secret": "rotated"}}
    assert agent.check(request, NOW).work().status == 401
    agent.settings = OAUTH | {"auth_mode": "oauth2"}
    assert agent.check(request, NOW + 901).work().status == 401


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (ASKED | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (ASKED | {"client_secret": "old"}, 401, "invalid_client"),
    ],
)
def test_refuses_to_issue_a_token(body: Any, status: int, name: str) -> None:
    answer = checked(ask(body), OAUTH)[1]
    assert (answer.status, json.loads(answer.body)["name"]) == (status, name)


def test_issues_no_token_where_there_are_no_credentials() -> None:
    assert checked(ask({"grant_type": "client_credentials"}), SETTINGS)[1].status == 401


def test_takes_credentials_in_each_style() -> None:
    basic = "Basic " + base64.b64encode(b"id-example:secret-example").decode()
    by_style = {
        "json_body": ask(ASKED),
        "basic_json": ask({"grant_type": "client_credentials"}, authorization=basic),
        "form": ask(
            b"grant_type=client_credentials&client_id=id-example&client_secret=secret-example",
            **{"content-type": "application/x-www-form-urlencoded"},
        ),
    }
    for style in by_style:
        settings = OAUTH | {"oauth": OAUTH["oauth"] | {"style": style}}
        statuses = {name: checked(request, settings)[1].status for name, request in by_style.items()}
        assert statuses.pop(style) == 200
        assert 200 not in statuses.values()


def test_checks_the_static_header() -> None:
    settings = {"auth_mode": "static_header", "static_header": {"name": "X-Api-Key", "value": "k"}}
    assert checked(post(LOGIN, **{"x-api-key": "k"}), settings)[1].status == 202
    assert checked(post(LOGIN), settings)[1].status == 401
