"""The flows of the three seeds through the public API: whom each phone belongs to afterwards, at each agent."""

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from local.scenario import CONTACT, PHONE
from local.settings import agents
from tests.e2e.conftest import Caller

pytestmark = pytest.mark.usefixtures("no_violations")

ORDERED = ("dashx", "eitri_push", "emarsys")


@dataclass(frozen=True)
class Handset:
    """An app on one phone, as it speaks: what it knows of its device, and the visitor that it is just now."""

    app: Caller
    device: dict[str, Any]
    visitor: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def token(self) -> str:
        """The phone's push token."""
        return str(self.device["pushToken"])

    def tell(self, path: str, **body: Any) -> dict[str, dict[str, Any]]:
        """One event from this phone, accepted and settled; its receipts by agent."""
        headers = body.pop("headers", {})
        known = {"anonymousId": self.visitor, "device": self.device, "ids": PHONE["ids"]}
        return self.app.settled(self.app.accepted(path, known | body, headers=headers))

    def pushed(self) -> dict[str, Any]:
        """Who gets the pushes that this phone shows, at each of the agents that send any."""
        devices = {agent: self.app.state(agent)["devices"] for agent in ORDERED}
        keys = {"dashx": self.token, "eitri_push": self.device["id"], "emarsys": self.device["id"]}
        return {agent: devices[agent].get(keys[agent], {}).get("pushesGoTo") for agent in ORDERED}

    def reset(self) -> "Handset":
        """The same phone after a logout: DashX's SDKs make up a new visitor then."""
        return replace(self, visitor=str(uuid.uuid4()))

    def mutations(self) -> list[tuple[str, dict[str, Any]]]:
        """The names and inputs of what DashX was asked on behalf of this visitor."""
        return [_mutation(request["body"]) for request in self.app.received("dashx", self.visitor)]


