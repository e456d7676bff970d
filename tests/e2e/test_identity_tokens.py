"""Identity tokens through the public API: who may mint them, what they prove, and what happens without one."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from local.cloud import Stack
from local.deploy import Cloud
from local.scenario import PHONE
from local.settings import agents
from tests.e2e.conftest import Caller, store_app

KEY = agents("")["dashx"]["private_key"]
FOREIGN_KEY = "prv_another_key_of_32_bytes_or_more"
PREVIOUS_KEY = "prv_the_key_before_of_32_bytes_or_more"
YEAR_2100 = 4102444800


@pytest.fixture(scope="module")
def strict(stack: Stack) -> Caller:
    """An app whose record says nothing of identity, so that a public key needs a token; its key is being replaced."""
    return store_app(stack, "strict", [KEY, PREVIOUS_KEY])


@pytest.fixture(scope="module")
def keyless(stack: Stack) -> Caller:
    """An app that has no identity key."""
    return store_app(stack, "keyless", identity="optional")


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def signed(claims: dict[str, Any], key: str = KEY, header: dict[str, Any] | None = None, digest: str = "sha256") -> str:
    """A JWT as anybody could make one."""
    content = f"{_part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    signature = hmac.digest(key.encode(), content.encode(), digest)
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def user(uid: object = "ana", **more: Any) -> dict[str, Any]:
    """A customer's claims."""
    return {"kind": "USER", "uid": uid, "exp": YEAR_2100} | more


def with_token(app: Caller, token: str, path: str = "/login", body: Any = None, **more: Any) -> requests.Response:
    """A call that carries an identity token."""
    return app.call(path, body or {}, headers={"X-Identity-Token": token}, **more)


def test_a_secret_key_mints_a_token_for_a_customer(app: Caller) -> None:
    answer = app.call("/identity-tokens", {"uid": "123", "expiresIn": 604800}, key="secret")
    minted = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert minted.keys() == {"token", "uid", "kind", "expiresAt"}
    assert (minted["uid"], minted["kind"]) == ("123", "USER")
    header, claims, _ = minted["token"].split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))
    assert (header, claims.keys()) == ({"alg": "HS256", "typ": "JWT"}, {"kind", "uid", "exp"})
    assert (claims["kind"], claims["uid"]) == ("USER", "123")
    assert abs(claims["exp"] - time.time() - 604800) < 10
    assert minted["expiresAt"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["exp"]))


def test_a_public_key_mints_nothing(app: Caller) -> None:
    answer = app.call("/identity-tokens", {"uid": "123"}, key="public")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"uid": ""}, "#/uid"),
        ({"uid": " ana"}, "#/uid"),
        ({"uid": "null"}, "#/uid"),
        ({"uid": 123}, "#/uid"),
        ({}, "#/uid"),
        ({"uid": "ana", "expiresIn": 0}, "#/expiresIn"),
        ({"uid": "ana", "expiresIn": 604801}, "#/expiresIn"),
        ({"uid": "ana", "expiresIn": "3600"}, "#/expiresIn"),
        ({"uid": "ana", "kind": "VISITOR"}, "#/kind"),
    ],
)
def test_what_is_wrong_with_a_request_for_a_token_is_said_with_its_place(
    app: Caller, body: dict[str, Any], pointer: str
) -> None:
    answer = app.call("/identity-tokens", body, key="secret")
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_an_app_without_an_identity_key_gets_an_error_that_says_so(keyless: Caller) -> None:
    answer = keyless.call("/identity-tokens", {"uid": "123"}, key="secret")
    assert answer.status_code == 409
    assert "no identity key" in answer.json()["detail"]


def test_the_function_mints_when_it_is_invoked_inside_aws(app: Caller) -> None:
    cloud = Cloud(app.stack.aws_endpoint, app.stack.region)
    function = cloud.client("cloudformation").describe_stack_resource(
        StackName=app.stack.stack_name, LogicalResourceId="IdentityFunction"
    )["StackResourceDetail"]["PhysicalResourceId"]
    invoked = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps({"appId": "demo", "uid": "ana"}))
    minted = json.loads(invoked["Payload"].read())
    assert with_token(app, minted["token"], body={"customerId": "ana"}).status_code == 202


