"""An event of the Data Manager API for Google Analytics: what Google refuses, and what it leaves out with a warning."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from local.sandbox.exchange import Json
from local.sandbox.formats import (
    ISO_UTC,
    VERSION,
    Check,
    anything,
    digest,
    ip_address,
    list_of,
    misfits,
    one_of,
    personal_data,
    text,
    whole_number,
    within,
)
from local.sandbox.google_body import (
    APP_ONLY_EVENTS,
    INSTANCE_DIGITS,
    LONGEST_NAME,
    LONGEST_PROPERTY,
    NAME,
    PAGE_TEXTS,
    PARAMETERS,
    RESERVED_EVENTS,
    RESERVED_PARAMETERS,
    RESERVED_PREFIXES,
    RESERVED_PROPERTIES,
    USER_PROPERTIES,
    WEB_CLIENT,
)

OLDEST_HOURS = 72
LONGEST_VALUE = 36
IDENTIFIERS = 10
ITEMS = 200
CATEGORIES = {"desktop", "tablet", "mobile", "smart TV"}


def any_text(value: Json) -> str:
    """Require a string: what a shop's own parameter says is its own affair."""
    return "" if isinstance(value, str) else "is not a string"


NAMED: dict[str, Check] = {"parameterName": any_text, "value": any_text}
ITEM: dict[str, Check] = {
    "itemId": any_text,
    "quantity": whole_number(),
    "unitPrice": anything,
    "additionalItemParameters": list_of(within(NAMED, NAMED)),
    **dict.fromkeys(("merchantProductId", "merchantId"), text()),
}
PROPERTY: dict[str, Check] = {"propertyName": any_text, "value": any_text}
ADDRESS: dict[str, Check] = {
    **dict.fromkeys(("givenName", "familyName", "addressLine"), digest),
    "regionCode": text(r"[A-Z]{2}", form="a region of two capitals"),
    **dict.fromkeys(("postalCode", "city", "administrativeArea"), text()),
}
DEVICE: dict[str, Check] = {
    **dict.fromkeys(
        ("userAgent", "category", "operatingSystem", "model", "brand", "browser", "browserVersion"), text()
    ),
    "ipAddress": ip_address,
    "languageCode": text(r"[a-z]{2}", form="a language of ISO 639-1"),
    **dict.fromkeys(("screenHeight", "screenWidth"), whole_number(1, 2**31 - 1)),
    "operatingSystemVersion": text(VERSION, form="an OS version"),
}
GRANT = one_of("CONSENT_GRANTED", "CONSENT_DENIED")
TYPES: dict[str, Check] = {
    "destinationReferences": list_of(text()),
    "eventName": text(),
    "eventSource": one_of("WEB", "APP", "IN_STORE", "PHONE", "MESSAGE", "OTHER"),
    "eventTimestamp": text(ISO_UTC, form="a time in RFC 3339"),
    **dict.fromkeys(("clientId", "appInstanceId", "currency"), text()),
    "transactionId": any_text,
    "userId": text(longest=255),
    "conversionValue": lambda value: "" if type(value) in {int, float} else "is no number",
    "consent": within({"adUserData": GRANT, "adPersonalization": GRANT}),
    "userData": anything,
    "userProperties": within(
        {"additionalUserProperties": list_of(within(PROPERTY, PROPERTY), longest=USER_PROPERTIES)}
    ),
    "eventDeviceInfo": anything,
    "cartData": within({"items": list_of(within(ITEM), longest=ITEMS), "couponCodes": list_of(any_text, longest=1)}),
    "additionalEventParameters": list_of(within(NAMED, NAMED), longest=PARAMETERS),
}
"""What Google's parser takes; a member that is not here, or of another type, fails the whole request."""


class Fault(NamedTuple):
    """One thing that is wrong: its place within the event, Google's reason, and whether it only costs a field.

    The reason is empty for what Google does not look at.
    """

    place: str
    text: str
    reason: str
    is_warning: bool = False