def _mutation(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return body["query"].split("{")[1].split("(")[0], body["variables"]["input"]


def contact(customer: str) -> str:
    """How Emarsys knows a customer: the keyed hash of the id, cut to what a contact field holds."""
    key = agents("")["emarsys"]["contact_key"].encode()
    return hmac.new(key, customer.encode(), hashlib.sha256).hexdigest()[:56]


def only(customer: str) -> dict[str, Any]:
    """That the pushes go to this person and to nobody else."""
    return {"dashx": customer, "eitri_push": customer, "emarsys": contact(customer)}


NOBODY = dict.fromkeys(ORDERED)


def states(receipts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The state of each receipt, with the reason where it was skipped."""
    return {
        agent: f"skipped: {receipt['reason']}" if receipt["state"] == "skipped" else receipt["state"]
        for agent, receipt in receipts.items()
    }


@pytest.fixture
def phone(app: Caller, unique: Callable[[], str]) -> Handset:
    return Handset(app, {**PHONE["device"], "id": unique(), "pushToken": unique()})


@pytest.fixture
def ana(unique: Callable[[], str]) -> str:
    return f"ana-{unique()}"


@pytest.fixture
def bia(unique: Callable[[], str]) -> str:
    return f"bia-{unique()}"


def test_a_visitor_opens_the_app_before_anybody_is_identified(phone: Handset) -> None:
    assert states(phone.tell("/open")) == {
        "appsflyer": "delivered",
        "dashx": "delivered",
        "eitri_push": "delivered",
        "emarsys": "delivered",
        "facebook": "delivered",
        "google": "unconfirmed",
    }
    # DashX makes the visitor's account on demand, from the first event alone.
    (name, opened), (then, subscribed) = phone.mutations()
    assert (name, opened["event"]) == ("trackEvent", "Application Opened")
    assert (then, subscribed["accountAnonymousUid"]) == ("subscribeContact", phone.visitor)
    assert "accountUid" not in opened
    assert "accountUid" not in subscribed
    assert phone.app.state("dashx")["accounts"][f"anonymous:{phone.visitor}"]["anonymousUids"] == [phone.visitor]
    # Emarsys makes an anonymous contact, without push.
    (login,) = phone.app.received("emarsys", phone.device["id"])
    assert login["path"].endswith("/users/login")
    assert login["body"]["push_token"] is False
    assert "contact_field_id" not in login["body"]
    device = phone.app.state("emarsys")["devices"][phone.device["id"]]
    assert device["customer"].startswith("anonymous:")
    assert device["pushToken"] is None


def test_a_visitor_is_tracked_before_anybody_is_identified(phone: Handset) -> None:
    receipts = phone.tell("/track", name="product_viewed", properties={"sku": "A-1"})
    assert states(receipts) == {
        "appsflyer": "delivered",
        "dashx": "delivered",
        "emarsys": "delivered",
        "facebook": "delivered",
        "google": "unconfirmed",
    }
    ((name, tracked),) = phone.mutations()
    assert (name, tracked["event"], tracked["accountAnonymousUid"]) == ("trackEvent", "product_viewed", phone.visitor)
    assert tracked["data"]["sku"] == "A-1"
    assert f"anonymous:{phone.visitor}" in phone.app.state("dashx")["accounts"]
    (event,) = phone.app.received("emarsys", phone.device["id"])
    assert event["path"].endswith("/events/product_viewed")
    assert event["body"]["attributes"] == {"sku": "A-1"}
    assert "contact_field_id" not in event["body"]


def test_what_a_visitor_says_of_himself_is_saved_with_the_visitor(phone: Handset) -> None:
    receipts = phone.tell("/identify", traits={"firstName": "John"}, email="john@example.com")
    assert receipts["dashx"]["state"] == "delivered"
    account = phone.app.state("dashx")["accounts"][f"anonymous:{phone.visitor}"]
    assert account["profile"] == {"firstName": "John", "email": "john@example.com"}


def test_a_signup_at_the_back_end_is_identify_with_the_uid(app: Caller, ana: str) -> None:
    body = {
        "customerId": ana,
        "traits": {"firstName": "John", "lastName": "Doe"},
        "email": "john@example.com",
    }
    receipts = app.settled(app.accepted("/signup", body, key="secret"))
    assert states(receipts) == {
        "appsflyer": "skipped: no appsflyerId",
        "dashx": "delivered",
        "eitri_push": "skipped: no device id",
        "emarsys": "skipped: no device id",
        "facebook": "delivered",
        "google": "skipped: no gaClientId",
    }
    identified, registered = [_mutation(request["body"]) for request in app.received("dashx", ana)]
    assert identified == (
        "identifyAccount",
        {"uid": ana, "firstName": "John", "lastName": "Doe", "email": "john@example.com"},
    )
    assert (registered[0], registered[1]["event"], registered[1]["accountUid"]) == (
        "trackEvent",
        "User Registered",
        ana,
    )
    assert app.state("dashx")["accounts"][ana]["profile"] == {
        "firstName": "John",
        "lastName": "Doe",
        "email": "john@example.com",
    }


def test_a_login_with_a_minted_token_joins_visitor_and_user(phone: Handset, ana: str) -> None:
    phone.tell("/open")
    receipts = phone.tell("/login", customerId=ana, headers={"X-Identity-Token": phone.app.mint(ana)}, **CONTACT)
    assert states(receipts) == {
        "appsflyer": "delivered",
        "dashx": "delivered",
        "eitri_push": "delivered",
        "emarsys": "delivered",
        "facebook": "delivered",
        "google": "unconfirmed",
    }
    state = phone.app.state("dashx")
    assert state["visitors"][phone.visitor] == [ana]
    assert state["accounts"][ana]["anonymousUids"] == [phone.visitor]
    calls = phone.mutations()[2:]
    assert [name for name, _ in calls] == ["identifyAccount", "trackEvent", "subscribeContact"]
    assert calls[1][1]["event"] == "User Logged In"
    assert phone.pushed() == only(ana)


def test_events_after_a_login_are_sent_with_the_user(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    phone.tell("/track", customerId=ana, name="product_viewed")
    *_, (name, tracked) = phone.mutations()
    assert (name, tracked["accountUid"], tracked["accountAnonymousUid"]) == ("trackEvent", ana, phone.visitor)
    (*_, event) = phone.app.received("emarsys", phone.device["id"])
    assert event["path"].endswith("/events/product_viewed")
    assert event["body"]["contact_field_value"] == contact(ana)


def test_push_accepted_after_the_login_reaches_the_person(phone: Handset, ana: str) -> None:
    silent = replace(phone, device={key: value for key, value in phone.device.items() if key != "pushToken"})
    silent.tell("/login", customerId=ana)
    assert phone.pushed() == NOBODY
    receipts = phone.tell("/push-token", customerId=ana)
    assert states(receipts) == dict.fromkeys(ORDERED, "delivered")
    assert phone.pushed() == only(ana)
    *_, (name, subscribed) = phone.mutations()
    assert (name, subscribed["kind"], subscribed["value"]) == ("subscribeContact", "ANDROID", phone.token)
    (*_, login) = phone.app.received("emarsys", phone.device["id"])
    assert login["body"]["push_token"] == phone.token
    assert login["body"]["contact_field_value"] == contact(ana)


def test_push_declined_takes_the_previous_token_away(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    declined = {**phone.device, "pushToken": False, "previousPushToken": phone.token}
    receipts = phone.tell("/push-token", customerId=ana, device=declined)
    assert states(receipts) == dict.fromkeys(ORDERED, "delivered")
    assert phone.pushed() == NOBODY
    # Still the same person's device, only silent.
    assert phone.app.state("emarsys")["devices"][phone.device["id"]] == {
        "applicationId": "4F7AC-90B1D",
        "customer": contact(ana),
        "pushToken": None,
        "pushesGoTo": None,
    }
    assert phone.app.state("eitri_push")["devices"][phone.device["id"]]["customer"] == ana


def test_a_renewed_push_token_takes_the_place_of_the_one_before(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    renewed = replace(phone, device={**phone.device, "pushToken": f"{phone.token}-renewed"})
    receipts = renewed.tell("/push-token", customerId=ana, device={**renewed.device, "previousPushToken": phone.token})
    assert states(receipts) == dict.fromkeys(ORDERED, "delivered")
    assert renewed.pushed() == only(ana)
    assert phone.pushed()["dashx"] is None
    assert phone.app.state("emarsys")["devices"][phone.device["id"]]["pushToken"] == renewed.token
    assert phone.app.state("eitri_push")["devices"][phone.device["id"]]["pushToken"] == renewed.token


def test_the_app_in_the_foreground_keeps_device_and_person_together(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    updated = replace(phone, device={**phone.device, "appVersion": "4.13.0"})
    assert states(updated.tell("/open", customerId=ana))["emarsys"] == "delivered"
    assert phone.pushed() == only(ana)
    (*_, opened) = phone.app.received("emarsys", phone.device["id"])
    assert opened["path"].endswith("/users/login")
    assert opened["body"]["application_version"] == "4.13.0"
    assert opened["body"]["contact_field_value"] == contact(ana)
    assert opened["body"]["push_token"] == phone.token
    named = [values["event"] for name, values in phone.mutations() if name == "trackEvent"]
    assert named == ["User Logged In", "Application Opened"]


def test_a_logout_ends_with_the_old_ids_and_the_next_events_are_a_new_visitors(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    receipts = phone.tell("/logout", customerId=ana)
    assert states(receipts) == {
        "appsflyer": "delivered",
        "dashx": "delivered",
        "eitri_push": "delivered",
        "emarsys": "delivered",
        "facebook": "delivered",
        "google": "unconfirmed",
    }
    assert phone.pushed() == NOBODY
    assert phone.app.state("emarsys")["devices"][phone.device["id"]]["customer"] is None
    assert phone.app.state("eitri_push")["devices"][phone.device["id"]]["customer"] is None
    (first, left), (then, out) = phone.mutations()[-2:]
    assert first == "unsubscribeContact"
    assert left == {"value": phone.token, "accountUid": ana, "accountAnonymousUid": phone.visitor}
    assert (then, out["event"]) == ("trackEvent", "User Logged Out")
    assert (out["accountUid"], out["accountAnonymousUid"]) == (ana, phone.visitor)

    visitor = phone.reset()
    visitor.tell("/open")
    assert [(name, "accountUid" in values) for name, values in visitor.mutations()] == [
        ("trackEvent", False),
        ("subscribeContact", False),
    ]
    assert visitor.visitor not in phone.app.state("dashx")["visitors"]
    assert visitor.pushed() == {"dashx": f"anonymous:{visitor.visitor}", "eitri_push": None, "emarsys": None}


def test_a_person_who_comes_back_is_joined_with_the_new_visitor_too(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    phone.tell("/logout", customerId=ana)
    again = phone.reset()
    again.tell("/login", customerId=ana)
    assert phone.app.state("dashx")["accounts"][ana]["anonymousUids"] == [phone.visitor, again.visitor]
    assert again.pushed() == only(ana)


def test_after_another_person_logs_in_the_phone_is_theirs_alone(phone: Handset, ana: str, bia: str) -> None:
    phone.tell("/open")
    phone.tell("/login", customerId=ana, headers={"X-Identity-Token": phone.app.mint(ana)})
    phone.tell("/open", customerId=ana)
    phone.tell("/logout", customerId=ana)
    handed_on = phone.reset()
    handed_on.tell("/open")
    handed_on.tell("/login", customerId=bia, headers={"X-Identity-Token": phone.app.mint(bia)})
    assert handed_on.pushed() == only(bia)
    dashx = phone.app.state("dashx")
    assert dashx["contacts"][phone.token]["accounts"] == [bia]
    assert dashx["visitors"][phone.visitor] == [ana]
    assert dashx["visitors"][handed_on.visitor] == [bia]
    assert phone.app.state("emarsys")["devices"][phone.device["id"]]["customer"] == contact(bia)
    assert phone.app.state("eitri_push")["devices"][phone.device["id"]]["customer"] == bia


def test_a_late_login_of_the_first_person_does_not_take_the_phone_back(phone: Handset, ana: str, bia: str) -> None:
    then = int(time.time() * 1000) - 60_000
    phone.tell("/login", customerId=ana, sequence=then)
    phone.tell("/logout", customerId=ana, sequence=then + 20_000)
    phone.reset().tell("/login", customerId=bia, sequence=then + 30_000)
    before = phone.app.last_request()
    late = phone.tell("/login", customerId=ana, sequence=then + 10_000)
    assert {agent: states(late)[agent] for agent in ORDERED} == dict.fromkeys(ORDERED, "skipped: superseded")
    assert {request["agent"] for request in phone.app.received_since(before)}.isdisjoint(ORDERED)
    assert phone.pushed() == only(bia)


def test_a_late_login_does_not_undo_the_logout(phone: Handset, ana: str) -> None:
    then = int(time.time() * 1000) - 60_000
    phone.tell("/login", customerId=ana, sequence=then)
    phone.tell("/logout", customerId=ana, sequence=then + 20_000)
    late = phone.tell("/login", customerId=ana, sequence=then + 10_000)
    assert {agent: states(late)[agent] for agent in ORDERED} == dict.fromkeys(ORDERED, "skipped: superseded")
    assert phone.pushed() == NOBODY


@pytest.mark.parametrize("path", ["/open", "/push-token"])
def test_nothing_late_brings_a_person_back_who_has_logged_out(phone: Handset, ana: str, path: str) -> None:
    then = int(time.time() * 1000) - 60_000
    phone.tell("/logout", customerId=ana, sequence=then + 20_000)
    late = phone.tell(path, customerId=ana, sequence=then + 10_000)
    assert {agent: states(late)[agent] for agent in ORDERED} == dict.fromkeys(ORDERED, "skipped: superseded")
    assert phone.pushed() == NOBODY


def test_a_logout_wins_over_a_login_of_the_same_moment(phone: Handset, ana: str) -> None:
    moment = int(time.time() * 1000) - 60_000
    phone.tell("/login", customerId=ana, sequence=moment)
    assert states(phone.tell("/logout", customerId=ana, sequence=moment))["emarsys"] == "delivered"
    again = states(phone.tell("/login", customerId=ana, sequence=moment))
    assert {agent: again[agent] for agent in ORDERED} == dict.fromkeys(ORDERED, "skipped: superseded")
    assert phone.pushed() == NOBODY


def test_a_late_event_of_the_first_person_is_recorded_as_theirs(phone: Handset, ana: str, bia: str) -> None:
    phone.tell("/login", customerId=ana)
    phone.tell("/logout", customerId=ana)
    phone.reset().tell("/login", customerId=bia)
    late = phone.tell("/track", customerId=ana, name="cart_left", occurredAt="2025-11-20T09:15:42.318-03:00")
    assert states(late)["dashx"] == "delivered"
    *_, (_, tracked) = phone.mutations()
    assert (tracked["accountUid"], tracked["timestamp"]) == (ana, "2025-11-20T12:15:42.318Z")
    assert phone.pushed() == only(bia)


def test_two_devices_of_one_person_are_independent(phone: Handset, unique: Callable[[], str], ana: str) -> None:
    then = int(time.time() * 1000) - 60_000
    tablet = Handset(
        phone.app,
        {**phone.device, "id": unique(), "platform": "ios", "model": "iPad14,1", "pushToken": unique()},
    )
    phone.tell("/login", customerId=ana, sequence=then + 20_000)
    # Older than the phone's newest event, which is no concern of the tablet's.
    assert states(tablet.tell("/login", customerId=ana, sequence=then))["emarsys"] == "delivered"
    assert phone.pushed() == tablet.pushed() == only(ana)
    phone.tell("/logout", customerId=ana, sequence=then + 30_000)
    assert phone.pushed() == NOBODY
    assert tablet.pushed() == only(ana)
