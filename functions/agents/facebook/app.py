"""facebook: sends Meta's Conversions API who logged in, out or up, as events of a website or an app."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from relay.agent.definition import Agent, BatchSpec
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, bounded, json_request, read_json
from relay.agent.once import once
from relay.agent.privacy import (
    Allowed,
    NotPhones,
    are_flat,
    client_ip,
    count_withheld,
    scrub_emails,
    shareable_properties,
)
from relay.agent.profile import digest, fact
from relay.agent.settings import BaseUrl, PrintableSecret, SettingsModel
from relay.agent.verdict import MAX_WAIT_SECONDS, Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.encoding import encode, sha256
from relay.errors import Skip
from relay.event.model import Device, Event, PropertyValue
from relay.event.pii import contains_contact, is_personal_data, reject_contact

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
    `external_id` says what is digested: the id as it is, or as Meta's parameter builder: lower case, no blanks.
    """

    access_token: PrintableSecret
    dataset_id: str = Field(pattern=r"^[0-9]+$")
    api_version: str = Field(default="v26.0", pattern=r"^v[0-9]+\.[0-9]+$")
    base_url: BaseUrl = "https://graph.facebook.com"
    test_event_code: str | None = None
    ldu_country: int = 0
    ldu_state: int = 0
    event_names: EventNames = EventNames()
    external_id: Literal["as_it_is", "parameter_builder"] = "as_it_is"
    properties: Allowed = "all"
    not_phone_numbers: NotPhones = Field(default_factory=list)


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the dataset's events edge.

    Raises:
        Skip: Meta has no use for the event, or could not match it to a person.
    """
    return [_made(event, settings)[0]]


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """What the request leaves out of the event."""
    return _made(event, settings)[1]


@once
def _made(event: Event, settings: Settings) -> tuple[Request, tuple[str, ...]]:
    event = scrub_emails(event)
    name = _name(event, settings)
    place = _place(event)
    user_data = _user_data(event, settings, place)
    if any(user_data.keys() <= weak for weak in _WEAK):
        raise Skip("user_data too weak to match a person")
    fields: dict[str, Any] = {
        "event_name": name,
        "event_time": int(event.occurred_at.timestamp()),
        "event_id": event.event_id,
        **_source(event),
        "user_data": user_data,
    }
    if event.consent.sale_opt_out:
        fields["data_processing_options"] = ["LDU"]
        fields["data_processing_options_country"] = settings.ldu_country
        fields["data_processing_options_state"] = settings.ldu_state
    custom, lost = _custom_data(event, settings)
    if custom:
        fields["custom_data"] = custom
    body: dict[str, Any] = {"data": [fields]}
    if settings.test_event_code:
        body["test_event_code"] = settings.test_event_code
    request = json_request(
        f"{settings.base_url}/{settings.api_version}/{settings.dataset_id}/events",
        body,
        # The token may also go into the query, where proxies and traces would keep it.
        {"authorization": SecretStr(f"Bearer {settings.access_token.get_secret_value()}")},
    )
    return request, (*_lost(event, user_data, place), *lost)


def _name(event: Event, settings: Settings) -> str:
    # The settings' own names were looked at when they were read.
    name = event.name if event.type == "track" else getattr(settings.event_names, event.type, None)
    if name is None:
        raise Skip(f"no use for {event.type}")
    if event.type == "track" and (not _IS_NAME(name) or contains_contact(name)):
        raise Skip("event name not allowed by Meta")
    return str(name)


# Keys that match nobody by themselves: error 100, subcode 2804050 (customer information parameters, 2026-01).
_WEAK = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)


def _user_data(event: Event, settings: Settings, place: Mapping[str, str]) -> dict[str, Any]:
    traits, moment = event.traits, event.occurred_at
    first, last = traits.first_name or "", traits.last_name or ""
    hashed = {
        "em": digest(event.email, event.email.strip().lower()) if event.email else event.email_sha256,
        "ph": event.phone and digest(event.phone, event.phone.removeprefix("+")),
        "fn": digest(first, _letters(first)),
        "ln": digest(last, _letters(last)),
        **{key: sha256(normal) if normal else "" for key, normal in place.items()},
        "external_id": _external_id(event, settings),
    }
    plain = {
        # What is no address fails the whole request.
        "client_ip_address": client_ip(event.context.ip),
        "client_user_agent": event.context.user_agent,
        "madid": _advertising_id(event.device),
        "anon_id": event.ids.fb_anon_id,
        "fbp": _cookie(event.ids.fbp, _BROWSER_ID, moment),
        "fbc": _cookie(event.ids.fbc, _CLICK_ID, moment),
    }
    return {key: [text] for key, text in hashed.items() if text} | {key: text for key, text in plain.items() if text}


def _external_id(event: Event, settings: Settings) -> str:
    person = event.customer_id or event.anonymous_id or ""
    if settings.external_id == "parameter_builder":
        person = "".join(person.lower().split())
        return digest(person, person)
    return sha256(person) if person else ""


def _place(event: Event) -> dict[str, str]:
    """City, state, zip, country, birthday and gender as Meta digests them (customer information parameters, 2026)."""
    if not event.traits.others:
        return {}
    traits, country = event.traits, _country(event)
    return {
        "ct": _letters(fact(traits, "city")),
        "st": _letters(fact(traits, "state")),
        "zp": _zip(fact(traits, "zip"), country),
        "country": country,
        "db": _birthday(fact(traits, "birthday")),
        "ge": {"f": "f", "female": "f", "m": "m", "male": "m"}.get(fact(traits, "gender").lower(), ""),
    }


def _letters(name: str) -> str:
    """A name as Meta's text has it: lower case, letters of any script, no blanks, no punctuation of any script.

    Composed, since macOS writes an accent as a sign of its own, and a person must not have two digests.
    """
    kept = "".join(letter for letter in name.lower() if unicodedata.category(letter)[0] in "LMN")
    return unicodedata.normalize("NFC", kept)


def _country(event: Event) -> str:
    """ISO 3166-1, two letters."""
    code = fact(event.traits, "country").lower()
    return code if re.fullmatch("[a-z]{2}", code) else ""


def _zip(code: str, country: str) -> str:
    """Lower case without blanks, and what stands before a dash, as Meta's libraries have it; five digits in the US."""
    bare = "".join(code.lower().partition("-")[0].split())
    return bare[:5] if country == "us" else bare


