"""Each answer that the contracts of Emarsys and DashX list: what becomes of the delivery, as its receipt says."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from local.cloud import Stack
from local.deploy import PARAMETERS
from local.scenario import PHONE
from tests.e2e.conftest import Caller

JSON = {"content-type": "application/json"}


def answer(status: int, body: object = None, **more: Any) -> dict[str, Any]:
    """A fault that answers with this status and JSON body."""
    return {"status": status, **({} if body is None else {"body": json.dumps(body), "headers": JSON}), **more}


def error(message: str, code: str | None = None, **extensions: str) -> dict[str, Any]:
    """What DashX answers a mutation that it did not run: HTTP 200, no data, one error."""
    extended = {"extensions": {"code": code, **extensions}} if code else {}
    return answer(200, {"data": None, "errors": [{"message": message, **extended}]})


class Delivery:
    """One event on its way to one agent, which answers it as the test says."""

    def __init__(self, app: Caller, agent: str, mark: str) -> None:
        self.app, self.agent, self.mark, self.event_id = app, agent, mark, ""

    def answered(self, fault: dict[str, Any], path: str, body: dict[str, Any]) -> "Delivery":
        """Sends the event to an agent that answers so until it is repaired."""
        self.app.fault(self.agent, match=self.mark, **fault)
        self.event_id = self.app.accepted(path, body)
        return self

    def becomes(self, *states: str) -> dict[str, Any]:
        """Its receipt, once it is in one of these states."""
        return self.app.receipt(self.event_id, self.agent, *states)

    def requests(self) -> list[dict[str, Any]]:
        """The requests that it has made of the agent."""
        return self.app.received(self.agent, self.mark)


def at_emarsys(app: Caller, fault: dict[str, Any], path: str = "/open") -> Delivery:
    """Opens the app, or logs out, on a phone of its own while Emarsys answers so."""
    device = {**PHONE["device"], "id": str(uuid.uuid4())}
    return Delivery(app, "emarsys", device["id"]).answered(fault, path, {"customerId": "ana", "device": device})


def at_dashx(app: Caller, fault: dict[str, Any], path: str = "/track", **body: Any) -> Delivery:
    """Tracks an event of a visitor of its own, which is one mutation, while DashX answers so."""
    visitor = str(uuid.uuid4())
    body = {"name": "product_viewed", "anonymousId": visitor} | body
    return Delivery(app, "dashx", visitor).answered(fault, path, body)


def seconds_until_next(receipt: dict[str, Any]) -> float:
    """How long a delivery waits by its receipt."""
    return (datetime.fromisoformat(receipt["nextAttempt"]) - datetime.fromisoformat(receipt["at"])).total_seconds()


EMARSYS_DONE = {
    "202, the contact's id": answer(202, {"contact_id": 7}),
    "202, the SDK's names": answer(202, {"api_me_id": 7, "me_id_signature": "s"}),
    "202, empty": answer(202),
    "200": answer(200),
    "201, not JSON": {"status": 201, "body": "<ok/>"},
    "204": answer(204),
}


@pytest.mark.parametrize("fault", EMARSYS_DONE.values(), ids=EMARSYS_DONE.keys())
def test_any_2xx_of_emarsys_is_delivered_whatever_its_body(app: Caller, fault: dict[str, Any]) -> None:
    delivery = at_emarsys(app, fault)
    receipt = delivery.becomes("delivered", "retrying", "held", "parked")
    assert (receipt["state"], receipt["attempts"], receipt["lastStatus"]) == ("delivered", 1, fault["status"])
    assert len(delivery.requests()) == 1


@pytest.mark.parametrize("status", [400, 404, 415, 422])
def test_what_emarsys_rejects_is_parked_at_once(app: Caller, status: int) -> None:
    delivery = at_emarsys(app, answer(status, {"error": "Wrong input or missing mandatory parameter."}))
    receipt = delivery.becomes("delivered", "retrying", "held", "parked")
    assert (receipt["state"], receipt["reason"], receipt["lastStatus"]) == ("parked", f"HTTP {status}", status)
    assert "nextAttempt" not in receipt
    assert len(delivery.requests()) == 1


EMARSYS_REFUSED = {
    "401": (answer(401, {"error": "Invalid HTTP Basic Authentication."}), "HTTP 401"),
    "403": (answer(403), "HTTP 403"),
}
# An agent that is down too often in a row opens its circuit; 408 and 429 are answers of one that is not.
EMARSYS_TRANSIENT = {
    "500": (answer(500, {"error": "Internal server error."}), "HTTP 500"),
    "502": (answer(502), "HTTP 502"),
    "408": (answer(408), "HTTP 408"),
    "503": (answer(503), "HTTP 503"),
    "504": (answer(504), "HTTP 504"),
    "429": (answer(429), "HTTP 429"),
    "reset": ({"reset": True}, "no answer: ConnectionError"),
}
UNAUTHORIZED = "HTTP 200, UNAUTHORIZED"
DASHX_REFUSED = {
    "public key": (error("Incorrect Public Key.", "UNAUTHORIZED"), UNAUTHORIZED),
    "key pair expired": (error("Your API Key Pair has expired.", "UNAUTHORIZED"), UNAUTHORIZED),
    "token expired": (
        error("Incorrect Identity Token: Expired.", "UNAUTHORIZED", reason="IDENTITY_TOKEN_EXPIRED"),
        UNAUTHORIZED,
    ),
    "signature": (error("Incorrect Identity Token: Invalid signature.", "UNAUTHORIZED"), UNAUTHORIZED),
    "format": (error("Incorrect Identity Token: Improper format.", "UNAUTHORIZED"), UNAUTHORIZED),
    "account": (error("Incorrect Identity Token: Missing account.", "UNAUTHORIZED"), UNAUTHORIZED),
    "uid": (error("Incorrect Identity Token: Missing identity 'uid'.", "UNAUTHORIZED"), UNAUTHORIZED),
    "a text without a code": (error("Incorrect Public Key."), "HTTP 200, error without a code"),
    "HTTP 401": (answer(401), "HTTP 401"),
}
DASHX_TRANSIENT = {
    "INTERNAL_SERVER_ERROR": (error("Oops", "INTERNAL_SERVER_ERROR"), "HTTP 200, INTERNAL_SERVER_ERROR"),
    "no code, unknown text": (error("Something went wrong"), "HTTP 200, error without a code"),
    "neither data nor errors": (answer(200, {}), "HTTP 200 without data or errors"),
    "data null": (answer(200, {"data": None}), "HTTP 200 without data or errors"),
    "not JSON": ({"status": 200, "body": "<html>"}, "HTTP 200 without data or errors"),
    "408": (answer(408), "HTTP 408"),
    "429": (answer(429), "HTTP 429"),
    "500": (answer(500), "HTTP 500"),
    "503": (answer(503), "HTTP 503"),
    "reset": ({"reset": True}, "no answer: ConnectionError"),
}
# An instance remembers refused credentials for a fifteenth of a hold, and would give the next row this one's reason.
FORGOTTEN_SECONDS = 1.5 * int(PARAMETERS["HoldSeconds"]) / 15
REFUSED = {f"emarsys, {row}": case for row, case in EMARSYS_REFUSED.items()} | {
    f"dashx, {row}": case for row, case in DASHX_REFUSED.items()
}
TRANSIENT = {f"emarsys, {row}": case for row, case in EMARSYS_TRANSIENT.items()} | {
    f"dashx, {row}": case for row, case in DASHX_TRANSIENT.items()
}


@dataclass(frozen=True)
class Course:
    """How a delivery went: its receipt after the answer, its last one, and all that it asked of the agent."""

    first: dict[str, Any]
    last: dict[str, Any]
    requests: list[dict[str, Any]]


@pytest.fixture(scope="module")
def courses(stack: Stack) -> dict[str, Course]:
    """What each answer that is not the last word led to; the agents are repaired after the last of them.

    The next answer takes the place of the one before, so that all deliveries wait at the same time.
    """
    app, under_way = Caller(stack), {}
    for row, (fault, _) in (REFUSED | TRANSIENT).items():
        delivery = (at_emarsys if row.startswith("emarsys") else at_dashx)(app, fault)
        under_way[row] = delivery, delivery.becomes("retrying", "held", "parked", "delivered")
        time.sleep(FORGOTTEN_SECONDS)
    app.clear_faults()
    return {
        row: Course(first, delivery.becomes("delivered", "parked"), delivery.requests())
        for row, (delivery, first) in under_way.items()
    }


@pytest.mark.parametrize(("row", "reason"), [(row, reason) for row, (_, reason) in REFUSED.items()])
def test_what_is_refused_is_held_costs_no_attempt_and_is_delivered_after_the_repair(
    courses: dict[str, Course], row: str, reason: str
) -> None:
    course = courses[row]
    assert (course.first["state"], course.first["reason"], course.first["attempts"]) == ("held", reason, 0)
    assert "nextAttempt" not in course.first
    assert (course.last["state"], course.last["attempts"]) == ("delivered", 1)
    # Two at a time, the second with the secret read again; and one that is let through.
    refused = [request["fault"] is not None for request in course.requests]
    assert refused == [True] * (len(refused) - 1) + [False]
    assert len(refused) % 2 == 1


@pytest.mark.parametrize(("row", "reason"), [(row, reason) for row, (_, reason) in TRANSIENT.items()])
def test_what_may_be_done_later_is_tried_again_until_it_is_delivered(
    courses: dict[str, Course], row: str, reason: str
) -> None:
    course = courses[row]
    assert (course.first["state"], course.first["reason"]) == ("retrying", reason)
    assert course.last["state"] == "delivered"
    assert course.last["attempts"] == len(course.requests) >= 2
    assert course.requests[-1]["fault"] is None


def test_emarsys_says_when_to_come_again(app: Caller) -> None:
    delivery = at_emarsys(app, answer(429, retryAfter=2))
    assert seconds_until_next(delivery.becomes("retrying")) == 2.0
    app.clear_faults()
    delivery.becomes("delivered")
    first, second = delivery.requests()
    waited = datetime.fromisoformat(second["receivedAt"]) - datetime.fromisoformat(first["receivedAt"])
    assert waited.total_seconds() >= 2.0


def test_a_logout_that_emarsys_finds_a_conflict_in_is_tried_again(app: Caller) -> None:
    delivery = at_emarsys(app, answer(409, {"error": "Hardware ID already exists"}), "/logout")
    assert delivery.becomes("delivered", "retrying", "held", "parked")["state"] == "retrying"
    app.clear_faults()
    delivery.becomes("delivered")
    assert [request["path"].rpartition("/")[2] for request in delivery.requests()][-1] == "logout"
    assert app.state("emarsys")["devices"][delivery.mark]["customer"] is None


def test_a_login_whose_answer_was_lost_leaves_the_same_state_at_emarsys(app: Caller) -> None:
    delivery = at_emarsys(app, answer(500, afterWork=True, times=1))
    assert delivery.becomes("delivered")["attempts"] == 2
    device = app.state("emarsys")["devices"][delivery.mark]
    assert (device["pushToken"], device["pushesGoTo"]) == ("fcm-example-token", device["customer"])


def test_what_comes_later_on_a_device_waits_for_what_is_held(app: Caller, unique: Callable[[], str]) -> None:
    held = at_emarsys(app, answer(401))
    held.becomes("held")
    later = app.accepted("/logout", {"customerId": "ana", "device": {**PHONE["device"], "id": held.mark}})
    other = app.accepted("/open", {"device": {**PHONE["device"], "id": unique()}})
    app.receipt(other, "emarsys", "delivered")
    assert app.receipts(later)["emarsys"]["state"] == "queued"
    app.clear_faults()
    held.becomes("delivered")
    app.receipt(later, "emarsys", "delivered")
    assert app.state("emarsys")["devices"][held.mark]["customer"] is None


TRACKED = {"data": {"trackEvent": {"success": True}}}
DASHX_DONE = {
    "data without errors": (answer(200, TRACKED), "HTTP 200"),
    "data and errors": (
        answer(200, TRACKED | {"errors": [{"message": "slow", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}),
        "HTTP 200 with errors beside the data",
    ),
}


@pytest.mark.parametrize(("fault", "reason"), DASHX_DONE.values(), ids=DASHX_DONE.keys())
def test_a_mutation_that_ran_at_dashx_is_never_sent_again(app: Caller, fault: dict[str, Any], reason: str) -> None:
    delivery = at_dashx(app, fault)
    receipt = delivery.becomes("delivered", "retrying", "held", "parked")
    assert (receipt["state"], receipt["reason"], receipt["attempts"]) == ("delivered", reason, 1)
    assert len(delivery.requests()) == 1


def test_a_contact_that_dashx_does_not_know_is_unsubscribed_already(app: Caller) -> None:
    gone = {"pushToken": False, "previousPushToken": "a token that nobody has"}
    delivery = at_dashx(
        app, answer(200, {"data": {"unsubscribeContact": {"success": False}}}), "/push-token", device=gone
    )
    receipt = delivery.becomes("delivered", "retrying", "held", "parked")
    assert (receipt["state"], receipt["reason"]) == ("delivered", "HTTP 200, no such contact")


DASHX_REJECTED = {
    "FORBIDDEN": (error("Permission denied", "FORBIDDEN"), "HTTP 200, FORBIDDEN"),
    "NOT_FOUND": (error("Not found", "NOT_FOUND"), "HTTP 200, NOT_FOUND"),
    "UNPROCESSABLE_ENTITY": (error("Validation failed", "UNPROCESSABLE_ENTITY"), "HTTP 200, UNPROCESSABLE_ENTITY"),
    "a field that the schema does not have": (
        error('Variable "$input" got invalid value; Field "first_name" is not defined by type "TrackEventInput".'),
        "HTTP 200, error without a code",
    ),
    "HTTP 400": (answer(400), "HTTP 400"),
    "HTTP 404": (answer(404), "HTTP 404"),
    "HTTP 413": (answer(413), "HTTP 413"),
    "HTTP 422": (answer(422), "HTTP 422"),
}


@pytest.mark.parametrize(("fault", "reason"), DASHX_REJECTED.values(), ids=DASHX_REJECTED.keys())
def test_what_dashx_rejects_is_parked_at_once(app: Caller, fault: dict[str, Any], reason: str) -> None:
    delivery = at_dashx(app, fault)
    receipt = delivery.becomes("delivered", "retrying", "held", "parked")
    assert (receipt["state"], receipt["reason"]) == ("parked", reason)
    assert len(delivery.requests()) == 1


def test_dashx_says_when_to_come_again(app: Caller) -> None:
    delivery = at_dashx(app, answer(503, retryAfter=2))
    assert seconds_until_next(delivery.becomes("retrying")) == 2.0
    app.clear_faults()
    delivery.becomes("delivered")


def test_a_track_whose_answer_was_lost_can_be_seen_as_one_by_its_event_id(app: Caller) -> None:
    delivery = at_dashx(app, answer(503, afterWork=True, times=1))
    delivery.becomes("delivered")
    recorded = [event for event in app.state("dashx")["events"] if event["accountAnonymousUid"] == delivery.mark]
    assert [event["eventId"] for event in recorded] == [delivery.event_id, delivery.event_id]
    assert recorded[0] == recorded[1]


class TestALoginOfThreeCalls:
    """identifyAccount, trackEvent, subscribeContact: what was done is not repeated when a later call fails."""

    @pytest.fixture
    def body(self, unique: Callable[[], str]) -> dict[str, Any]:
        device = {**PHONE["device"], "id": unique(), "pushToken": unique()}
        return {"eventId": unique(), "customerId": unique(), "anonymousId": str(uuid.uuid4()), "device": device}

    def calls(self, app: Caller, body: dict[str, Any]) -> list[tuple[str, bool]]:
        """The mutations that were asked for, and whether each was let through."""
        return [
            (request["body"]["query"].split("{")[1].split("(")[0], request["fault"] is None)
            for request in app.received("dashx", body["anonymousId"])
        ]

    def test_the_third_that_fails_twice_does_not_repeat_the_second(self, app: Caller, body: dict[str, Any]) -> None:
        app.fault("dashx", status=503, times=2, match=body["device"]["pushToken"])
        receipt = app.receipt(app.accepted("/login", body), "dashx", "delivered")
        assert receipt["attempts"] == 3
        assert self.calls(app, body) == [
            ("identifyAccount", True),
            ("trackEvent", True),
            ("subscribeContact", False),
            ("subscribeContact", False),
            ("subscribeContact", True),
        ]
        assert app.state("dashx")["devices"][body["device"]["pushToken"]]["pushesGoTo"] == body["customerId"]

    def test_the_second_that_fails_does_not_repeat_the_first(self, app: Caller, body: dict[str, Any]) -> None:
        app.fault("dashx", **error("Oops", "INTERNAL_SERVER_ERROR"), times=1, match=body["eventId"])
        app.receipt(app.accepted("/login", body), "dashx", "delivered")
        assert self.calls(app, body) == [
            ("identifyAccount", True),
            ("trackEvent", False),
            ("trackEvent", True),
            ("subscribeContact", True),
        ]

    def test_the_third_that_is_refused_is_all_that_is_left_after_the_repair(
        self, app: Caller, body: dict[str, Any]
    ) -> None:
        app.fault("dashx", **error("Your API Key Pair has expired.", "UNAUTHORIZED"), match=body["device"]["pushToken"])
        app.receipt(app.accepted("/login", body), "dashx", "held")
        app.clear_faults()
        app.receipt(body["eventId"], "dashx", "delivered")
        done = [name for name, through in self.calls(app, body) if through]
        assert done == ["identifyAccount", "trackEvent", "subscribeContact"]

    def test_the_third_that_is_rejected_is_parked_with_the_reason(self, app: Caller, body: dict[str, Any]) -> None:
        app.fault("dashx", **error("Not found", "NOT_FOUND"), match=body["device"]["pushToken"])
        receipt = app.receipt(app.accepted("/login", body), "dashx", "parked", "delivered")
        assert (receipt["state"], receipt["reason"]) == ("parked", "HTTP 200, NOT_FOUND")
        assert self.calls(app, body) == [
            ("identifyAccount", True),
            ("trackEvent", True),
            ("subscribeContact", False),
        ]
