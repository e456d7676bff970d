"""The OpenAPI document: in step with the code, valid, and exact where a schema can be."""

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from functions.authorizer.app import PUBLIC_CALLS
from functions.dry_run.app import MAX_BODY_BYTES
from functions.ingest.app import CALLS
from ops.openapi import DOCUMENT, document, written

SEEDS_LOGIN = {"customerId": "12345", "email": "ana@example.com", "phone": "+5511999887766"}


@pytest.fixture(scope="module")
def written_document() -> dict[str, Any]:
    """docs/openapi.json, as callers read it."""
    known: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return known


def _allows(document: dict[str, Any], schema: str, value: object) -> bool:
    integral = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(integral, validate_formats=True).is_valid(value)


def test_the_document_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text() == written(), "run make openapi"


def test_the_document_is_valid_openapi(written_document: dict[str, Any]) -> None:
    loaded = schemathesis.openapi.from_dict(written_document)
    loaded.validate()
    assert len(list(loaded.get_all_operations())) == 12


def test_every_call_is_in_the_document(written_document: dict[str, Any]) -> None:
    called = {f"{method.upper()}{path}" for path, methods in written_document["paths"].items() for method in methods}
    secret = {"POST/identity-tokens", "POST/dry-run", "GET/events/{eventId}"}
    assert called == {*PUBLIC_CALLS, *secret, "GET/health"}


def test_every_reference_leads_somewhere(written_document: dict[str, Any]) -> None:
    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [reference for value in part.values() for reference in references(value)]
        return [reference for value in part for reference in references(value)] if isinstance(part, list) else []

    for reference in references(written_document):
        part: Any = written_document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        assert part


def test_every_example_is_one(written_document: dict[str, Any]) -> None:
    examples = [
        (content["schema"]["$ref"].rpartition("/")[2], example["value"])
        for methods in written_document["paths"].values()
        for call in methods.values()
        for content in call.get("requestBody", {}).get("content", {}).values()
        for example in content["examples"].values()
    ]
    assert ("LoginCall", SEEDS_LOGIN) in examples
    assert [example for example in examples if not _allows(written_document, *example)] == []


def test_every_call_with_a_body_says_how_large_it_may_be(written_document: dict[str, Any]) -> None:
    bodies = {path: call["post"]["requestBody"] for path, call in written_document["paths"].items() if "post" in call}
    assert bodies.keys() == {*(f"/{call}" for call in CALLS), "/batch", "/identity-tokens", "/dry-run"}
    assert all(body["description"].startswith("At most ") for body in bodies.values())
    assert str(MAX_BODY_BYTES) in bodies["/dry-run"]["description"]
    assert {path for path, body in bodies.items() if not body["required"]} == {"/logout", "/open"}