def _birthday(text: str) -> str:
    """`19970216` from ISO 8601; whether 2/3/1997 is in February or in March nobody can tell."""
    found = re.match(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:T|$)", text)
    try:
        return date(*map(int, found.groups())).strftime("%Y%m%d") if found else ""
    except ValueError:
        return ""


# fb.<subdomain index>.<milliseconds>.<value>, and since 2025 the parameter builder's appendix of two or eight signs.
_BROWSER_ID = re.compile(r"fb\.[0-9]\.([0-9]{13})\.([0-9]+)(?:\.(?:[A-Za-z0-9_-]{2}|[A-Za-z0-9_-]{8}))?")
_CLICK_ID = re.compile(r"fb\.[0-9]\.([0-9]{13})\.([^\s.]+)(?:\.(?:[A-Za-z0-9_-]{2}|[A-Za-z0-9_-]{8}))?")
_FIRST_COOKIE = datetime.fromisoformat("2010-01-01T00:00:00Z").timestamp() * 1000
_NO_VALUE = {"null", "undefined", "none", "nil", "nan", "unknown", "true", "false", "fbclid", "test"}


def _cookie(value: str | None, form: re.Pattern[str], moment: datetime) -> str | None:
    """A cookie of Meta's form whose time can be; a made-up fbp or fbc is worse than none."""
    found = form.fullmatch(value or "")
    if not found or found[2].lower() in _NO_VALUE or not found[2].strip("0"):
        return None
    latest = (moment + timedelta(days=1)).timestamp() * 1000
    return value if _FIRST_COOKIE <= int(found[1]) <= latest else None


