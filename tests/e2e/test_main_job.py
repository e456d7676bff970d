"""The main job through the public API: what an app is answered, and what arrives at the agents."""

from collections.abc import Callable

import pytest
import requests

from local.scenario import BROWSER, CONTACT, PHONE
from tests.e2e.conftest import Caller, meta_event

# Digests of the address and number in local/scenario.py, by sha256sum: Meta takes the digits only, Google the plus too.
EMAIL_SHA256 = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
DIGITS_SHA256 = "622cf97dfa93b3c15782877a9180213b36c7da970c4964416690f48da14be179"
E164_SHA256 = "7f8ac259c0062c73bd46a06615d19d4ab28898ee709300fcbd7f0aa9f467ec93"


def test_health_needs_no_key(app: Caller) -> None:
    answer = app.call("/health", method="GET", key=None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_seeds_login_arrives_at_all_four_agents_it_names(app: Caller, unique: Callable[[], str]) -> None:
    event_id, customer = unique(), unique()
    body = {"eventId": event_id, "customerId": customer, **CONTACT, "method": "password", **PHONE}
    assert app.accepted("/login", body) == event_id
    (appsflyer,) = app.wait_until_received("appsflyer", event_id)
    (facebook,) = app.wait_until_received("facebook", event_id)
    (google,) = app.wait_until_received("google", customer)
    (eitri,) = app.wait_until_received("eitri_push", event_id)
    assert [request["violations"] for request in (appsflyer, facebook, google, eitri)] == [[], [], [], []]
    assert appsflyer["path"] == "/inappevent/com.example.shop"
    assert appsflyer["body"]["eventName"] == "af_login"
    assert meta_event(facebook, event_id)["user_data"]["em"] == [EMAIL_SHA256]
    assert meta_event(facebook, event_id)["user_data"]["ph"] == [DIGITS_SHA256]
    assert google["body"]["events"][0]["name"] == "login"
    assert google["body"]["user_data"]["sha256_phone_number"] == [E164_SHA256]
    assert (eitri["body"]["type"], eitri["body"]["customer"]) == ("session.login", {"id": customer})


def test_a_login_on_a_site_is_a_login_of_a_site(app: Caller, unique: Callable[[], str]) -> None:
    event_id = app.accepted("/login", {"eventId": unique(), "customerId": unique(), **CONTACT, **BROWSER})
    (facebook,) = app.wait_until_received("facebook", event_id)
    assert facebook["violations"] == []
    assert meta_event(facebook, event_id)["action_source"] == "website"
    lines = app.became(event_id, "appsflyer", "google")
    assert (lines["appsflyer"]["message"], lines["appsflyer"]["reason"]) == ("skipped", "not a mobile app")
    assert lines["google"]["message"] == "unconfirmed"


def test_a_bare_login_is_skipped_where_it_lacks_what_the_agent_needs(app: Caller, unique: Callable[[], str]) -> None:
    event_id = app.accepted("/login", {"eventId": unique(), "customerId": "12345"})
    lines = app.became(event_id, "appsflyer", "facebook", "google", "eitri_push")
    assert {agent: (line["message"], line["reason"]) for agent, line in lines.items() if agent != "facebook"} == {
        "appsflyer": ("skipped", "no appsflyerId"),
        "google": ("skipped", "no gaClientId"),
        "eitri_push": ("skipped", "no device id"),
        "emarsys": ("skipped", "no device id"),
    } | ({"dashx": (lines["dashx"]["message"], lines["dashx"]["reason"])} if "dashx" in lines else {})
    assert lines["facebook"]["message"] == "delivered"


def test_a_logout_without_a_body_is_accepted(app: Caller) -> None:
    assert app.accepted("/logout")


@pytest.mark.parametrize("key", [None, "", "pk_demo_wrong", "sk_demo_" + "x" * 32, "pk_nobody_" + "x" * 32])
def test_a_wrong_key_is_401_as_a_problem(app: Caller, key: str | None) -> None:
    answer = app.call("/login", {"customerId": "1"}, key=key)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Send a valid key of your app as Authorization: Bearer <key>."


def test_a_call_that_is_not_there_is_404_as_a_problem(app: Caller) -> None:
    answer = app.call("/signin", {"customerId": "1"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_body_is_400_with_the_place_of_each_fault(app: Caller) -> None:
    body = {"customerId": 1, "device": {"platform": "vax"}}
    answer = app.call("/login", body, headers={"prefer": "handling=strict"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/customerId", "#/device/platform"]


def test_the_same_event_sent_twice_reaches_each_agent_once(app: Caller, unique: Callable[[], str]) -> None:
    body = {"eventId": unique(), "customerId": unique(), **PHONE}
    app.accepted("/login", body)
    app.wait_until_received("eitri_push", body["eventId"])
    app.accepted("/login", body)
    app.became(app.accepted("/login", {**body, "eventId": unique()}), "eitri_push")
    assert len(app.received("eitri_push", body["eventId"])) == 1


def test_an_agent_that_fails_twice_recovers_and_delays_no_other(app: Caller, unique: Callable[[], str]) -> None:
    app.became(app.accepted("/login", {"eventId": unique(), "customerId": unique(), **PHONE}), "appsflyer", "facebook")
    event_id, customer = unique(), unique()
    app.fault("facebook", status=503, times=2, match=event_id)
    app.accepted("/login", {"eventId": event_id, "customerId": customer, **CONTACT, **PHONE})
    facebook = app.wait_until_received("facebook", event_id, 3)
    others = [
        *app.wait_until_received("appsflyer", event_id),
        *app.wait_until_received("google", customer),
        *app.wait_until_received("eitri_push", event_id),
    ]
    assert [request["status"] for request in facebook] == [503, 503, 200]
    assert facebook[-1]["violations"] == []
    # ISO times of one clock compare as text.
    assert all(other["receivedAt"] < facebook[1]["receivedAt"] for other in others)
    assert app.became(event_id, "facebook")["facebook"]["attempt"] == 3


def test_what_an_agent_rejects_is_parked_and_not_tried_again(app: Caller, unique: Callable[[], str]) -> None:
    event_id = unique()
    app.fault("eitri_push", status=422, match=event_id)
    # On a phone that nobody has used before there is no person to release.
    device = {**PHONE["device"], "id": unique()}
    app.accepted("/login", {"eventId": event_id, "customerId": unique(), **PHONE, "device": device})
    line = app.became(event_id, "eitri_push")["eitri_push"]
    assert (line["message"], line["reason"]) == ("parked", "HTTP 422")
    assert len(app.received("eitri_push", event_id)) == 1


def test_the_sandbox_page_is_there(app: Caller) -> None:
    page = requests.get(app.stack.sandbox_url, timeout=10)
    assert page.status_code == 200
    assert "<html" in page.text
