"""The sandboxed DashX reads each mutation, answers in GraphQL and shows who would get a device's pushes."""

import json
from typing import Any

import jwt
import pytest

from local.sandbox.dashx import DashX
from local.sandbox.exchange import CheckResult, Request, VendorResponse

SETTINGS = {"public_key": "pub_example", "private_key": "prv_example", "target_environment": "staging"}
NOW = 1_795_168_100.0
HEADERS = {
    "x-public-key": "pub_example",
    "x-private-key": "prv_example",
    "x-target-environment": "staging",
    "content-type": "application/json",
    "user-agent": "session-relay/0.1.0",
}
VISITOR = "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901"
TRACK = "mutation TrackEvent($input: TrackEventInput!){trackEvent(input:$input){success}}"
IDENTIFY = "mutation IdentifyAccount($input: IdentifyAccountInput!){identifyAccount(input:$input){id}}"
SUBSCRIBE = "mutation SubscribeContact($input: SubscribeContactInput!){subscribeContact(input:$input){id value}}"
UNSUBSCRIBE = "mutation UnsubscribeContact($input: UnsubscribeContactInput!){unsubscribeContact(input:$input){success}}"
OPENED: dict[str, Any] = {
    "event": "Application Opened",
    "accountAnonymousUid": VISITOR,
    "timestamp": "2026-11-21T18:00:00.000Z",
    "data": {"event_id": "evt_01", "version": "3.4.0", "from_background": False},
}
ANA: dict[str, Any] = {
    "uid": "cus_778",
    "anonymousUid": VISITOR,
    "email": "ana@example.com",
    "phone": "+5511999990000",
    "firstName": "Ana",
}
PUSH: dict[str, Any] = {
    "kind": "ANDROID",
    "value": "fcm-example-token",
    "accountUid": "cus_778",
    "accountAnonymousUid": VISITOR,
    "osName": "Android",
    "osVersion": "14",
    "deviceManufacturer": "Samsung",
    "deviceModel": "SM-S911B",
    "metadata": {
        "app": {"identifier": "br.example.app", "name": "Example", "version": "3.4.0"},
        "library": {"name": "session-proxy", "version": "1.0.0"},
    },
}
NO_PUSH: dict[str, Any] = {"value": "fcm-example-token", "accountUid": "cus_778", "accountAnonymousUid": VISITOR}


def post(query: str, values: Any, **headers: str) -> Request:
    body = json.dumps({"query": query, "variables": {"input": values}}).encode()
    sent = {name: value for name, value in (HEADERS | headers).items() if value}
    return Request("POST", "/graphql", {}, sent, body)


def checked(request: Request) -> tuple[CheckResult, VendorResponse]:
    result = DashX(SETTINGS).check(request, NOW)
    answer = result.work()
    assert answer.status == 200
    return result, answer


def error(answer: VendorResponse) -> Any:
    body = json.loads(answer.body)
    assert body["data"] is None
    [only] = body["errors"]
    return only


@pytest.mark.parametrize(
    ("query", "values", "data"),
    [
        (TRACK, OPENED, {"trackEvent": {"success": True}}),
        (TRACK, OPENED | {"event": "User Logged In", "accountUid": "cus_778"}, {"trackEvent": {"success": True}}),
        (UNSUBSCRIBE, NO_PUSH, {"unsubscribeContact": {"success": False}}),
    ],
)
def test_takes_the_examples_of_the_contract(query: str, values: dict[str, Any], data: dict[str, Any]) -> None:
    result, answer = checked(post(query, values))
    assert list(result.violations) == []
    assert json.loads(answer.body) == {"data": data}


def test_takes_identify_and_subscribe_and_answers_what_was_selected() -> None:
    result, answer = checked(post(IDENTIFY, ANA))
    assert list(result.violations) == []
    assert set(json.loads(answer.body)["data"]["identifyAccount"]) == {"id"}
    result, answer = checked(post(SUBSCRIBE, PUSH))
    assert list(result.violations) == []
    assert json.loads(answer.body)["data"]["subscribeContact"]["value"] == "fcm-example-token"


def test_reads_the_operations_however_they_are_laid_out() -> None:
    query = """
      mutation SubscribeContact($input: SubscribeContactInput!) {
        subscribeContact(input: $input) { value }
      }
    """
    assert json.loads(checked(post(query, PUSH))[1].body) == {
        "data": {"subscribeContact": {"value": "fcm-example-token"}}
    }