def check_event(event: Json, references: dict[str, Json], encoding: Json, now: float) -> Iterator[Fault]:
    """Yield what is wrong with an event that came at `now` for one of these destinations, by their references."""
    for place, wrong in misfits(event, "", TYPES):
        yield Fault(_snake(place), f"{place} {wrong}", "INVALID_FORMAT")
    if not isinstance(event, dict):
        return
    yield from _check_destination(event, references)
    yield from _check_name(event)
    yield from _check_time(event.get("eventTimestamp"), now)
    yield from _check_person(event.get("userData"), encoding)
    yield from _check_parameters(event)
    for place, wrong in misfits(event.get("eventDeviceInfo", {}), "event_device_info", DEVICE):
        yield Fault(place, f"{place} {wrong}", "INVALID_FORMAT", is_warning=True)
    category = (event.get("eventDeviceInfo") or {}).get("category", "mobile")
    if category not in CATEGORIES:
        yield Fault(
            "event_device_info.category", f"{category} is no category", "INVALID_DEVICE_CATEGORY", is_warning=True
        )
    for fault in personal_data({name: event[name] for name in event if name != "eventDeviceInfo"}, "event"):
        yield Fault("", fault, "")


def _check_destination(event: Json, references: dict[str, Json]) -> Iterator[Fault]:
    named = event.get("destinationReferences", list(references))
    if not isinstance(named, list) or len(named) != 1:
        reason = "MULTIPLE_DESTINATIONS_FOR_GOOGLE_ANALYTICS_EVENT"
        yield Fault("destination_references", "the event does not name one destination", reason)
        return
    if named[0] not in references:
        yield Fault(
            "destination_references", f"{named[0]} is no reference of the request", "INVALID_DESTINATION_REFERENCE"
        )
        return
    is_web = str(references[named[0]]).startswith("G-")
    if event.get("eventSource") != ("WEB" if is_web else "APP"):
        yield Fault("event_source", "eventSource does not fit the stream", "EVENT_SOURCE_AND_DESTINATION_MISMATCH")
    yield from _check_visitor(event, is_web=is_web)


def _check_visitor(event: Json, *, is_web: bool) -> Iterator[Fault]:
    client, instance = event.get("clientId"), event.get("appInstanceId")
    if client and instance:
        yield Fault("client_id", "both clientId and appInstanceId", "BOTH_CLIENT_ID_AND_APP_INSTANCE_ID_NOT_ALLOWED")
    elif is_web and not client:
        yield Fault("client_id", "clientId is missing", "REQUIRED_FIELD_MISSING")
    elif not is_web and not instance:
        yield Fault("app_instance_id", "appInstanceId is missing", "REQUIRED_FIELD_MISSING")
    elif is_web and not WEB_CLIENT.fullmatch(str(client)):
        yield Fault("client_id", "clientId is not <number>.<number>", "INVALID_CLIENT_ID", is_warning=True)
    elif not is_web and not re.fullmatch(rf"[0-9a-fA-F]{{{INSTANCE_DIGITS}}}", str(instance)):
        yield Fault("app_instance_id", "appInstanceId is not 32 hexadecimal digits", "INVALID_APP_INSTANCE_ID")
    if event.get("eventName") in APP_ONLY_EVENTS and is_web:
        yield Fault("event_name", "the name is an app's", "INVALID_EVENT_NAME")


def _check_name(event: Json) -> Iterator[Fault]:
    name = event.get("eventName")
    if not name:
        yield Fault("event_name", "eventName is missing", "REQUIRED_FIELD_MISSING")
    elif not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        yield Fault("event_name", f"eventName {name} is no name", "INVALID_EVENT_NAME")
    elif name in RESERVED_EVENTS or name.startswith(RESERVED_PREFIXES):
        yield Fault("event_name", f"eventName {name} is reserved", "INVALID_EVENT_NAME")
    is_transaction = name in {"purchase", "refund"}
    if is_transaction and not event.get("transactionId"):
        yield Fault("transaction_id", "transactionId is missing", "REQUIRED_FIELD_MISSING")
    if not is_transaction and "transactionId" in event:
        # Whether it makes a multi-source event is not documented (2026-10).
        yield Fault("transaction_id", "transactionId at an event that is no transaction", "")