def _custom_data(event: Event, settings: Settings) -> tuple[dict[str, PropertyValue], list[str]]:
    """The properties and the method, a shop's items as `contents`, and what was left out."""
    given = shareable_properties(event.properties, settings.properties, settings.not_phone_numbers)
    may_go = event.method and not is_personal_data("method", event.method)
    method: dict[str, PropertyValue] = {"method": event.method} if event.method and may_go else {}
    if are_flat(given):
        return given | method, []
    goods = _goods(given)
    plain = {name: value for name, value in given.items() if not isinstance(value, list | dict)}
    left_out = given.keys() - plain.keys() - goods.keys() - ({"items"} if goods else set())
    remark = ["lists and objects other than contents, content_ids and items are left out"] if left_out else []
    return plain | goods | method, remark


# What Meta reads of one of contents (custom data parameters, 2026-01), and the names that Google's items have for it.
_CONTENT = {
    "id": ("id", "item_id"),
    "quantity": ("quantity",),
    "item_price": ("item_price", "price"),
    "title": ("title", "item_name"),
    "brand": ("brand", "item_brand"),
    "category": ("category", "item_category"),
    "delivery_category": ("delivery_category",),
}


def _goods(given: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    """`contents` of the property of that name, else of `items`, and `content_ids`, else the ids of the contents."""
    listed = given.get("contents", given.get("items"))
    contents = [_content(one) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    contents = [one for one in contents if "id" in one]
    named = given.get("content_ids")
    ids = [str(one) for one in named if _is_id(one)] if isinstance(named, list) else [one["id"] for one in contents]
    known: dict[str, PropertyValue] = {"contents": contents, "content_ids": ids}
    return {name: value for name, value in known.items() if value}


def _content(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name: next((given[one] for one in spellings if isinstance(given.get(one), str | int | float)), None)
        for name, spellings in _CONTENT.items()
    }
    known = {name: value for name, value in found.items() if value is not None}
    return known | ({"id": str(known["id"])} if _is_id(known.get("id")) else {})


def _is_id(value: object) -> bool:
    return isinstance(value, str) or type(value) is int


def _lost(event: Event, user_data: Mapping[str, Any], place: Mapping[str, str]) -> Iterator[str]:
    """What `user_data` leaves out of the event."""
    if event.phone_sha256 and not event.phone:
        yield "phoneSha256 is left out: Meta digests the number without its plus sign"
    if event.traits.others:
        for name, key, reason in _FORMS:
            if not place[key] and fact(event.traits, name):
                yield f"{name} is left out: {reason}"
    for name in ("fbp", "fbc"):
        if getattr(event.ids, name) and name not in user_data:
            yield f"{name} is left out: Meta's cookie has another form"


_FORMS = (
    ("country", "country", "it has no two letters of ISO 3166-1"),
    ("birthday", "db", "it is no day of ISO 8601"),
    ("gender", "ge", "Meta knows f and m"),
)


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

    A request is taken as a whole or not at all, and `number` is how many events it held.

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
    if error.get("is_transient") is True or code in _TRANSIENT:
        return Verdict(VerdictKind.RETRY, reason)
    # A code that is not known may be about one event of many: each half goes again, and the last one is retried.
    is_halved = number > 1 and response.status < 500  # noqa: PLR2004
    return Verdict(VerdictKind.REJECTED if code in _PERMANENT or is_halved else VerdictKind.RETRY, reason)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _trace(document: dict[str, Any]) -> str | None:
    """Meta's id of an exchange, for its support; what has not the form of one may quote the person, and is not kept."""
    trace = document.get("fbtrace_id")
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
    count_withheld=lambda event, settings: count_withheld(
        event.properties, settings.properties, settings.not_phone_numbers
    ),
    remarks=remarks,
)
handler = lambda_handler(AGENT)
