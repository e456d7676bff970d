"""The body of a Measurement Protocol request: what Google's validation says to it, and what it overlooks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from local.sandbox.exchange import Json
from local.sandbox.formats import (
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

STRICT = "ENFORCE_RECOMMENDATIONS"
OLDEST_HOURS = 72
EVENTS = 25
PARAMETERS = 25
USER_PROPERTIES = 25
LONGEST_NAME = 40
PAGE_TEXTS = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
LONGEST_PROPERTY = 24
INSTANCE_DIGITS = 32

RESERVED_EVENTS = {
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_clear_data",
    "app_exception", "app_install", "app_remove", "app_store_refund", "app_update", "app_upgrade",
    "dynamic_link_app_open", "dynamic_link_app_update", "dynamic_link_first_open", "error", "firebase_campaign",
    "firebase_in_app_message_action", "firebase_in_app_message_dismiss", "firebase_in_app_message_impression",
    "first_open", "first_visit", "notification_dismiss", "notification_foreground", "notification_open",
    "notification_receive", "notification_send", "os_update", "session_start", "user_engagement",
}  # fmt: skip
APP_ONLY_EVENTS = {"ad_impression", "in_app_purchase", "screen_view"}
RESERVED_PARAMETERS = {"firebase_conversion", "user_id"}
RESERVED_PREFIXES = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED_PROPERTIES = {
    "first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install",
}  # fmt: skip
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
WEB_CLIENT = re.compile(r"[1-9]\d*\.[1-9]\d*", re.ASCII)

GRANT: dict[str, Check] = dict.fromkeys(("ad_user_data", "ad_personalization"), one_of("GRANTED", "DENIED"))
DEVICE: dict[str, Check] = {
    "category": text(),
    "language": text(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", form="a language code"),
    "screen_resolution": text(r"\d+x\d+", form="{width}x{height}"),
    "operating_system": text(),
    "operating_system_version": text(VERSION, form="an OS version"),
    **dict.fromkeys(("model", "brand", "browser", "browser_version"), text()),
}
LOCATION: dict[str, Check] = {
    "city": text(),
    "region_id": text(r"[A-Z]{2}-[A-Z0-9]{1,3}", form="a region such as US-CA"),
    "country_id": text(r"[A-Z]{2}", form="a country of two capitals"),
    **dict.fromkeys(("subcontinent_id", "continent_id"), text(r"\d{3}", form="an area of three digits")),
}
ADDRESS: dict[str, Check] = {
    **dict.fromkeys(("sha256_first_name", "sha256_last_name", "sha256_street"), digest),
    **dict.fromkeys(("city", "region", "postal_code", "country"), text()),
}
PERSON: dict[str, Check] = {
    "sha256_email_address": list_of(digest, longest=3),
    "sha256_phone_number": list_of(digest, longest=3),
    "address": list_of(within(ADDRESS), longest=2),
}
BODY: dict[str, Check] = {
    **dict.fromkeys(("client_id", "app_instance_id", "timestamp_micros", "user_properties", "events"), anything),
    **dict.fromkeys(("user_data", "consent", "user_location", "device"), anything),
    "user_id": text(longest=255),
    "ip_override": ip_address,
    "user_agent": text(),
    "validation_behavior": one_of("RELAXED", STRICT),
    "non_personalized_ads": lambda _: "is deprecated: consent.ad_personalization replaced it",
}
NESTED = {"consent": GRANT, "device": DEVICE, "user_location": LOCATION, "user_data": PERSON}


@dataclass(frozen=True)
class Message:
    """One thing that is wrong; the code is Google's, or empty for what its validation does not look at."""

    path: str
    description: str
    code: str = ""
    enforced: bool = False

    def display(self) -> dict[str, str]:
        """Give the form that /debug answers with."""
        return {"fieldPath": self.path, "description": self.description, "validationCode": self.code}