@pytest.mark.parametrize(
    ("query", "values", "words"),
    [
        (UNSUBSCRIBE.replace("success", "id value"), NO_PUSH, 'Cannot query field "id"'),
        (IDENTIFY.replace("{id}", "{uid}"), ANA, 'Cannot query field "uid" on type "Account".'),
        (IDENTIFY.replace("{id}", ""), ANA, "must have a selection of subfields"),
        (IDENTIFY.replace("IdentifyAccountInput!", "TrackEventInput!"), ANA, "used in position expecting type"),
        (IDENTIFY.replace("identifyAccount(", "identify("), ANA, 'Cannot query field "identify" on type "Mutation".'),
        ("query { me { id } }", {}, "Syntax Error"),
        (IDENTIFY[:-1], ANA, "Syntax Error"),
        ("", ANA, "Syntax Error"),
        (IDENTIFY, ANA | {"first_name": "Ana"}, 'Field "first_name" is not defined by type "IdentifyAccountInput".'),
        (IDENTIFY, ANA | {"uid": 778}, 'at "input.uid"'),
        (IDENTIFY, ANA | {"systemContext": {"ipV4": "203.0.113.24"}}, 'Field "locale" of required type "String!"'),
        (TRACK, {"accountUid": "cus_778"}, 'Field "event" of required type "String!" was not provided.'),
        (TRACK, OPENED | {"uid": "cus_778"}, 'Field "uid" is not defined by type "TrackEventInput".'),
        (SUBSCRIBE, PUSH | {"kind": "FCM"}, 'does not exist in "ContactKind" enum'),
        (SUBSCRIBE, PUSH | {"isDeviceAdTrackingEnabled": 1}, "Boolean cannot represent"),
        (UNSUBSCRIBE, NO_PUSH | {"kind": "ANDROID"}, 'Field "kind" is not defined'),
        (UNSUBSCRIBE, None, "Expected non-nullable type"),
    ],
)
def test_answers_validation_errors_without_a_code(query: str, values: Any, words: str) -> None:
    result, answer = checked(post(query, values))
    assert result.violations
    fault = error(answer)
    assert words in fault["message"]
    assert "extensions" not in fault


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (TRACK, OPENED | {"timestamp": "2026-11-21T15:00:00-03:00"}),
        (TRACK, OPENED | {"timestamp": "2026-02-30T18:00:00Z"}),
        (TRACK, OPENED | {"event": " "}),
        (TRACK, OPENED | {"accountAnonymousUid": "visitor-1"}),
        (IDENTIFY, {"email": "ana@example.com"}),
        (SUBSCRIBE, PUSH | {"value": ""}),
    ],
)
def test_answers_unprocessable_to_what_makes_no_sense(query: str, values: Any) -> None:
    result, answer = checked(post(query, values))
    assert result.violations
    assert error(answer)["extensions"]["code"] == "UNPROCESSABLE_ENTITY"


def test_takes_a_visitor_in_capitals() -> None:
    agent = DashX(SETTINGS)
    result = agent.check(post(IDENTIFY, ANA | {"anonymousUid": VISITOR.upper()}), NOW)
    result.work()
    assert list(result.violations) == []
    assert agent.state()["visitors"] == {VISITOR: ["cus_778"]}


@pytest.mark.parametrize(
    ("query", "values", "complaint"),
    [
        (TRACK, OPENED | {"accountAnonymousUid": None}, "names nobody"),
        (TRACK, OPENED | {"accountUid": ""}, "leave it out"),
        (IDENTIFY, ANA | {"uid": "null"}, "leave it out"),
        (IDENTIFY, ANA | {"phone": "11 99999-0000"}, "is not an E.164 number"),
        (IDENTIFY, ANA | {"targetEnvironment": "production"}, "not the configured one"),
        (
            TRACK,
            OPENED | {"systemContext": {"ipV4": "NA", "locale": "pt", "timeZone": "UTC", "userAgent": "x"}},
            "is not the client's address",
        ),
    ],
)
def test_swallows_what_the_vendor_swallows_and_tells_us(query: str, values: Any, complaint: str) -> None:
    result, answer = checked(post(query, values))
    assert any(complaint in violation for violation in result.violations)
    assert json.loads(answer.body)["data"]


@pytest.mark.parametrize(
    ("values", "headers", "remark"),
    [
        ({key: value for key, value in OPENED.items() if key != "timestamp"}, {}, "input.timestamp is missing"),
        (OPENED | {"timestamp": None}, {}, "input.timestamp is missing"),
        (OPENED, {"x-private-key": ""}, "x-private-key is missing"),
    ],
)
def test_takes_what_dashx_own_sdks_send_and_remarks_on_it(
    values: dict[str, Any], headers: dict[str, str], remark: str
) -> None:
    result, answer = checked(post(TRACK, values, **headers))
    assert [one.startswith(remark) for one in result.violations] == [True]
    assert json.loads(answer.body) == {"data": {"trackEvent": {"success": True}}}


def test_takes_the_shortest_number_of_e_164() -> None:
    result, _ = checked(post(IDENTIFY, {"uid": "cus_778", "phone": "+2901234"}))
    assert list(result.violations) == []


@pytest.mark.parametrize(
    ("headers", "message", "code"),
    [
        ({"x-public-key": "pub_old"}, "Incorrect Public Key.", "UNAUTHORIZED"),
        ({"x-private-key": "prv_old"}, "Your API Key Pair has expired.", "UNAUTHORIZED"),
        ({"x-public-key": ""}, "Permission denied", "FORBIDDEN"),
        ({"x-target-environment": "production"}, "Permission denied", "FORBIDDEN"),
    ],
)
def test_refuses_wrong_keys(headers: dict[str, str], message: str, code: str) -> None:
    result, answer = checked(post(TRACK, OPENED, **headers))
    assert result.violations
    assert error(answer) == {"message": message, "extensions": {"code": code}}