def _check_time(value: Json, now: float) -> Iterator[Fault]:
    if value is None:
        yield Fault("event_timestamp", "eventTimestamp is missing", "REQUIRED_FIELD_MISSING")
        return
    try:
        moment = datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return
    if not now - OLDEST_HOURS * 3600 <= moment <= now + 60:
        yield Fault("event_timestamp", "eventTimestamp is more than 72 hours old, or to come", "EVENT_TIME_INVALID")


def _check_person(person: Json, encoding: Json) -> Iterator[Fault]:
    if person is None:
        return
    listed = person.get("userIdentifiers") if isinstance(person, dict) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= IDENTIFIERS:
        yield Fault("user_data", f"userData has not 1 to {IDENTIFIERS} userIdentifiers", "INVALID_USER_DATA")
        return
    if encoding != "HEX":
        yield Fault("user_data", "the request says no encoding HEX", "ENCODING_MISSING")
    table: dict[str, Check] = {"emailAddress": digest, "phoneNumber": digest, "address": within(ADDRESS)}
    for at, identifier in enumerate(listed):
        place = f"user_data.user_identifiers[{at}]"
        if not isinstance(identifier, dict) or len(identifier) != 1:
            yield Fault(place, "an identifier is one of e-mail address, phone number and address", "INVALID_FORMAT")
            continue
        for where, wrong in misfits(identifier, place, table):
            yield Fault(_snake(where), f"{where} {wrong}", "INVALID_SHA256_FORMAT")


def _check_parameters(event: Json) -> Iterator[Fault]:
    listed = event.get("additionalEventParameters")
    given = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    values = {str(one.get("parameterName")): str(one.get("value")) for one in given}
    if len(values) != len(given):
        yield Fault("additional_event_parameters", "a parameter twice", "")
    if not values.get("engagement_time_msec", "0").isdigit() or values.get("engagement_time_msec", "0") == "0":
        yield Fault("additional_event_parameters", "engagement_time_msec is missing or 0: nobody counts as active", "")
    for name, value in values.items():
        yield from _check_parameter(name, value)
    if "conversionValue" in event and "currency" not in event:
        yield Fault("currency", "conversionValue has no currency: it counts in no revenue", "")
    if "currency" in event and not re.fullmatch("[A-Z]{3}", str(event["currency"])):
        yield Fault("currency", "currency is no code of ISO 4217", "INVALID_CURRENCY_CODE")
    properties = (event.get("userProperties") or {}).get("additionalUserProperties", [])
    for one in properties if isinstance(properties, list) else []:
        name = str(one.get("propertyName"))
        if name in RESERVED_PROPERTIES or name.startswith(RESERVED_PREFIXES) or len(name) > LONGEST_PROPERTY:
            yield Fault("user_properties", f"{name} is reserved or too long", "RESERVED_NAME_USED")
        if len(str(one.get("value"))) > LONGEST_VALUE:
            yield Fault("user_properties", f"{name} has a value that is too long", "FIELD_VALUE_TOO_LONG")


def _check_parameter(name: str, value: str) -> Iterator[Fault]:
    place = "additional_event_parameters"
    if name in RESERVED_PARAMETERS or name.startswith(RESERVED_PREFIXES):
        yield Fault(place, f"{name} is reserved", "RESERVED_NAME_USED")
    elif not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        yield Fault(place, f"{name} is no name of at most {LONGEST_NAME} characters", "INVALID_FORMAT")
    if name in {"currency", "value", "items", "transaction_id", "coupon"}:
        yield Fault(place, f"{name} has a field of its own", "")
    if len(value) > PAGE_TEXTS.get(name, 100):
        yield Fault(place, f"{name} is too long", "FIELD_VALUE_TOO_LONG")
    if name == "session_id" and not value.isdigit():
        yield Fault(place, "session_id is not made of digits", "")


def _snake(place: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", place)