def check_body(body: dict[str, Json], now: float, *, web: bool, debug: bool) -> Iterator[Message]:
    """Yield what is wrong with a body that came at `now` (Unix seconds) for a web or an app stream."""
    for where, wrong in misfits(body, "", BODY):
        yield Message(where, f"{where} {wrong}", "VALUE_INVALID")
    if "validation_behavior" in body and not debug:
        yield Message("validation_behavior", "validation_behavior is for tests only")
    yield from _check_instance(body, web=web, strict=debug and body.get("validation_behavior") == STRICT)
    if "timestamp_micros" in body:
        yield from _check_time(body["timestamp_micros"], now)
    for name, table in NESTED.items():
        if name in body:
            for where, wrong in misfits(body[name], name, table):
                yield Message(where, f"{where} {wrong}", "VALUE_INVALID")
    yield from _check_properties(body.get("user_properties", {}))
    yield from _check_events(body.get("events"), web=web)
    for fault in personal_data({key: body[key] for key in body if key != "user_agent"}, "body"):
        where, _, wrong = fault.partition(": ")
        yield Message(where, wrong)


def _check_instance(body: dict[str, Json], *, web: bool, strict: bool) -> Iterator[Message]:
    needed, foreign = ("client_id", "app_instance_id") if web else ("app_instance_id", "client_id")
    value = body.get(needed)
    if foreign in body:
        yield Message(foreign, f"{foreign} does not belong to this stream.", "VALUE_INVALID")
    if value is None or value == "":
        article = "a" if web else "an"
        yield Message(needed, f"Measurement requires {article} {needed}.", "VALUE_REQUIRED")
    elif not isinstance(value, str) or not value.strip():
        yield Message(needed, f"{needed} is not a string", "VALUE_INVALID")
    elif web and strict and not WEB_CLIENT.fullmatch(value):
        # Relaxed validation takes every string: a user of its own, whom nothing ties to the browser.
        yield Message(
            needed, f"Measurement client_id [{value}] should be in <number>.<number> format.", "VALUE_INVALID"
        )
    elif web and (wrong := text()(value)):
        yield Message(needed, f"{needed} {wrong}")
    elif not web and (strange := re.search(r"[^0-9a-fA-F]", value)):
        text_of_fault = f"Measurement app_instance_id contains non hexadecimal character [{strange[0]}]."
        yield Message(needed, text_of_fault, "VALUE_INVALID")
    elif not web and len(value) != INSTANCE_DIGITS:
        text_of_fault = (
            f"Measurement app_instance_id is expected to be a {INSTANCE_DIGITS} digit hexadecimal number "
            f"but was [{len(value)}] digits."
        )
        yield Message(needed, text_of_fault, "VALUE_INVALID")


def _check_time(value: Json, now: float) -> Iterator[Message]:
    path = "timestamp_micros"
    if whole_number(1, 2**63)(value):
        yield Message(path, "timestamp_micros is not an integer of microseconds", "VALUE_INVALID")
    elif value / 1e6 < now - OLDEST_HOURS * 3600:
        # Relaxed validation moves it to the limit without a word.
        text_of_fault = f"timestamp_micros is more than {OLDEST_HOURS} hours old, or not in microseconds"
        yield Message(path, text_of_fault, "VALUE_INVALID", enforced=True)
    elif value / 1e6 > now + 60:
        yield Message(path, "timestamp_micros is in the future", "VALUE_INVALID", enforced=True)


def _check_properties(properties: Json) -> Iterator[Message]:
    if not isinstance(properties, dict):
        yield Message("user_properties", "user_properties is not an object", "VALUE_INVALID")
        return
    if len(properties) > USER_PROPERTIES:
        yield Message("user_properties", f"more than {USER_PROPERTIES} user properties", "EXCEEDED_MAX_ENTITIES")
    for name, held in properties.items():
        path = f"user_properties.{name}"
        if name in RESERVED_PROPERTIES or name.startswith(RESERVED_PREFIXES):
            yield Message(path, f"{name} is reserved", "NAME_RESERVED")
        if not NAME.fullmatch(name) or len(name) > LONGEST_PROPERTY:
            yield Message(path, f"{name} is not a name of at most {LONGEST_PROPERTY} characters", "NAME_INVALID")
        for where, wrong in misfits(held, path, PROPERTY, ("value",)):
            yield Message(where, f"{where} {wrong}", "VALUE_INVALID")