@pytest.mark.parametrize(
    ("schema", "value", "allowed"),
    [
        ("LoginCall", {"customerId": "12345"}, True),
        ("LoginCall", {"customerId": "12345", "loyalty": "gold", "absent": None}, True),
        ("LoginCall", {"customerId": "12345", "sequence": 5.0}, True),
        ("LoginCall", {}, False),
        ("LoginCall", {"customerId": None}, False),
        ("LoginCall", {"customerId": 12345}, False),
        ("LoginCall", {"customerId": "NULL"}, False),
        ("LoginCall", {"customerId": " 1"}, False),
        ("LoginCall", {"customerId": "1\n"}, False),
        ("LoginCall", {"customerId": "1", "loyalty": 5}, False),
        ("LoginCall", {"customerId": "1", "sequence": 0}, False),
        ("LoginCall", {"customerId": "1", "sequence": 2**53}, False),
        ("LoginCall", {"customerId": "1", "properties": {"n": 2**53}}, False),
        ("LoginCall", {"customerId": "1", "properties": {"n": [[[{"a": 1, "b": None}]]]}}, True),
        ("LoginCall", {"customerId": "1", "properties": {"n": [[[[[1]]]]]}}, False),
        ("LoginCall", {"customerId": "1", "properties": {"n": [{"": 1}]}}, False),
        ("LoginCall", {"customerId": "1", "traits": {"firstName": "Ana", "city": "Recife", "tastes": ["a"]}}, True),
        ("LoginCall", {"customerId": "1", "traits": {"firstName": 1}}, False),
        ("LoginCall", {"customerId": "1", "traits": {"city": [[[[[1]]]]]}}, False),
        ("LoginCall", {"customerId": "1", "properties": {" ": "blank"}}, False),
        ("LoginCall", {"customerId": "1", "properties": {str(n): n for n in range(101)}}, False),
        ("LoginCall", {"customerId": "1", "occurredAt": "1999-12-31T00:00:00Z"}, False),
        ("LoginCall", {"customerId": "1", "occurredAt": "2026-11-20T09:15:42"}, False),
        ("LoginCall", {"customerId": "1", "occurredAt": "2026-02-30T09:15:42Z"}, False),
        ("LoginCall", {"customerId": "1", "occurredAt": "2026-11-20T09:15:42.5-03:00"}, True),
        ("LoginCall", {"customerId": "1", "device": {"colour": "red"}}, False),
        ("LoginCall", {"customerId": "1", "phone": "11999887766"}, False),
        ("LogoutCall", {}, True),
        ("IdentifyCall", {}, False),
        ("IdentifyCall", {"customerId": None}, False),
        ("IdentifyCall", {"anonymousId": "v"}, True),
        ("PushTokenCall", {"device": {"id": "d"}}, False),
        ("PushTokenCall", {"device": {"pushToken": None}}, False),
        ("PushTokenCall", {"device": {"pushToken": False}}, True),
        ("PushTokenCall", {"device": {"pushToken": True}}, False),
        ("Event", {"type": "track", "name": "x"}, True),
        ("Event", {"type": "track"}, False),
        ("Event", {"type": "signin", "customerId": "1"}, False),
        ("Event", {"customerId": "1"}, False),
        ("Batch", {"events": []}, False),
        ("Batch", {"events": [{"type": "logout"}] * 101}, False),
        ("Batch", {"events": [{"type": "logout"}], "more": 1}, False),
        ("TokenCall", {"uid": "1", "expiresIn": 604801}, False),
        ("TokenCall", {"uid": "guest"}, False),
        ("LoginCall", {"customerId": "guest"}, False),
        ("LoginCall", {"customerId": "0000-0000"}, False),
        ("LoginCall", {"customerId": "{{ user.id }}"}, False),
        ("LoginCall", {"customerId": "1", "eventId": "fb.1.1795100000000.1098115397"}, True),
        ("LoginCall", {"customerId": "1", "eventId": ".."}, False),
        ("LoginCall", {"customerId": "1", "ids": {"appsflyerId": "[object Object]"}}, False),
        ("LoginCall", {"customerId": "1", "properties": {"a": "guest", "b": None}}, True),
        ("LenientLogin", {"customerId": "1", "email": "", "phone": [], "device": 5, "properties": "x"}, True),
        ("LenientLogin", {"customerId": 12345}, True),
        ("LenientLogin", {"customerId": 0}, False),
        ("LenientLogin", {"customerId": 1.5}, False),
        ("LenientLogin", {"customerId": "guest"}, False),
        ("LenientLogin", {"customerId": "1", "customer_id": "2"}, False),
        ("LenientLogin", {}, False),
        ("LenientLogout", {}, True),
        ("LenientLogout", [], False),
        ("LenientIdentify", {"anonymousId": "v", "customerId": []}, True),
        ("LenientTrack", {"name": 5}, True),
        ("LenientTrack", {"name": ""}, False),
        ("LenientPushToken", {"device": {"pushToken": False, "id": 5, "colour": "red"}}, True),
        ("LenientPushToken", {"device": {"pushToken": "null"}}, False),
    ],
)
def test_what_the_document_allows(written_document: dict[str, Any], schema: str, value: object, allowed: bool) -> None:  # noqa: FBT001
    assert _allows(written_document, schema, value) is allowed


def test_no_problem_of_ours_is_left_out() -> None:
    for path, methods in document()["paths"].items():
        for call in methods.values():
            if path != "/health":
                assert call["responses"].keys() >= {"401", "403", "429", "503"}
            if "requestBody" in call:
                assert call["responses"].keys() >= {"400", "413", "415"}