def test_a_minted_token_speaks_for_its_customer(strict: Caller) -> None:
    token = strict.mint("ana", expiresIn=3600)
    assert with_token(strict, token, body={"customerId": "ana"}).status_code == 202


def test_dashx_takes_a_minted_token_from_the_client_that_carries_it(app: Caller, unique: Callable[[], str]) -> None:
    def identify(uid: str) -> Any:
        query = "mutation IdentifyAccount($input: IdentifyAccountInput!){identifyAccount(input:$input){id}}"
        return requests.post(
            f"{app.stack.sandbox_url}/dashx/graphql",
            json={"query": query, "variables": {"input": {"uid": uid}}},
            headers={"X-Public-Key": "pub_example", "X-Target-Environment": "staging", "X-Identity-Token": token},
            timeout=10,
        ).json()

    customer, other = unique(), unique()
    token = app.mint(customer)
    assert identify(customer)["data"]["identifyAccount"]["id"]
    assert identify(other)["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_an_expired_token_is_401_in_the_seeds_words(app: Caller) -> None:
    token = app.mint("ana", expiresIn=1)
    time.sleep(1.1)
    answer = with_token(app, token, body={"customerId": "ana"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.json()["detail"] == "Incorrect Identity Token: Expired"


GOOD = signed(user())
HEADER, CLAIMS, SIGNATURE = GOOD.split(".")
WRONG_TOKENS = {
    "tampered claims": (f"{HEADER}.{_part(user('bia'))}.{SIGNATURE}", "Invalid signature"),
    "tampered signature": (f"{HEADER}.{CLAIMS}.{'A' * len(SIGNATURE)}", "Invalid signature"),
    "foreign key": (signed(user(), FOREIGN_KEY), "Invalid signature"),
    "padded": (GOOD + "=", "Improper format"),
    "padded claims": (f"{HEADER}.{CLAIMS}=.{SIGNATURE}", "Improper format"),
    "alg none": (f"{_part({'alg': 'none', 'typ': 'JWT'})}.{CLAIMS}.", "Improper format"),
    "alg none, signed": (signed(user(), header={"alg": "none"}), "Improper format"),
    "alg HS512": (signed(user(), header={"alg": "HS512"}, digest="sha512"), "Improper format"),
    "alg RS256": (signed(user(), header={"alg": "RS256"}), "Improper format"),
    "no signature": (f"{HEADER}.{CLAIMS}", "Improper format"),
    "not a token": ("ana", "Improper format"),
    "with Bearer before it": (f"Bearer {GOOD}", "Improper format"),
    "a visitor's": (signed(user(kind="VISITOR")), "Wrong kind"),
    "without a kind": (signed({"uid": "ana", "exp": YEAR_2100}), "Wrong kind"),
    "empty uid": (signed(user("")), "Missing identity 'uid'"),
    "uid a number": (signed(user(123)), "Missing identity 'uid'"),
    "exp as text": (signed(user(exp="4102444800")), "Improper format"),
    "without exp": (signed({"kind": "USER", "uid": "ana"}), "Improper format"),
    "long over": (signed(user(exp=1)), "Expired"),
}


@pytest.mark.parametrize(("token", "fault"), WRONG_TOKENS.values(), ids=WRONG_TOKENS.keys())
def test_a_token_that_proves_nothing_is_401(app: Caller, token: str, fault: str) -> None:
    answer = with_token(app, token, body={"customerId": "ana"})
    assert answer.status_code == 401
    assert answer.json()["detail"] == f"Incorrect Identity Token: {fault}"


def test_an_empty_header_is_no_token(app: Caller) -> None:
    # Apps that have no token yet send the header all the same; this app asks for none.
    assert with_token(app, "", body={"customerId": "ana"}).status_code == 202


def test_a_token_that_is_wrong_is_401_even_where_none_is_needed(app: Caller) -> None:
    assert with_token(app, WRONG_TOKENS["foreign key"][0], path="/open").status_code == 401


def test_the_token_before_the_present_key_is_still_believed(strict: Caller) -> None:
    assert with_token(strict, signed(user(), PREVIOUS_KEY), body={"customerId": "ana"}).status_code == 202


def test_a_token_means_nothing_to_an_app_without_a_key(keyless: Caller) -> None:
    answer = with_token(keyless, GOOD, body={"customerId": "ana"})
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("Incorrect Identity Token: ")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/login", {}),
        ("/logout", {}),
        ("/open", {}),
        ("/signup", {}),
        ("/identify", {}),
        ("/track", {"name": "product_viewed"}),
        ("/push-token", {"device": {"pushToken": "t"}}),
    ],
)
def test_a_token_does_not_speak_for_another_customer(app: Caller, path: str, more: dict[str, Any]) -> None:
    answer = with_token(app, app.mint("ana"), path, {"customerId": "bia", **more})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "event_type", "more"),
    [
        ("/logout", "session.logout", {}),
        ("/open", "app.open", {}),
        ("/push-token", "device.push_token", {}),
    ],
)
def test_who_it_is_comes_from_the_token_where_the_body_does_not_say(
    strict: Caller, unique: Callable[[], str], path: str, event_type: str, more: dict[str, Any]
) -> None:
    customer, event_id = unique(), unique()
    body = {"eventId": event_id, "device": {**PHONE["device"], "id": unique()}, **more}
    assert with_token(strict, strict.mint(customer), path, body).status_code == 202
    (message,) = strict.wait_until_received("eitri_push", event_id)
    assert (message["body"]["type"], message["body"]["customer"]) == (event_type, {"id": customer})


