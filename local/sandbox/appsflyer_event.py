"""An in-app event of AppsFlyer: what the vendor refuses in it, and what it swallows."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from local.sandbox.exchange import Json
from local.sandbox.formats import (
    UUID,
    VERSION,
    Check,
    digest,
    identifier,
    ip_address,
    list_of,
    misfits,
    one_of,
    personal_data,
    text,
    true_or_false,
    whole_number,
    within,
)

LONGEST_PARAMETER = 1000
AUTHORISED = 3
EVENT_TIME = "%Y-%m-%d %H:%M:%S.%f"
PREDEFINED = {
    "af_achievement_unlocked", "af_ad_click", "af_ad_view", "af_add_payment_info", "af_add_to_cart",
    "af_add_to_wishlist", "af_complete_registration", "af_content_view", "af_initiated_checkout", "af_invite",
    "af_level_achieved", "af_list_view", "af_location_changed", "af_login", "af_opened_from_push_notification",
    "af_purchase", "af_rate", "af_re_engage", "af_search", "af_share", "af_spent_credits", "af_start_trial",
    "af_subscribe", "af_travel_booking", "af_tutorial_completion", "af_update",
}  # fmt: skip


def ip_version_4(value: Json) -> str:
    """Require an IPv4 address; AppsFlyer's pattern admits no other, and 0.0.0.0 is a placeholder."""
    return "is not an IPv4 address" if ip_address(value) or ":" in value else ""


def upper_case_identifier(value: Json) -> str:
    """Require a UUID in upper case, as Apple's ids are."""
    return identifier(value) or ("is not upper case" if value != value.upper() else "")


def sharing_filter(value: Json) -> str:
    """Require "all" or a list of partner ids."""
    return "" if value == "all" else list_of(text())(value)


def _holds_objects(member: Json) -> bool:
    return isinstance(member, dict) or (
        isinstance(member, list) and any(isinstance(one, dict | list) for one in member)
    )


def json_as_text(value: Json) -> str:
    """Require an empty string, or a flat JSON object serialised into a string."""
    if not isinstance(value, str):
        return "is not a string that holds JSON: the vendor does not see the parameters"
    if not value:
        return ""
    try:
        inner = json.loads(value)
    except (ValueError, RecursionError):
        inner = None
    if not isinstance(inner, dict):
        return "is not a JSON object in a string"
    for name, member in inner.items():
        if _holds_objects(member) or member is None:
            return f"is not flat at {name}"
        if isinstance(member, str) and len(member) > LONGEST_PARAMETER:
            return f"has more than {LONGEST_PARAMETER} characters at {name}: the vendor may cut it"
    return ""


def consent_data(value: Json) -> str:
    """Require exactly one of the two shapes of consent, each with its own types."""
    if not isinstance(value, dict) or len(value) != 1 or set(value) - {"tcf", "manual"}:
        return "does not hold exactly one of tcf and manual"
    [(kind, consent)] = value.items()
    table = TCF if kind == "tcf" else MANUAL
    # For a person outside the GDPR, gdpr_applies is enough.
    outside = kind == "manual" and isinstance(consent, dict) and consent.get("gdpr_applies") is False
    required = {"gdpr_applies"} if outside else set(table)
    found = [f"{where} {wrong}" for where, wrong in misfits(consent, kind, table, sorted(required))]
    if outside and set(consent) != {"gdpr_applies"}:
        found.append("manual has more than gdpr_applies though it is false")
    return "; ".join(found)


TCF: dict[str, Check] = {
    "policy_version": whole_number(0),
    "gdpr_applies": whole_number(-1, 1),
    "cmp_sdk_id": whole_number(0),
    "cmp_sdk_version": whole_number(0),
    "tcstring": text(),
}
MANUAL: dict[str, Check] = dict.fromkeys(
    ("gdpr_applies", "ad_user_data_enabled", "ad_personalization_enabled"), true_or_false
)
APP_SET: dict[str, Check] = {"scope": one_of(1, 2), "id": text(UUID, form="a UUID")}

# What the vendor's validation refuses with 400; the type errors of the rest pass unnoticed.
REFUSED: dict[str, Check] = {
    "appsflyer_id": text(r"\d{13}-\d+", form="an AppsFlyer id"),
    "advertising_id": identifier,
    "oaid": identifier,
    "amazon_aid": identifier,
    "idfa": upper_case_identifier,
    "idfv": upper_case_identifier,
    "att": whole_number(0, 3),
    "aie": true_or_false,
    "consent_data": consent_data,
    "sharing_filter": sharing_filter,
    "eventCurrency": text(r"[A-Z]{3}", form="an ISO 4217 code"),
    "app_type": one_of("app_clip"),
    "app_set_id": within(APP_SET, APP_SET),
}
UNNOTICED_FIELDS: dict[str, Check] = {
    "eventName": text(longest=100),
    "eventValue": json_as_text,
    "eventTime": text(),
    "customer_user_id": text(longest=64),
    "os": text(VERSION, form="an OS version"),
    "bundleIdentifier": text(),
    "app_version_name": text(),
    "app_store": text(),
    "ip": ip_version_4,
    "ua": text(),
    "imei": text(r"\d{14,16}", form="an IMEI"),
    "custom_data": json_as_text,
    "email_hashed": digest,
    "phone_number_hashed": digest,
    "phone_number_e164_hashed": digest,
    "first_name_hashed": digest,
    "last_name_hashed": digest,
    "fb_login_id": text(r"\d+", form="a numeric string"),
}
ANDROID_ONLY = {"advertising_id", "oaid", "amazon_aid", "imei", "app_set_id", "app_store"}
IOS_ONLY = {"idfa", "idfv", "att"}


def refused(event: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield every place in an event that the vendor refuses, and what is wrong there."""
    yield from misfits({key: event[key] for key in event if key in REFUSED}, "", REFUSED)


def swallowed(event: dict[str, Json], now: float, *, ios: bool) -> Iterator[str]:
    """Yield what the vendor takes without a word and should never have been sent, as of `now` (Unix seconds)."""
    known = UNNOTICED_FIELDS | dict.fromkeys(REFUSED, lambda _: "")
    for where, wrong in misfits(event, "", known, ("eventValue",)):
        yield f"{where} {wrong}"
    name = event.get("eventName")
    if isinstance(name, str) and name.lower().startswith("af_") and name not in PREDEFINED:
        yield f"eventName {name}: names of one's own must not begin with af_"
    yield from _time_faults(event.get("eventTime"), now)
    for field in sorted((ANDROID_ONLY if ios else IOS_ONLY) & set(event)):
        yield f"{field} does not belong to {'an iOS' if ios else 'an Android'} app"
    if event.get("aie") is False and "advertising_id" in event:
        yield "advertising_id is sent though aie is false"
    if event.get("att", AUTHORISED) != AUTHORISED and "idfa" in event:
        yield f"idfa is sent though att is not {AUTHORISED}"
    yield from personal_data({key: event[key] for key in event if key != "ua"}, "body")


def _time_faults(value: Json, now: float) -> Iterator[str]:
    if not isinstance(value, str):
        return
    try:
        well_formed = re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", value, re.ASCII)
        occurred = datetime.strptime(value, EVENT_TIME).replace(tzinfo=UTC) if well_formed else None
    except ValueError:
        occurred = None
    if occurred is None:
        yield f"eventTime {value} is not UTC in the form yyyy-MM-dd HH:mm:ss.SSS"
    elif occurred.timestamp() > now + 1:
        yield f"eventTime {value} is in the future"
