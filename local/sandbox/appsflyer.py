"""AppsFlyer as the sandbox plays it: server-to-server in-app events, one at a time, in plain-text answers."""

import ipaddress
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime

from local.sandbox.exchange import (
    KEPT,
    Answer,
    Findings,
    Json,
    Judgement,
    Request,
    Settings,
    misdirected,
    transport_faults,
)
from local.sandbox.formats import (
    UUID,
    VERSION,
    Check,
    digest,
    identifier,
    list_of,
    misfits,
    one_of,
    personal_data,
    text,
    true_or_false,
    whole_number,
    within,
)

LARGEST_BODY = 1024
LONGEST_PARAMETER = 1000
AUTHORISED = 3
PATH = re.compile(r"/inappevent/([^/]+)")
EVENT_TIME = "%Y-%m-%d %H:%M:%S.%f"
PREDEFINED = {
    "af_achievement_unlocked", "af_ad_click", "af_ad_view", "af_add_payment_info", "af_add_to_cart",
    "af_add_to_wishlist", "af_complete_registration", "af_content_view", "af_initiated_checkout", "af_invite",
    "af_level_achieved", "af_list_view", "af_location_changed", "af_login", "af_opened_from_push_notification",
    "af_purchase", "af_rate", "af_re_engage", "af_search", "af_share", "af_spent_credits", "af_start_trial",
    "af_subscribe", "af_travel_booking", "af_tutorial_completion", "af_update",
}  # fmt: skip

UNNOTICED = "the vendor answers 200 and records nothing"


def ip_version_4(value: Json) -> str:
    """Require an IPv4 address; AppsFlyer's pattern admits no other, and 0.0.0.0 is a placeholder."""
    try:
        address = ipaddress.IPv4Address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    return "is not an IPv4 address" if address is None or address.is_unspecified else ""


def upper_case_identifier(value: Json) -> str:
    """Require a UUID in upper case, as Apple's ids are."""
    return identifier(value) or ("is not upper case" if value != value.upper() else "")


def sharing_filter(value: Json) -> str:
    """Require "all" or a list of partner ids."""
    return "" if value == "all" else list_of(text())(value)


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
        if isinstance(member, dict | list) or member is None:
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
    # A person outside the GDPR is told by gdpr_applies alone.
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


class AppsFlyer:
    """Takes in-app events for one Android and one iOS app."""

    name = "appsflyer"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events."""
        self.settings = settings
        self._events: deque[dict[str, Json]] = deque(maxlen=KEPT)

    def judge(self, request: Request, now: float) -> Judgement:
        """Check one in-app event."""
        match = PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return misdirected(request)
        app_id = match[1]
        findings = Findings()
        self._check_caller(request, app_id, findings)
        findings.note(*transport_faults(request))
        event = _parse(request, findings)
        if event is not None:
            ios = app_id.removeprefix("id").isdigit()
            findings.note(*_unnoticed(event, now, ios=ios))
            for where, wrong in misfits({k: event[k] for k in event if k in REFUSED}, "", REFUSED):
                findings.refuse(f"{where} {wrong}", Answer.text(400, "Bad request"))
        return findings.judgement(lambda: self._record(event or {}, app_id))

    def state(self) -> dict[str, Json]:
        """Show the events that were recorded."""
        names = Counter(event["eventName"] for event in self._events)
        return {"count": len(self._events), "byName": dict(names), "events": list(self._events)}

    def forget(self) -> None:
        """Lose the events."""
        self._events.clear()

    def _check_caller(self, request: Request, app_id: str, findings: Findings) -> None:
        key = request.headers.get("authentication")
        if "authorization" in request.headers:
            findings.note("authorization: AppsFlyer reads its key from the header authentication")
        if request.query:
            findings.note(f"the query has {', '.join(request.query)}: this endpoint takes none")
        if not key:
            findings.refuse("authentication: the header is missing", Answer.text(400, "Failed to Authenticate"))
        elif self.settings and key != self.settings.get("s2s_key"):
            findings.refuse("authentication: not this app's S2S key", Answer.text(401, "Unauthorized"))
        if app_id.isdigit():
            findings.note(f"path: the iOS app id {app_id} has no leading id; {UNNOTICED}")
        elif self.settings and app_id not in self._app_ids():
            findings.refuse(f"path: the key belongs to another app than {app_id}", Answer.text(400, "app_id mismatch"))

    def _app_ids(self) -> list[Json]:
        return [self.settings.get("android_app_id"), self.settings.get("ios_app_id")]

    def _record(self, event: dict[str, Json], app_id: str) -> Answer:
        if not app_id.isdigit():
            value = event.get("eventValue")
            parameters = json.loads(value) if value and not json_as_text(value) else {}
            self._events.append(
                {
                    "eventName": str(event["eventName"]),
                    "appId": app_id,
                    "customerUserId": event.get("customer_user_id"),
                    "appsflyerId": event.get("appsflyer_id"),
                    "eventId": parameters.get("event_id"),
                }
            )
        return Answer.text(200, "OK")


def _parse(request: Request, findings: Findings) -> dict[str, Json] | None:
    unreadable = Answer.text(400, "Payload is missing or failed to parse")
    if len(request.body) > LARGEST_BODY:
        findings.refuse(f"body: {len(request.body)} bytes, more than {LARGEST_BODY}", Answer.text(400, "Bad request"))
    try:
        event = request.json()
    except ValueError as error:
        findings.refuse(f"body: not JSON: {error}", unreadable)
        return None
    if not isinstance(event, dict):
        findings.refuse("body: not one JSON object, and events cannot be batched", unreadable)
        return None
    if not event.get("appsflyer_id"):
        findings.refuse("appsflyer_id is missing", Answer.text(400, "appsflyer_id is a mandatory field"))
    if not isinstance(event.get("eventName"), str) or not event["eventName"].strip():
        findings.refuse("eventName is missing or no text", Answer.text(400, "Bad request"))
    return event


def _unnoticed(event: dict[str, Json], now: float, *, ios: bool) -> Iterator[str]:
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
