"""facebook: tells Meta's Conversions API who logged in, out or up, as events of a website or an app."""

import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from relay.agent.definition import Agent, BatchSpec
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, bounded, json_request, read_json
from relay.agent.privacy import Allowed, client_ip, count_withheld, scrub_emails, shareable_properties
from relay.agent.settings import BaseUrl, PrintableSecret, SettingsModel
from relay.agent.verdict import MAX_WAIT_SECONDS, Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.encoding import encode, sha256
from relay.errors import Skip
from relay.event.model import Device, Event
from relay.event.pii import contains_contact, reject_contact

# App Events' naming rule; the one for websites is unpublished, and this is the narrower (2025-08).
_NAME = r"^[0-9a-zA-Z_][0-9a-zA-Z _-]{0,39}$"
_IS_NAME = re.compile(_NAME).fullmatch
EventName = Annotated[str, StringConstraints(pattern=_NAME), AfterValidator(reject_contact)]


class EventNames(SettingsModel):
    """What events are called at Meta, which has no standard name for a login, a logout or an open."""

    login: EventName = "Login"
    logout: EventName = "Logout"
    open: EventName = "AppOpen"
    signup: EventName = "CompleteRegistration"


class Settings(AgentSettings):
    """A dataset and the system user's token for it; `test_event_code` marks events as tests, never in production.

    `ldu_country` and `ldu_state` go with Limited Data Use: 1 and 1000 for California, 0 lets Meta locate the person.
    """

    access_token: PrintableSecret
    dataset_id: str = Field(pattern=r"^\d+$")
    api_version: str = Field(default="v26.0", pattern=r"^v\d+\.\d+$")
    base_url: BaseUrl = "https://graph.facebook.com"
    test_event_code: str | None = None
    ldu_country: int = 0
    ldu_state: int = 0
    event_names: EventNames = EventNames()
    properties: Allowed = "all"


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the dataset's events edge.

    Raises:
        Skip: Meta has no use for the event, or could not match it to a person.
    """
    event = scrub_emails(event)
    name = _name(event, settings)
    user_data = _user_data(event)
    if any(user_data.keys() <= weak for weak in _WEAK):
        raise Skip("user_data too weak to match a person")
    told: dict[str, Any] = {
        "event_name": name,
        "event_time": int(event.occurred_at.timestamp()),
        "event_id": event.event_id,
        **_source(event),
        "user_data": user_data,
    }
    if event.consent.sale_opt_out:
        told["data_processing_options"] = ["LDU"]
        told["data_processing_options_country"] = settings.ldu_country
        told["data_processing_options_state"] = settings.ldu_state
    method = shareable_properties({"method": event.method}, "all") if event.method else {}
    custom = shareable_properties(event.properties, settings.properties) | method
    if custom:
        told["custom_data"] = custom
    body: dict[str, Any] = {"data": [told]}
    if settings.test_event_code:
        body["test_event_code"] = settings.test_event_code
    return [
        json_request(
            f"{settings.base_url}/{settings.api_version}/{settings.dataset_id}/events",
            body,
            # The token may also go into the query, where proxies and traces would keep it.
            {"authorization": SecretStr(f"Bearer {settings.access_token.get_secret_value()}")},
        )
    ]


def _name(event: Event, settings: Settings) -> str:
    # The settings' own names were looked at when they were read.
    name = event.name if event.type == "track" else getattr(settings.event_names, event.type, None)
    if name is None:
        raise Skip(f"no use for {event.type}")
    if event.type == "track" and (not _IS_NAME(name) or contains_contact(name)):
        raise Skip("event name not allowed by Meta")
    return str(name)


# Keys that match nobody when alone: error 100, subcode 2804050 (customer information parameters, 2026-01).
_WEAK = ({"client_user_agent"}, {"fn"}, {"ln"})


def _user_data(event: Event) -> dict[str, Any]:
    person = event.customer_id or event.anonymous_id
    hashed = {
        "em": event.email and event.email.strip().lower(),
        "ph": event.phone and event.phone.removeprefix("+"),
        "fn": event.traits.first_name and _letters(event.traits.first_name),
        "ln": event.traits.last_name and _letters(event.traits.last_name),
        "external_id": person,
    }
    plain = {
        # What is no address fails the whole request.
        "client_ip_address": client_ip(event.context.ip),
        "client_user_agent": event.context.user_agent,
        "madid": _advertising_id(event.device),
        "anon_id": event.ids.fb_anon_id,
        "fbp": _click_id(event.ids.fbp),
        "fbc": _click_id(event.ids.fbc),
    }
    return {key: [sha256(text)] for key, text in hashed.items() if text} | {
        key: text for key, text in plain.items() if text
    }


def _letters(name: str) -> str:
    """A name as Meta digests it: lower case, letters of any script, no blanks (as its parameter builder does)."""
    return "".join(letter for letter in name.lower() if unicodedata.category(letter)[0] in "LMN")


def _click_id(value: str | None) -> str | None:
    """A cookie of the form `fb.<0-2>.<milliseconds>.<value>`; a made-up fbp or fbc is worse than none."""
    parts = (value or "").split(".", 3)
    fits = len(parts) == 4 and parts[0] == "fb" and parts[1] in {"0", "1", "2"} and parts[2].isdigit() and parts[3]  # noqa: PLR2004
    return value if fits else None


_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _advertising_id(device: Device) -> str | None:
    value = device.advertising_id
    return value if value and _UUID.fullmatch(value) and _may_track(device) else None


def _may_track(device: Device) -> bool:
    """Whether the person lets this device be tracked: App Tracking Transparency on iOS, the ad setting elsewhere."""
    if device.advertising_id is not None and not device.advertising_id.strip("0-"):
        # All zeros are what a device gives in place of its advertising id when tracking is off.
        return False
    if device.att_status is not None:
        return device.att_status == "authorized"
    return device.ad_tracking is True


def _source(event: Event) -> dict[str, Any]:
    device, context = event.device, event.context
    if device.platform in {"ios", "android"} and device.os_version:
        return {"action_source": "app", "app_data": _app_data(event)}
    url = (context.url or "").split("?")[0].split("#")[0]
    if device.platform in {"web", None} and re.match(r"https?://[^/]", url) and context.user_agent:
        return {"action_source": "website", "event_source_url": url}
    return {"action_source": "other"}


def _app_data(event: Event) -> dict[str, Any]:
    device = event.device
    data: dict[str, Any] = {
        "advertiser_tracking_enabled": int(_may_track(device)),
        # Documented as required on one page and optional on another (2024-10, 2025-08); it is known here in any case.
        "application_tracking_enabled": 1,
        "extinfo": _extinfo(event),
    }
    if device.platform == "ios" and device.vendor_id:
        data["vendor_id"] = device.vendor_id
    return data


def _extinfo(event: Event) -> list[str]:
    """Exactly sixteen strings in Meta's order, empty where unknown."""
    device = event.device
    screen = device.screen
    version = device.app_version or ""
    known = [
        "i2" if device.platform == "ios" else "a2",
        device.app_id,
        version,
        f"{version} ({device.app_build})" if device.app_build else version,
        device.os_version,
        device.model,
        device.language and device.language.replace("-", "_"),
        _timezone_name(event),
        device.carrier,
        screen and screen.width,
        screen and screen.height,
        screen and screen.density,
        device.cpu_cores,
        device.storage_gb,
        device.free_storage_gb,
        device.timezone,
    ]
    return ["" if value is None else str(value) for value in known]


