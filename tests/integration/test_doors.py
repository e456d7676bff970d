"""Who comes in, and who does not: nobody binds a device to a customer whom they did not log in as."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import boto3
import pytest

from functions.dry_run.app import handler as dry_run
from functions.identity.app import handler as mint
from functions.ingest.app import CALLS, handler
from functions.receipts.app import handler as receipts
from relay.aws import clients, environment
from relay.ledger.ledger import Ledger

KEY = "an-identity-key-of-at-least-32-bytes"
ANOTHER = "another-identity-key-of-32-bytes-or-more"
TRACK = {"name": "x", "device": {"id": "phone", "pushToken": "t"}, "anonymousId": "visitor-1"}
NAMES_NOBODY: list[Any] = [
    0,
    -1,
    2**53,
    1.5,
    True,
    ["ana"],
    {"id": "ana"},
    " ",
    " ana",
    "ana ",
    "ana\n",
    "\tana",
    "null",
    "NULL",
    "undefined",
    "None",
    "[object Object]",
    "(null)",
    "Optional(nil)",
    "guest",
    "Anonymous",
    "N/A",
    "-1",
    "false",
    "not_authenticated",
    "00000000-0000-0000-0000-000000000000",
    "0000",
    "${user.id}",
    "{{customerId}}",
    "customer_id",
    "deviceId",
    "an\x00a",
    "an\u200ba",
    "\ufeffana",
    "ana\u00ad",
    "ana\u202e",
    "an\u2060a",
    "an\u00a0a",
    "an\u3000a",
    "an\u2028a",
    "an\u034fa",
    "ana\ufe0f",
    "\u3164",
    "\u2800",
    "ana\ue000",
    "ana\u0378",
    "\uff41\uff4e\uff41",
    "an\u0430\u200d",
    "\ufb01ona",
    "cafe\u0301",
    "\u2460",
    "\U0001d41a\U0001d427\U0001d41a",
]


class Topic:
    """SNS as a list of what was published."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> dict[str, Any]:
        self.messages.append(json.loads(message["Message"]))
        return {}

    def publish_batch(self, **batch: Any) -> dict[str, Any]:
        self.messages += [json.loads(entry["Message"]) for entry in batch["PublishBatchRequestEntries"]]
        return {}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every event that is published; two apps have identity keys."""
    sns, ssm = Topic(), boto3.client("ssm")
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:events.fifo")
    monkeypatch.setenv("TABLE", "receipts")
    monkeypatch.setattr(clients, "sns", lambda: sns)
    monkeypatch.setattr(Ledger, "accept", lambda _ledger, _events: None)
    for app_id, key in (("shop", KEY), ("another", ANOTHER)):
        ssm.put_parameter(
            Name=f"/session-relay/test/identity/{app_id}", Value=json.dumps({"keys": [key]}), Type="SecureString"
        )
    return sns.messages


def _call(body: Any, path: str = "/login", **request: Any) -> dict[str, Any]:
    """One call with a public key of an app that asks for proof."""
    return handler(
        {
            "resource": path,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": body if isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {
                "authorizer": {"appId": "shop", "kind": "public", "identity": "required"},
                "identity": {"sourceIp": "203.0.113.24", "userAgent": "Shop/4.12"},
            },
            **request,
        },
        None,
    )


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _token(key: str = KEY, alg: str = "HS256", digest: Any = hashlib.sha256, **claims: Any) -> str:
    """A token by hand, as an attacker would make one."""
    said = {"kind": "USER", "uid": "ana", "exp": int(time.time()) + 3600, **claims}
    signed = f"{_part({'alg': alg, 'typ': 'JWT'})}.{_part(said)}"
    signature = base64.urlsafe_b64encode(hmac.new(key.encode(), signed.encode(), digest).digest()).decode().rstrip("=")
    return f"{signed}.{signature}"


def _problem(answer: dict[str, Any], *statuses: int) -> dict[str, Any]:
    assert answer["statusCode"] in statuses, answer
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer["body"])
    assert problem["status"] == answer["statusCode"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize("call", sorted(CALLS))
def test_no_call_names_a_customer_without_proof(call: str, heard: list[dict[str, Any]]) -> None:
    _problem(_call({**TRACK, "customerId": "ana"}, f"/{call}"), 401)
    _problem(_call({**TRACK, "customerId": "ana"}, f"/{call}", headers={"X-Identity-Token": _token(uid="bob")}), 403)
    batch = _call({"events": [{**TRACK, "customerId": "ana", "type": CALLS[call]}]}, "/batch")
    assert [result["status"] for result in json.loads(batch["body"])["results"]] == [401]
    assert heard == []


@pytest.mark.parametrize("customer", NAMES_NOBODY, ids=ascii)
def test_what_is_no_id_names_nobody(customer: Any, heard: list[dict[str, Any]]) -> None:
    headers = {"X-Identity-Token": _token()}
    problem = _problem(_call({**TRACK, "customerId": customer}, "/login", headers=headers), 400)
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/customerId"]
    assert heard == []
    for pointer, sent in {
        "#/customerId": {"customerId": customer},
        "#/anonymousId": {"anonymousId": customer},
        "#/device/id": {"device": {"id": customer}},
    }.items():
        heard.clear()
        answer = _call({"name": "x", **sent}, "/track")
        assert answer["statusCode"] == 202
        assert [one["pointer"] for one in json.loads(answer["body"])["warnings"]] == [pointer]
        assert heard[0].keys() & {"customerId", "anonymousId", "device"} == set()
        assert heard[0].get("deviceUnusable", False) is (pointer == "#/device/id")
        strictly = _call({"name": "x", **sent}, "/track", headers={"Prefer": "handling=strict"})
        assert [fault["pointer"] for fault in _problem(strictly, 400)["errors"]] == [pointer]


@pytest.mark.parametrize(
    "customer", ["ana", "12345", "Ana María", "ana@example.com", "\u0430n\u0430", "\u674e\u96f7", "a-b_c:d/e", "é"]
)
def test_what_is_an_id_is_taken_as_it_is(customer: str, heard: list[dict[str, Any]]) -> None:
    answer = _call({"customerId": customer}, headers={"X-Identity-Token": _token(uid=customer)})
    assert answer["statusCode"] == 202
    assert heard[0]["customerId"] == customer


@pytest.mark.parametrize("lookalike", ["\u0430na", "Ana", "ana.", "ana\u0301"])
def test_a_lookalike_is_another_customer(lookalike: str, heard: list[dict[str, Any]]) -> None:
    _problem(_call({"customerId": lookalike}, headers={"X-Identity-Token": _token()}), 400, 403)
    assert heard == []


TOKENS = {
    "of another app": _token(ANOTHER),
    "of a stage whose key is another": _token("the-identity-key-of-another-stage-32b"),
    "expired": _token(exp=int(time.time()) - 1),
    "never ending": _token(exp=None),
    "without an end": _token(exp="2099"),
    "unsigned": f"{_part({'alg': 'none'})}.{_part({'kind': 'USER', 'uid': 'ana', 'exp': 4102444800})}.",
    "alg none, signed": _token(alg="none"),
    "alg None": _token(alg="None"),
    "alg HS384": _token(alg="HS384", digest=hashlib.sha384),
    "alg RS256": _token(alg="RS256"),
    "of a visitor": _token(kind="VISITOR"),
    "of no kind": _token(kind=None),
    "of a list of customers": _token(uid=["ana"]),
    "of a number": _token(uid=1),
    "of nobody": _token(uid="null"),
    "of an invisible customer": _token(uid="ana\u200b"),
    "two in one": f"{_token()},{_token(uid='bob')}",
    "with a scheme": f"Bearer {_token()}",
}


@pytest.mark.parametrize("case", sorted(TOKENS))
@pytest.mark.parametrize("path", ["/login", "/logout", "/batch"])
def test_a_token_that_proves_nothing_lets_nothing_in(case: str, path: str, heard: list[dict[str, Any]]) -> None:
    body = {"events": [{"type": "login", "customerId": "ana"}]} if path == "/batch" else {"customerId": "ana"}
    problem = _problem(_call(body, path, headers={"X-Identity-Token": TOKENS[case]}), 401)
    assert problem["detail"].startswith("Incorrect Identity Token: ")
    assert heard == []


BOTH = {"x-identity-token": _token(uid="bob"), "X-Identity-Token": _token()}


@pytest.mark.parametrize(
    "request_headers",
    [
        {"headers": BOTH},
        {"headers": {}, "multiValueHeaders": {name: [value] for name, value in BOTH.items()}},
        {"headers": {"X-Identity-Token": _token()}, "multiValueHeaders": {"X-Identity-Token": list(BOTH.values())}},
        {"headers": {"X-IDENTITY-TOKEN": _token()}, "multiValueHeaders": {"x-identity-token": [_token(uid="bob")]}},
    ],
)
@pytest.mark.parametrize("customer", ["ana", "bob"])
def test_two_tokens_prove_neither_customer(
    request_headers: dict[str, Any], customer: str, heard: list[dict[str, Any]]
) -> None:
    problem = _problem(_call({"customerId": customer}, **request_headers), 401)
    assert problem["detail"] == "Incorrect Identity Token: Sent more than once"
    assert heard == []


@pytest.mark.parametrize("name", ["X-Identity-Token", "x-identity-token", "X-IDENTITY-TOKEN"])
def test_a_tokens_header_is_caseless(name: str, heard: list[dict[str, Any]]) -> None:
    assert _call({"customerId": "ana"}, headers={}, multiValueHeaders={name: [_token()]})["statusCode"] == 202
    assert heard[0]["customerId"] == "ana"


@pytest.mark.parametrize(
    "smuggled",
    [
        {"properties": {"customerId": "ana", "customer_id": "ana", "uid": "ana"}},
        {"type": "login", "appId": "another", "trusted": "true", "receivedAt": "2020-01-01T00:00:00Z"},
        {"customerId ": "ana"},
        {"customerId": None, "user": "ana", "uid": "ana"},
    ],
)
def test_what_is_smuggled_in_is_a_property_and_nothing_more(
    smuggled: dict[str, Any], heard: list[dict[str, Any]]
) -> None:
    assert _call({**TRACK, **smuggled}, "/open")["statusCode"] == 202
    (event,) = heard
    assert "customerId" not in event
    assert "trusted" not in event
    assert (event["type"], event["appId"]) == ("open", "shop")
    assert event["receivedAt"] > "2026"


@pytest.mark.parametrize(
    "smuggled",
    [
        {"traits": {"customerId": "ana"}},
        {"device": {"customerId": "ana"}},
        {"trusted": True},
        {"deviceUnusable": True, "warnings": ["x"]},
        {"appId": ["another"]},
        {"uid": {"id": "ana"}},
    ],
)
def test_what_is_smuggled_in_as_json_is_a_property_or_nothing(
    smuggled: dict[str, Any], heard: list[dict[str, Any]]
) -> None:
    assert _call({**TRACK, **smuggled}, "/open")["statusCode"] == 202
    (event,) = heard
    assert event.keys() & {"customerId", "trusted", "deviceUnusable", "warnings"} == set()
    assert event["appId"] == "shop"


@pytest.mark.parametrize("name", ["customer_id", "CustomerId", "customerID", "CUSTOMER-ID"])
def test_a_name_that_is_spelt_otherwise_needs_the_same_proof(name: str, heard: list[dict[str, Any]]) -> None:
    _problem(_call({**TRACK, name: "ana"}, "/open"), 401)
    _problem(_call({**TRACK, name: "ana"}, "/open", headers={"X-Identity-Token": _token(uid="bob")}), 403)
    assert heard == []
    assert _call({**TRACK, name: "ana"}, "/open", headers={"X-Identity-Token": _token()})["statusCode"] == 202
    assert heard[0]["customerId"] == "ana"


def test_two_spellings_of_two_people_name_neither(heard: list[dict[str, Any]]) -> None:
    answer = _call({"customerId": "ana", "customer_id": "bob", "device": {"id": "phone"}}, "/logout")
    assert answer["statusCode"] == 202
    assert [one["pointer"] for one in json.loads(answer["body"])["warnings"]] == ["#/customerId", "#/customer_id"]
    assert "customerId" not in heard[0]
    _problem(_call({"customerId": "ana", "customer_id": "bob"}), 400)


def test_a_type_within_a_batch_is_that_events_and_cannot_be_a_calls(heard: list[dict[str, Any]]) -> None:
    results = json.loads(
        _call({"events": [{"type": "login", "type ": "logout", "customerId": "ana"}]}, "/batch")["body"]
    )
    assert [result["status"] for result in results["results"]] == [401]
    assert heard == []


def test_a_token_needs_no_customer_but_a_login_says_whose_it_is(heard: list[dict[str, Any]]) -> None:
    headers = {"X-Identity-Token": _token()}
    assert _problem(_call({}, headers=headers), 400)["errors"][0]["pointer"] == "#/customerId"
    assert _call({"name": "x"}, "/track", headers=headers)["statusCode"] == 202
    assert heard[0]["customerId"] == "ana"


def test_a_logout_without_proof_names_nobody(heard: list[dict[str, Any]]) -> None:
    assert _call({"device": {"id": "phone"}}, "/logout")["statusCode"] == 202
    assert "customerId" not in heard[0]


def test_no_header_of_a_connection_costs_a_delivery(heard: list[dict[str, Any]]) -> None:
    context = {"authorizer": {"appId": "shop", "kind": "public", "identity": "required"}}
    connection = {"identity": {"sourceIp": "203.0.113.24", "userAgent": "x" * 9000}}
    assert _call(TRACK, "/open", requestContext={**context, **connection})["statusCode"] == 202
    assert len(heard[0]["context"]["userAgent"]) == 4096


@pytest.mark.parametrize(
    ("function", "path"), [(mint, "/identity-tokens"), (dry_run, "/dry-run"), (receipts, "/events/{eventId}")]
)
def test_a_public_key_reaches_no_call_for_secret_keys(function: Any, path: str) -> None:
    context = {"authorizer": {"appId": "shop", "kind": "public", "identity": "optional"}}
    request = {"resource": path, "body": "{}", "pathParameters": {"eventId": "1"}, "requestContext": context}
    assert "secret key" in _problem(function(request, None), 403)["detail"]


WELL_SENT = [
    "application/json",
    "APPLICATION/JSON; charset=UTF-8",
    "application/vnd.shop+json",
    'application/json;charset="utf-8"',
    "",
]
BADLY_TYPED = [
    "text/plain",
    "application/xml",
    "application/jsonp",
    "text/json",
    "application/json; charset=iso-8859-1",
    "multipart/form-data; boundary=x",
]


@pytest.mark.parametrize("media_type", [None, *WELL_SENT])
def test_json_is_taken_however_it_is_announced(media_type: str | None, heard: list[dict[str, Any]]) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    assert _call({}, "/open", headers=headers)["statusCode"] == 202
    assert len(heard) == 1


@pytest.mark.parametrize("media_type", [*BADLY_TYPED, "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", ["/open", "/batch"])
def test_what_is_not_announced_as_json_is_415(media_type: str, path: str, heard: list[dict[str, Any]]) -> None:
    answer = _call({"events": [{"type": "open"}]}, path, headers={"Content-Type": media_type})
    assert "Content-Type: application/json" in _problem(answer, 415)["detail"]
    assert answer["headers"]["Accept"] == "application/json"
    assert heard == []


def test_curl_gets_an_error_that_names_the_header_it_lacks() -> None:
    answer = _call({}, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert "as curl -d does" in _problem(answer, 415)["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "GZIP"])
def test_a_compressed_body_is_415(encoding: str, heard: list[dict[str, Any]]) -> None:
    answer = _call({}, "/open", headers={"Content-Encoding": encoding})
    assert "Content-Encoding" in _problem(answer, 415)["detail"]
    assert heard == []


def test_no_body_needs_no_type(heard: list[dict[str, Any]]) -> None:
    assert _call("", "/logout", headers={"Content-Type": "text/plain"})["statusCode"] == 202
    assert len(heard) == 1


FAULTY = {
    "twice": ('{"customerId":"ana","customerId":"bob"}', "#/customerId"),
    "twice inside": ('{"device":{"id":"a","id":"b"}}', "#/device/id"),
    "twice, escaped": ('{"customerId":"ana","\\u0063ustomerId":"bob"}', "#/customerId"),
    "twice in properties": ('{"properties":{"a/b":1,"a/b":2}}', "#/properties/a~1b"),
    "a huge number": (f'{{"sequence":{"9" * 5000}}}', "#/sequence"),
    "half a character": ('{"properties":{"n":"\\ud800"}}', "#/properties/n"),
    "half a character in a name": ('{"properties":{"\\ud800":"n"}}', "#/properties"),
    "nested deeply": ('{"n":' * 300 + "1" + "}" * 300, "#"),
    "nested without end": ("[" * 100_0, "#"),
    "a list": ("[]", "#"),
    "a text": ('"login"', "#"),
    "null": ("null", "#"),
    "cut off": ('{"customerId":', "#"),
    "more behind": ("{} {}", "#"),
    "a trailing comma": ('{"customerId":"ana",}', "#"),
    "a comment": ("{/**/}", "#"),
    "a byte order mark": ("\ufeff{}", "#"),
    "half a character, raw": ('{"customerId":"\ud800"}', "#"),
}


DETAILS = {
    "a number beyond floats": ('{"properties":{"n":1e999}}', "#/properties/n"),
    "a whole number beyond floats": ('{"properties":{"n":9007199254740993}}', "#/properties/n"),
    "not a number": ('{"properties":{"n":NaN}}', "#/properties/n"),
    "infinity": ('{"properties":{"n":-Infinity}}', "#/properties/n"),
    "NUL": ('{"properties":{"n":"\\u0000"}}', "#/properties/n"),
    "NUL in a name": ('{"\\u0000":"n"}', "#/%00"),
    "a noncharacter": ('{"properties":{"n":"\\uffff"}}', "#/properties/n"),
    "nested": ('{"properties":{"n":[[[[[]]]]]}}', "#/properties/n"),
    "named like a type": ('{"device":{"int":[]}}', "#/device/int"),
}
"""What is wrong with a value, where the body itself is sound."""


@pytest.mark.parametrize("case", sorted(FAULTY | DETAILS))
def test_every_fault_has_its_place(case: str, heard: list[dict[str, Any]]) -> None:
    body, pointer = (FAULTY | DETAILS)[case]
    problem = _problem(_call(body, "/open", headers={"Prefer": "handling=strict"}), 400)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert heard == []


@pytest.mark.parametrize("case", sorted(FAULTY))
def test_a_fault_of_the_body_itself_is_400_however_lenient_the_caller(case: str, heard: list[dict[str, Any]]) -> None:
    body, pointer = FAULTY[case]
    assert [fault["pointer"] for fault in _problem(_call(body, "/open"), 400)["errors"]] == [pointer]
    assert heard == []


@pytest.mark.parametrize("case", sorted(DETAILS))
def test_a_value_that_cannot_be_is_left_out_and_named(case: str, heard: list[dict[str, Any]]) -> None:
    body, pointer = DETAILS[case]
    answer = _call(body, "/open")
    assert answer["statusCode"] == 202
    (warning,) = json.loads(answer["body"])["warnings"]
    assert warning["pointer"].startswith(pointer)
    assert len(heard) == 1


@pytest.mark.parametrize(
    "case",
    sorted(
        case
        for case in FAULTY
        if not case.startswith(("cut", "more", "a trailing", "a comm", "a byte"))
        and "raw" not in case
        and "without end" not in case
    ),
)
def test_a_fault_in_a_batch_is_its_own_events_alone(case: str, heard: list[dict[str, Any]]) -> None:
    body, pointer = FAULTY[case]
    if body.startswith("{"):
        body = body.replace("{", '{"type":"open",', 1)
    answer = _call(f'{{"events":[{{"type":"open"}},{body},{{"type":"open"}}]}}', "/batch")
    results = json.loads(answer["body"])["results"]
    assert [result["status"] for result in results] == [202, 400, 202]
    assert [fault["pointer"] for fault in results[1]["errors"]] == [pointer]
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ('{"events":[{"type":"open"}],"events":[{"type":"logout"}]}', ["#/events"]),
        ('{"events":[{"type":"open"}],"more":1}', ["#/more"]),
        ('{"events":[]}', ["#/events"]),
        ('{"events":[{"type":"open"}]', ["#"]),
    ],
)
def test_a_fault_of_the_batch_itself_accepts_nothing(
    body: str, pointers: list[str], heard: list[dict[str, Any]]
) -> None:
    problem = _problem(_call(body, "/batch"), 400)
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert heard == []


@pytest.mark.parametrize("raw", [b"\x1f\x8b\x08\x00gzip", b"\xff\xfe{\x00}\x00", b"\x00", b"{}\x00", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text_are_400(raw: bytes, heard: list[dict[str, Any]]) -> None:
    answer = _call(base64.b64encode(raw).decode(), "/open", isBase64Encoded=True)
    assert _problem(answer, 400)["errors"][0]["pointer"] == "#"
    assert heard == []


def test_what_is_no_base64_is_400() -> None:
    _problem(_call("%%%", "/open", isBase64Encoded=True), 400)


def test_ten_megabytes_are_413(heard: list[dict[str, Any]]) -> None:
    for path in ("/open", "/batch"):
        _problem(_call("[" * 10_000_000, path), 413)
    assert heard == []


def test_an_answer_does_not_grow_with_what_was_sent() -> None:
    names = ",".join(f'"{chr(233) * 60}{n}":{n}' for n in range(6000))
    answer = _call('{"events":[' + ",".join(["{" + names[:5000].rpartition(",")[0] + "}"] * 90) + "]}", "/batch")
    assert len(answer["body"]) < 1_500_000
    twice = '{"' + "n" * 400_000 + '":{' + ",".join(['"a":1'] * 1000) + '},"events":[]}'
    assert len(_call(twice, "/batch")["body"]) < 10_000


ORIGIN = "https://shop.example.com"


@pytest.fixture
def _origins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template's parameter names two origins, and by mistake all of them."""
    monkeypatch.setenv("ALLOWED_ORIGINS", f"{ORIGIN}, https://www.example.com,*,null")
    environment.allowed_origins.cache_clear()