def test_who_it_is_that_is_tracked_comes_from_the_token(strict: Caller, unique: Callable[[], str]) -> None:
    customer, event_id = unique(), unique()
    with_token(strict, strict.mint(customer), "/track", {"eventId": event_id, "name": "product_viewed"})
    (tracked,) = strict.wait_until_received("dashx", event_id)
    assert tracked["body"]["variables"]["input"]["accountUid"] == customer


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/login", {}),
        ("/logout", {}),
        ("/open", {}),
        ("/signup", {}),
        ("/identify", {}),
        ("/track", {"name": "product_viewed"}),
        ("/push-token", {"device": {"pushToken": "t"}}),
    ],
)
def test_a_public_key_speaks_for_nobody_without_a_token(strict: Caller, path: str, more: dict[str, Any]) -> None:
    answer = strict.call(path, {"customerId": "ana", **more})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.json()["detail"].startswith("Incorrect Identity Token: Missing")


def test_a_visitor_needs_no_token(strict: Caller, unique: Callable[[], str]) -> None:
    assert strict.call("/open", {"device": {"id": unique()}}).status_code == 202


def test_in_a_batch_each_event_needs_the_customers_own_token(strict: Caller) -> None:
    events = [{"type": "login", "customerId": who} for who in ("ana", "bia")] + [{"type": "logout"}]
    proven = with_token(strict, strict.mint("ana"), "/batch", {"events": events}).json()["results"]
    assert [result["status"] for result in proven] == [202, 403, 202]
    unproven = strict.call("/batch", {"events": events}).json()["results"]
    assert [result["status"] for result in unproven] == [401, 401, 202]


def test_a_secret_key_may_speak_for_any_customer(strict: Caller, unique: Callable[[], str]) -> None:
    for customer in (unique(), unique()):
        strict.accepted("/login", {"customerId": customer}, key="secret")


def test_an_app_may_let_its_public_key_speak_for_customers(app: Caller, unique: Callable[[], str]) -> None:
    app.accepted("/login", {"customerId": unique()})


def test_the_digest_of_a_key_is_not_the_key(strict: Caller) -> None:
    digest = hashlib.sha256(strict.stack.secret_key.encode()).hexdigest()
    assert strict.call("/login", {"customerId": "ana"}, key=digest).status_code == 401