def _timezone_name(event: Event) -> str | None:
    try:
        return event.occurred_at.astimezone(ZoneInfo(event.device.timezone or "")).tzname()
    except (OSError, OverflowError, ValueError, ZoneInfoNotFoundError):
        # OSError: the name of a folder of zones, as "America" is.
        return None


_TRANSIENT = {1, 2, 341, 368, 5000, 21009}
_THROTTLED = {4, 17, 32, 613, *range(80000, 80015)}
_REFUSED = {3, 10, 102, 190, 2635, *range(200, 300)}
_PERMANENT = {34, 38, 100, 105, 506}
_NO_SUCH_DATASET = (100, 33)


def classify(response: Response, number: int = 1) -> Verdict:
    """Reads Meta's error code rather than the status, which is 400 for throttling and for an expired token alike.

    A request is taken as a whole or not at all, and `number` is how many events it told of.

    Source: Graph API error handling and Conversions API pages, 2026; code 190 has been seen under HTTP 500.
    """
    document = response.json()
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return _without_error(response, document, number)
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    reason = f"HTTP {response.status}, code {code}/{subcode}, trace {_trace(error)}"
    if code in _REFUSED or (code, subcode) == _NO_SUCH_DATASET:
        return Verdict(VerdictKind.UNAUTHORIZED, reason)
    if code in _THROTTLED:
        return Verdict(VerdictKind.RETRY, reason, _regain_seconds(response))
    if error.get("is_transient") is True or code in _TRANSIENT or code not in _PERMANENT:
        return Verdict(VerdictKind.RETRY, reason)
    return Verdict(VerdictKind.REJECTED, reason)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _trace(told: dict[str, Any]) -> str | None:
    """Meta's id of an exchange, for its support; what has not the form of one may quote the person, and is not kept."""
    trace = told.get("fbtrace_id")
    return trace if isinstance(trace, str) and re.fullmatch(r"A[A-Za-z0-9_-]{10,40}", trace) else None


def _without_error(response: Response, document: object, number: int) -> Verdict:
    if not response.ok:
        return by_status(response)
    if isinstance(document, dict) and document.get("events_received") == number:
        return Verdict(VerdictKind.DELIVERED, f"HTTP {response.status}, trace {_trace(document)}")
    return Verdict(VerdictKind.RETRY, f"HTTP {response.status} without events_received")


def _regain_seconds(response: Response) -> int | None:
    """The longest `estimated_time_to_regain_access` (minutes) of X-Business-Use-Case-Usage, in seconds."""
    try:
        usage = read_json(response.headers.get("x-business-use-case-usage", ""))
        minutes = [row["estimated_time_to_regain_access"] for rows in usage.values() for row in rows]
    except (AttributeError, KeyError, TypeError):
        return None
    waits = [wait for wait in (bounded(each, MAX_WAIT_SECONDS // 60) for each in minutes) if wait is not None]
    return 60 * max(waits) if waits else None


MOST_EVENTS = 1000
"""What one request may tell of (using the API, 2026)."""


def merge(requests: Sequence[Request]) -> Request:
    """One request of many: their events in one list."""
    if len(requests) == 1:
        return requests[0]
    bodies = [json.loads(request.body) for request in requests]
    events = [event for body in bodies for event in body["data"]]
    return requests[0]._replace(body=encode({**bodies[0], "data": events}))


AGENT = Agent(
    name="facebook",
    purpose="advertising",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    # One older event makes Meta refuse the request.
    max_age=timedelta(days=7),
    batching=BatchSpec(MOST_EVENTS, merge, classify),
    count_withheld=lambda event, settings: count_withheld(event.properties, settings.properties),
)
handler = lambda_handler(AGENT)