@pytest.mark.usefixtures("_origins", "heard")
@pytest.mark.parametrize("body", [{}, [], "{"])
def test_a_page_of_an_allowed_origin_may_read_every_answer(body: Any) -> None:
    headers = _call(body, "/open", headers={"origin": ORIGIN})["headers"]
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (ORIGIN, "Origin")


@pytest.mark.usefixtures("_origins", "heard")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "*", "null", "http://shop.example.com", f"{ORIGIN}.evil.example", ""]
)
def test_a_page_of_another_origin_may_read_nothing(origin: str) -> None:
    for method in ("POST", "OPTIONS"):
        answer = _call({}, "/open", headers={"Origin": origin}, httpMethod=method)
        assert not [name for name in answer["headers"] if name.startswith("Access-Control")]
        assert answer["headers"]["Vary"] == "Origin"
    _problem(answer, 403)


@pytest.mark.usefixtures("_origins")
def test_a_preflight_says_what_a_browser_may_send() -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = handler({"resource": "/login", "httpMethod": "OPTIONS", "headers": asked}, None)
    assert answer == {
        "statusCode": 204,
        "headers": {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Prefer, X-Identity-Token, X-Retry-Count",
            "Access-Control-Max-Age": "7200",
            "Vary": "Origin",
            "Access-Control-Allow-Origin": ORIGIN,
            "Access-Control-Expose-Headers": "Date, Retry-After, Preference-Applied",
        },
        "body": "",
    }


@pytest.mark.usefixtures("heard")
def test_without_the_parameter_no_page_may_call() -> None:
    for method in ("POST", "OPTIONS"):
        answer = _call({}, "/open", headers={"Origin": ORIGIN}, httpMethod=method)
        assert not [name for name in answer["headers"] if name.startswith("Access-Control")]
    _problem(answer, 403)