def _check_events(events: Json, *, web: bool) -> Iterator[Message]:
    if not isinstance(events, list) or not events:
        yield Message("events", "Measurement requires a list of events.", "VALUE_REQUIRED")
        return
    if len(events) > EVENTS:
        yield Message("events", f"{len(events)} events, more than {EVENTS}", "EXCEEDED_MAX_ENTITIES")
    for at, event in enumerate(events):
        where = f"events[{at}]"
        if not isinstance(event, dict):
            yield Message(where, f"{where} is not an object", "VALUE_INVALID")
            continue
        for unknown in sorted(set(event) - {"name", "params"}):
            hint = ": set it for the whole request" if unknown == "timestamp_micros" else ""
            yield Message(f"{where}.{unknown}", f"{unknown} is not a field of an event{hint}", "VALUE_INVALID")
        yield from _check_name(event.get("name"), at, web=web)
        yield from _check_parameters(event.get("params", {}), where)


def _check_name(name: Json, at: int, *, web: bool) -> Iterator[Message]:
    intro = f"Event at index: [{at}] has invalid name [{name}]."
    if not isinstance(name, str) or not name:
        yield Message("events", f"Event at index: [{at}] has no name.", "VALUE_REQUIRED")
    elif not name[0].isascii() or not name[0].isalpha():
        yield Message("events", f"{intro} Names must start with an alphabetic character.", "NAME_INVALID")
    elif not NAME.fullmatch(name):
        yield Message("events", f"{intro} Names must be letters, digits and underscores.", "NAME_INVALID")
    elif len(name) > LONGEST_NAME:
        yield Message("events", f"{intro} Names have at most {LONGEST_NAME} characters.", "NAME_INVALID")
    elif name in RESERVED_EVENTS or (web and name in APP_ONLY_EVENTS):
        yield Message("events", f"{intro} The name is reserved.", "NAME_RESERVED")


def _check_parameters(parameters: Json, where: str) -> Iterator[Message]:
    if not isinstance(parameters, dict):
        yield Message(f"{where}.params", f"{where}.params is not an object", "VALUE_INVALID")
        return
    if len(parameters) > PARAMETERS:
        yield Message(f"{where}.params", f"more than {PARAMETERS} parameters", "EXCEEDED_MAX_ENTITIES")
    for at, wrong in _unread(parameters):
        yield Message(f"{where}.params.{at}", f"{at} {wrong}")
    for name, value in parameters.items():
        path = f"{where}.params.{name}"
        if name in RESERVED_PARAMETERS or name.startswith(RESERVED_PREFIXES):
            yield Message(path, f"{name} is reserved", "NAME_RESERVED")
        elif not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            yield Message(path, f"{name} is not a name of at most {LONGEST_NAME} characters", "NAME_INVALID")
        if wrong := SPECIAL.get(name, parameter)(value):
            yield Message(path, f"{name} {wrong}", "VALUE_INVALID")


def _unread(parameters: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield what Google takes without a word and does not count."""
    if not parameters.get("engagement_time_msec"):
        # Real libraries send 0.
        yield "engagement_time_msec", "is missing or 0: nobody counts as active"
    if "value" in parameters and "currency" not in parameters:
        yield "value", "has no currency: it counts in no revenue"
    if isinstance(parameters.get("value"), str):
        yield "value", "is a text: it counts in no revenue"
    if "currency" in parameters and not re.fullmatch("[A-Z]{3}", str(parameters["currency"])):
        yield "currency", "is not an ISO 4217 code"
    items = parameters.get("items")
    for at, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict) and not ("item_id" in item or "item_name" in item):
            yield f"items[{at}]", "has neither item_id nor item_name"


def scalar(longest: int) -> Check:
    """Require a string up to a length, or a number; null, booleans, lists and objects are not allowed."""

    def check(value: Json) -> str:
        if isinstance(value, str):
            return f"has more than {longest} characters" if len(value) > longest else ""
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "is no string and no number"

    return check


def session(value: Json) -> str:
    """Require digits, as text or as a number."""
    shown = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return "" if re.fullmatch(r"\d+", shown, re.ASCII) else "is not made of digits"


parameter = scalar(100)
PROPERTY: dict[str, Check] = {"value": scalar(36), "timestamp_micros": whole_number(1)}
SPECIAL: dict[str, Check] = {
    "session_id": session,
    "engagement_time_msec": whole_number(0),
    **{name: scalar(longest) for name, longest in PAGE_TEXTS.items()},
    "debug_mode": lambda value: "" if value is True or value == 1 else "is neither 1 nor true",
    "items": list_of(lambda value: "" if isinstance(value, dict) else "is not an object", longest=200),
}