def token(key: str = "prv_example", algorithm: str = "HS256", **claims: Any) -> str:
    good = {"kind": "USER", "uid": "cus_778", "exp": int(NOW) + 60}
    made = jwt.encode(good | claims, key.ljust(64, "\0") if algorithm != "HS256" else key, algorithm=algorithm)
    return made if isinstance(made, str) else str(made)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (lambda: token(exp=int(NOW) - 1), "Incorrect Identity Token: Expired."),
        (lambda: token(key="another"), "Incorrect Identity Token: Invalid signature."),
        (lambda: token(uid=""), "Incorrect Identity Token: Missing identity 'uid'."),
        (lambda: token(algorithm="HS512"), "Incorrect Identity Token: Improper format."),
        (lambda: "v1;USER;cus_778", "Incorrect Identity Token: Improper format."),
        (lambda: token(uid="cus_2"), "Permission denied"),
    ],
)
def test_reads_identity_tokens(identity: Any, message: str) -> None:
    good = post(IDENTIFY, ANA, **{"x-private-key": "", "x-identity-token": token()})
    assert list(checked(good)[0].violations) == []
    bad = post(IDENTIFY, ANA, **{"x-private-key": "", "x-identity-token": identity()})
    assert error(checked(bad)[1])["message"] == message


def state_after(*calls: tuple[str, dict[str, Any]]) -> Any:
    agent = DashX(SETTINGS)
    for query, values in calls:
        agent.check(post(query, values), NOW).work()
    return agent.state()


def goes_to(*calls: tuple[str, dict[str, Any]]) -> Any:
    return state_after(*calls)["devices"]["fcm-example-token"]["pushesGoTo"]


BEN = PUSH | {"accountUid": "cus_2", "accountAnonymousUid": "0b9bd2d0-3c8c-4a0e-8a0b-55d1de0ff1aa"}


def test_a_subscribed_token_gets_the_pushes_until_it_is_unsubscribed() -> None:
    assert goes_to((SUBSCRIBE, PUSH)) == "cus_778"
    assert goes_to((SUBSCRIBE, PUSH), (UNSUBSCRIBE, NO_PUSH)) is None


def test_a_subscribe_that_arrives_after_the_unsubscribe_leaks_as_it_does_at_the_vendor() -> None:
    assert goes_to((UNSUBSCRIBE, NO_PUSH), (SUBSCRIBE, PUSH)) == "cus_778"


def test_two_users_on_one_device_both_get_pushes_unless_the_first_is_unsubscribed() -> None:
    assert goes_to((SUBSCRIBE, PUSH), (SUBSCRIBE, BEN)) == ["cus_778", "cus_2"]
    assert goes_to((SUBSCRIBE, PUSH), (UNSUBSCRIBE, NO_PUSH), (SUBSCRIBE, BEN)) == "cus_2"


def test_an_unsubscribe_without_the_uid_leaves_the_user_subscribed() -> None:
    nobody = {"value": "fcm-example-token", "accountAnonymousUid": VISITOR}
    assert goes_to((SUBSCRIBE, PUSH), (UNSUBSCRIBE, nobody)) == "cus_778"


def test_a_visitors_subscription_belongs_to_the_user_who_was_joined() -> None:
    visitor = {"kind": "ANDROID", "value": "fcm-example-token", "accountAnonymousUid": VISITOR}
    assert goes_to((SUBSCRIBE, visitor)) == f"anonymous:{VISITOR}"
    assert goes_to((SUBSCRIBE, visitor), (IDENTIFY, ANA)) == "cus_778"
    assert goes_to((SUBSCRIBE, visitor), (IDENTIFY, ANA), (UNSUBSCRIBE, NO_PUSH)) is None


def test_a_wrong_pair_joins_two_people_and_can_be_seen() -> None:
    state = state_after((IDENTIFY, ANA), (IDENTIFY, {"uid": "cus_2", "anonymousUid": VISITOR}))
    assert state["visitors"] == {VISITOR: ["cus_778", "cus_2"]}


def test_identify_twice_updates_the_same_account() -> None:
    state = state_after((IDENTIFY, ANA), (IDENTIFY, {"uid": "cus_778", "lastName": "Silva"}))
    account = state["accounts"]["cus_778"]
    assert account["profile"] | {"phone": ""} == {
        "email": "ana@example.com",
        "phone": "",
        "firstName": "Ana",
        "lastName": "Silva",
    }
    assert account["anonymousUids"] == [VISITOR]


def test_keeps_tracked_events_with_our_event_id() -> None:
    [event] = state_after((TRACK, OPENED))["events"]
    assert (event["event"], event["eventId"], event["accountUid"]) == ("Application Opened", "evt_01", None)
