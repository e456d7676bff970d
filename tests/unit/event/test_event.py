"""The event model: what a caller may say, how it is stamped, and what an agent reads of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import InvalidEvent
from relay.event.model import Device, Event, EventInput, EventType

NOW = datetime(2026, 11, 20, 9, 15, 42, 318000, tzinfo=UTC)
MOMENT = "must be a time of the year 2000 or later, as in 2026-11-20T09:15:42Z"


def _faults(body: Any, event_type: EventType = "login") -> dict[str, str]:
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    with pytest.raises(InvalidEvent) as invalid:
        EventInput.parse(text, event_type)
    return {fault.pointer: fault.detail for fault in invalid.value.errors}


def _stamped(body: dict[str, Any], event_type: EventType = "login") -> Event:
    return Event.stamp(EventInput.parse(json.dumps(body), event_type), event_type, "shop", "made-id", NOW)


def test_the_seeds_bare_login_is_all_that_a_login_needs() -> None:
    assert json.loads(_stamped({"customerId": "12345"}).dump()) == {
        "type": "login",
        "appId": "shop",
        "eventId": "made-id",
        "occurredAt": "2026-11-20T09:15:42.318000Z",
        "receivedAt": "2026-11-20T09:15:42.318000Z",
        "sequence": 1795166142318,
        "orderedBy": "receipt",
        "customerId": "12345",
    }


def test_further_strings_at_the_top_level_are_properties() -> None:
    event = _stamped({"customerId": "12345", "loyalty": "gold", "absent": None, "properties": {"items": 3}})
    assert event.properties == {"loyalty": "gold", "items": 3}


def test_what_an_agent_reads_is_what_ingest_wrote() -> None:
    event = _stamped(
        {
            "eventId": "evt_1",
            "customerId": "12345",
            "email": "ana@example.com",
            "phone": "+5511999887766",
            "occurredAt": "2026-11-20T06:15:00.5-03:00",
            "device": {"id": "d", "platform": "ios", "pushToken": False, "screen": {"density": 3}},
            "consent": {
                "advertising": False,
                "tcf": {"policyVersion": 4, "cmpSdkId": 5, "cmpSdkVersion": 6, "tcString": "C"},
            },
            "properties": {"text": "a", "whole": 1, "part": 1.5, "yes": True},
        }
    )
    assert Event.load(event.dump()) == event


def test_fields_of_a_newer_version_are_passed_over() -> None:
    message = json.loads(_stamped({"customerId": "12345", "device": {"id": "d"}}).dump())
    message |= {"shoeSize": 43}
    message["device"] |= {"colour": "red"}
    event = Event.load(json.dumps(message))
    assert event.device.id == "d"
    assert event.properties == {}


ITEMS = [{"sku": "A-1", "price": 9.9, "tags": ["new", {"by": "us"}]}, {"sku": "B-2", "gift": True}]


def test_properties_and_traits_may_be_json_and_what_is_null_is_absent() -> None:
    event = _stamped(
        {
            "customerId": "1",
            "properties": {"items": [*ITEMS, None], "cart": {"id": "c", "coupon": None}},
            "traits": {"firstName": "Ana", "city": "Recife", "tastes": ["a", {"b": 1}], "nothing": None},
        }
    )
    assert event.properties == {"items": ITEMS, "cart": {"id": "c"}}
    assert (event.traits.first_name, event.traits.others) == ("Ana", {"city": "Recife", "tastes": ["a", {"b": 1}]})
    assert json.loads(event.dump())["traits"] == {"firstName": "Ana", "city": "Recife", "tastes": ["a", {"b": 1}]}
    assert Event.load(event.dump()) == event


@pytest.mark.parametrize("value", [[[[[1]]]], {"a": {"b": {"c": {"d": "e"}}}}])
def test_json_of_four_depths_is_taken(value: Any) -> None:
    assert _stamped({"customerId": "1", "properties": {"a": value}}).properties == {"a": value}


@pytest.mark.parametrize(
    "value", [[[[[[]]]]], ["\0"], [""], [2**53], [{"": 1}], [{"n" * 65: 1}], ["x" * 4097], [float("inf")]]
)
def test_json_that_is_deeper_or_holds_what_no_agent_takes_is_named(value: Any) -> None:
    faults = _faults({"customerId": "1", "properties": {"a": value}, "traits": {"b": value}})
    assert faults.keys() == {"#/properties/a", "#/traits/b"}
    assert faults["#/traits/b"].startswith("must be text, a boolean, a number, or a list or object of these")


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ("{", "#", "the body is not valid JSON in UTF-8"),
        (b'{"customerId":"\xff"}', "#", "the body is not valid JSON in UTF-8"),
        ('{"customerId":"\\ud800"}', "#", "the body is not valid JSON in UTF-8"),
        ("[]", "#", "must be a JSON object"),
        ("null", "#", "must be a JSON object"),
        ({}, "#/customerId", "customerId is required for login"),
        ({"customerId": 12345}, "#/customerId", "must be a valid string"),
        ({"customerId": ["12345"]}, "#/customerId", "must be a valid string"),
        ({"customerId": "1", "email": "ana"}, "#/email", "must be an e-mail address, as in ana@example.com"),
        ({"customerId": "1", "device": {"platform": "vax"}}, "#/device/platform", "must be 'ios', 'android' or 'web'"),
        (
            {"customerId": "1", "device": {"colour": "red"}},
            "#/device/colour",
            "is not a known field here; remove it, or send it as a property",
        ),
        (
            {"customerId": "1", "device": {"screen": {"density": -1}}},
            "#/device/screen/density",
            "must be greater than 0",
        ),
        (
            {"customerId": "1", "device": {"pushToken": True}},
            "#/device/pushToken",
            "must be a valid string, or must be False",
        ),
        ({"customerId": "1", "sequence": "1"}, "#/sequence", "must be a valid integer"),
        ({"customerId": "1", "occurredAt": 1795166142}, "#/occurredAt", MOMENT),
        ({"customerId": "1", "occurredAt": "1795166142"}, "#/occurredAt", MOMENT),
        ({"customerId": "1", "occurredAt": "2026-11-20 09:15Z"}, "#/occurredAt", MOMENT),
        ({"customerId": "1", "occurredAt": "1999-12-31T23:59:59Z"}, "#/occurredAt", MOMENT),
        (
            {"customerId": "1", "occurredAt": "2026-02-30T09:15:42Z"},
            "#/occurredAt",
            "must be a day that there was, as in 2026-11-20T09:15:42Z",
        ),
        (
            {"customerId": "1", "occurredAt": "2026-11-20T09:15:42"},
            "#/occurredAt",
            "must end with an offset, as in 2026-11-20T09:15:42Z",
        ),
        ({"customerId": "1", "consent": {"advertising": "yes"}}, "#/consent/advertising", "must be a valid boolean"),
        ({"customerId": "1", "loyalty": 5}, "#/loyalty", "must be a valid string"),
        (
            {"customerId": "1", "loyalty": "a", "properties": {"loyalty": "b"}},
            "#/loyalty",
            "is given at the top level and in properties; send it once",
        ),
        (
            {"customerId": "1", "eventId": "a b"},
            "#/eventId",
            "must be 1 to 128 letters, digits, '_', '.', ':', '~' or '-'",
        ),
    ],
)
def test_each_fault_is_named_with_its_place(body: Any, pointer: str, detail: str) -> None:
    assert _faults(body) == {pointer: detail}


@pytest.mark.parametrize("number", [0, 0.0, -0.0, 1])
def test_a_number_declines_no_push(number: float) -> None:
    assert _faults({"device": {"pushToken": number}}, "push_token") == {
        "#/device/pushToken": "must be the token, or false where push is declined"
    }


@pytest.mark.parametrize("nobody", [" ", "null", "NULL", "undefined", "None", " 123", "123\n", "\t", ""])
def test_nobody_is_not_a_customer(nobody: str) -> None:
    assert set(_faults({"customerId": nobody})) == {"#/customerId"}


@pytest.mark.parametrize(
    "phone", ["5511999887766", "+55 11 99988-7766", "(11) 99988-7766", "+0123456789", "+", "+12345"]
)
def test_a_phone_is_e164_or_refused(phone: str) -> None:
    assert _faults({"customerId": "1", "phone": phone})["#/phone"].startswith("must be in E.164")


def test_every_fault_is_named_at_once() -> None:
    assert set(_faults({"customerId": 1, "email": "x", "device": {"platform": "vax", "colour": 1}})) == {
        "#/customerId",
        "#/email",
        "#/device/platform",
        "#/device/colour",
    }


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_is_finite(number: str) -> None:
    assert "#/properties/price" in _faults(f'{{"customerId":"1","properties":{{"price":{number}}}}}')


@pytest.mark.parametrize(
    ("event_type", "body", "pointer"),
    [
        ("signup", {}, "#/customerId"),
        ("identify", {}, "#/customerId"),
        ("track", {"customerId": "1"}, "#/name"),
        ("push_token", {"device": {"id": "d"}}, "#/device/pushToken"),
    ],
)
def test_what_each_type_requires(event_type: EventType, body: dict[str, Any], pointer: str) -> None:
    assert set(_faults(body, event_type)) == {pointer}


@pytest.mark.parametrize(
    ("event_type", "body"),
    [
        ("logout", {}),
        ("open", {}),
        ("identify", {"anonymousId": "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901"}),
        ("push_token", {"device": {"pushToken": False}}),
    ],
)
def test_what_each_type_is_content_with(event_type: EventType, body: dict[str, Any]) -> None:
    assert _stamped(body, event_type).type == event_type


IDENTITY_FIELDS = (
    *("eventId", "occurredAt", "sequence", "customerId", "anonymousId", "email", "phone", "emailSha256", "phoneSha256"),
    "id",
)


@pytest.mark.parametrize("name", IDENTITY_FIELDS)
def test_each_identity_field_is_found_by_its_name_on_the_wire_and_says_what_it_is(name: str) -> None:
    assert f'alias="{name}"' in Path("layers/runtime/relay/event/model.py").read_text()
    model = Device if name == "id" else EventInput
    (field,) = (field for field in model.model_fields.values() if field.alias == name)
    assert field.description
    schema = EventInput.model_json_schema()
    properties = schema["$defs"]["Device"]["properties"] if name == "id" else schema["properties"]
    assert properties[name]["description"] == field.description


def test_a_clock_that_is_ahead_is_set_to_now() -> None:
    event = _stamped({"customerId": "1", "occurredAt": "2027-01-01T00:00:00Z", "sequence": 1795166142319})
    assert event.occurred_at == NOW
    assert event.sequence == 1795166142318


def test_the_past_stays_as_it_was() -> None:
    event = _stamped({"customerId": "1", "eventId": "mine", "occurredAt": "2026-11-19T00:00:00Z", "sequence": 7})
    assert (event.event_id, event.occurred_at, event.sequence) == ("mine", datetime(2026, 11, 19, tzinfo=UTC), 7)


@pytest.mark.parametrize(
    ("event_type", "body", "purpose", "default", "allowed"),
    [
        ("login", {"customerId": "1"}, "advertising", True, True),
        ("login", {"customerId": "1"}, "advertising", False, False),
        ("login", {"customerId": "1", "consent": {"advertising": False}}, "advertising", True, False),
        ("login", {"customerId": "1", "consent": {"advertising": False}}, "analytics", True, True),
        ("login", {"customerId": "1", "consent": {"messaging": True}}, "messaging", False, True),
        ("login", {"customerId": "1", "consent": {"messaging": False}}, "messaging", True, False),
        ("logout", {"consent": {"messaging": False}}, "messaging", True, True),
        ("logout", {"consent": {"advertising": False}}, "advertising", True, False),
        ("push_token", {"consent": {"messaging": False}, "device": {"pushToken": False}}, "messaging", True, True),
        ("push_token", {"consent": {"messaging": False}, "device": {"pushToken": "t"}}, "messaging", True, False),
    ],
)
def test_consent_by_purpose(
    event_type: EventType,
    body: dict[str, Any],
    purpose: Any,
    default: bool,  # noqa: FBT001
    allowed: bool,  # noqa: FBT001
) -> None:
    assert _stamped(body, event_type).allows(purpose, default=default) is allowed


@given(
    st.binary(max_size=200)
    | st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_whatever_comes_is_an_event_or_named_faults(body: str | bytes) -> None:
    try:
        event = Event.stamp(EventInput.parse(body, "logout"), "logout", "shop", "made-id", NOW)
    except InvalidEvent as invalid:
        named = invalid.errors
    else:
        named = []
        assert Event.load(event.dump()) == event
    assert all(fault.pointer.startswith("#") and fault.detail for fault in named)
