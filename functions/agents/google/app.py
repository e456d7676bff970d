"""google: sends Google Analytics 4's Measurement Protocol what happened on a website's stream or an app's."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, Value, json_request
from relay.agent.privacy import Allowed, NotPhones, client_ip, count_withheld, scrub_emails, shareable_properties
from relay.agent.profile import digest, fact
from relay.agent.settings import BaseUrl, PrintableSecret, SettingsModel
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.errors import Skip
from relay.event.model import Consent, Device, Event, PropertyValue
from relay.event.pii import contains_contact, contains_email, reject_contact

MAX_NAME = 40
MAX_PARAMS = 25
MAX_TEXT = 100
"""Characters of a parameter's text; what is longer Google cuts or drops (sending events, 2026)."""

PAGE_TEXTS = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
"""Characters of a page's parameters (support.google.com/analytics/answer/9267744, Event collection limits, 2026)."""

MAX_ITEMS = 200
MAX_ITEM_PARAMS = 27
"""What one event and one item hold: recommended events and event collection limits (2026)."""

MAX_PROPERTY_NAME, MAX_PROPERTY_TEXT = 24, 36
"""Characters of a user property's name and value (event collection limits, 2026)."""

APPS = {"ios", "android"}

# Measurement Protocol reference, 2026; Google answers 204 to these and records nothing.
_RESERVED_EVENTS = {
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_clear_data",
    "app_exception", "app_install", "app_remove", "app_store_refund", "app_update", "app_upgrade",
    "dynamic_link_app_open", "dynamic_link_app_update", "dynamic_link_first_open", "error", "firebase_campaign",
    "firebase_in_app_message_action", "firebase_in_app_message_dismiss", "firebase_in_app_message_impression",
    "first_open", "first_visit", "notification_dismiss", "notification_foreground", "notification_open",
    "notification_receive", "notification_send", "os_update", "session_start", "user_engagement",
}  # fmt: skip
_APP_STREAM_EVENTS = {"ad_impression", "in_app_purchase", "screen_view"}
# The two other reserved beginnings, "_" and "gtag.", do not fit the pattern of a name in any case.
_RESERVED_PREFIXES = ("firebase_", "ga_", "google_")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and len(name) <= MAX_NAME and not name.startswith(_RESERVED_PREFIXES)


def _is_event_name(name: str) -> bool:
    return _is_name(name) and name not in _RESERVED_EVENTS


_RESERVED_PROPERTIES = {
    "first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install",
}  # fmt: skip


def _property_name(name: str) -> str:
    if not _is_name(name) or len(name) > MAX_PROPERTY_NAME or name in _RESERVED_PROPERTIES:
        raise PydanticCustomError(
            "name_not_allowed",
            "must be a letter and up to 23 letters, digits or '_', and not a name that Google reserves",
        )
    return name


def _event_name(name: str) -> str:
    if not _is_event_name(name):
        raise PydanticCustomError(
            "name_not_allowed",
            "must be a letter and up to 39 letters, digits or '_', and not a name that Google reserves",
        )
    return name


EventName = Annotated[str, AfterValidator(_event_name), AfterValidator(reject_contact)]


class EventNames(SettingsModel):
    """What events are called in Google Analytics, which has no standard name for a logout."""

    login: EventName = "login"
    logout: EventName = "logout"
    open: EventName = "app_open"
    signup: EventName = "sign_up"


class Settings(AgentSettings):
    """A property's data streams, at least one; `debug_mode` shows events in DebugView, never in production.

    Google makes a secret for one stream: `api_secret` is the one of every stream that has none of its own here. A
    website's Firebase app id is refused: Google would answer 204 and record nothing. `user_properties` names the traits
    that become user properties; `send_address` lets names (digests) and the address (in clear) go along.
    """

    api_secret: PrintableSecret
    api_secret_ios: PrintableSecret | None = None
    api_secret_android: PrintableSecret | None = None
    measurement_id: str | None = Field(default=None, pattern=r"^G-[A-Z0-9]+$")
    firebase_app_id_ios: str | None = Field(default=None, pattern=r"^[0-9]+:[0-9]+:ios:[a-zA-Z0-9]+$")
    firebase_app_id_android: str | None = Field(default=None, pattern=r"^[0-9]+:[0-9]+:android:[a-zA-Z0-9]+$")
    base_url: BaseUrl = "https://www.google-analytics.com"
    event_names: EventNames = EventNames()
    send_user_data: bool = True
    send_address: bool = False
    user_properties: Annotated[
        list[Annotated[str, AfterValidator(_property_name)]], Field(max_length=25, default_factory=list)
    ]
    debug_mode: bool = False
    properties: Allowed = "all"
    not_phone_numbers: NotPhones = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_a_stream(self) -> Self:
        if not (self.measurement_id or self.firebase_app_id_ios or self.firebase_app_id_android):
            raise PydanticCustomError(
                "no_stream", "measurement_id, firebase_app_id_ios or firebase_app_id_android is required"
            )
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the stream of the event's platform; an event without a platform is a website's.

    Raises:
        Skip: Google has no use for the event, would drop it without a word, or could not tell the visitor.
    """
    event = scrub_emails(event)
    name = _name(event, settings)
    query, visitor = _app_stream(event, settings) if event.device.platform in APPS else _web_stream(event, settings)
    known = {
        "user_id": _user_id(event.customer_id),
        "timestamp_micros": (event.occurred_at - _EPOCH) // timedelta(microseconds=1),
        "consent": _consent(event.consent),
        "user_data": _user_data(event, settings),
        "user_properties": _user_properties(event, settings)[0],
        "device": _device(event.device) if event.device.platform in APPS else None,
        "ip_override": client_ip(event.context.ip),
        "events": [{"name": name, "params": _params(event, settings)[0]}],
    }
    if not known["device"]:
        # Google does not look at the user agent where there is a device.
        known["user_agent"] = event.context.user_agent
    body = visitor | {field: value for field, value in known.items() if value}
    return [json_request(f"{settings.base_url}/mp/collect", body, query=query)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _name(event: Event, settings: Settings) -> str:
    # The settings' own names were looked at when they were read.
    name = event.name if event.type == "track" else getattr(settings.event_names, event.type, None)
    if name is None:
        raise Skip(f"no use for {event.type}")
    misplaced = name in _APP_STREAM_EVENTS and event.device.platform not in APPS
    if misplaced or (event.type == "track" and (not _is_event_name(name) or contains_contact(name))):
        raise Skip("event name not allowed by Google")
    return str(name)


_INSTANCE = re.compile(r"[0-9a-fA-F]{32}")


def _app_stream(event: Event, settings: Settings) -> tuple[dict[str, Value], dict[str, Any]]:
    instance = event.ids.ga_app_instance_id
    if instance is None:
        raise Skip("no gaAppInstanceId")
    if not _INSTANCE.fullmatch(instance):
        raise Skip("malformed gaAppInstanceId")
    if event.device.platform == "ios":
        app_id, own_secret = settings.firebase_app_id_ios, settings.api_secret_ios
    else:
        app_id, own_secret = settings.firebase_app_id_android, settings.api_secret_android
    if app_id is None:
        raise Skip(f"no stream for {event.device.platform}")
    return {"api_secret": own_secret or settings.api_secret, "firebase_app_id": app_id}, {"app_instance_id": instance}


# What stands before the client id in the cookie _ga.
_COOKIE_VERSION = re.compile(r"^GA[0-9]+\.[0-9-]+\.(?=[0-9]+\.[0-9]+$)")


def _web_stream(event: Event, settings: Settings) -> tuple[dict[str, Value], dict[str, Any]]:
    client = _COOKIE_VERSION.sub("", (event.ids.ga_client_id or "").strip())
    if not client:
        raise Skip("no gaClientId")
    if settings.measurement_id is None:
        raise Skip("no stream for web")
    return {"api_secret": settings.api_secret, "measurement_id": settings.measurement_id}, {"client_id": client}


_IN_CLEAR = re.compile(r"@|^\+[0-9]")


def _user_id(customer_id: str | None) -> str | None:
    """The account, unless it is an e-mail address or a phone number: those break Google's terms."""
    account = customer_id or ""
    return None if _IN_CLEAR.search(account) or contains_email(account) else customer_id


def _consent(consent: Consent) -> dict[str, str]:
    """What the person allowed of advertising; Google falls back on the visitor's own hits for what is not said."""
    personal = consent.advertising if consent.ad_personalization is None else consent.ad_personalization
    if consent.advertising is False or consent.sale_opt_out:
        personal = False
    granted = {"ad_user_data": consent.advertising, "ad_personalization": personal}
    return {purpose: "GRANTED" if grant else "DENIED" for purpose, grant in granted.items() if grant is not None}


def _user_data(event: Event, settings: Settings) -> dict[str, Any]:
    """Digests of e-mail address and phone number, and the address by setting: without a postal code it matches nobody.

    A caller's own digest goes where there is no contact: of an address in lower case, of a number with its plus sign.
    """
    if not settings.send_user_data or event.consent.advertising is False or event.consent.sale_opt_out:
        return {}
    contact = {
        "sha256_email_address": digest(event.email, _email(event.email)) if event.email else event.email_sha256,
        "sha256_phone_number": digest(event.phone, event.phone) if event.phone else event.phone_sha256,
    }
    address = _address(event) if settings.send_address else {}
    return {field: [text] for field, text in contact.items() if text} | ({"address": [address]} if address else {})


def _address(event: Event) -> dict[str, str]:
    """What Google matches by name: both names, postal code and country, or nothing (user-provided data, 2026)."""
    traits = event.traits
    names = {
        "sha256_first_name": traits.first_name and digest(traits.first_name, _letters(traits.first_name)),
        "sha256_last_name": traits.last_name and digest(traits.last_name, _letters(traits.last_name)),
    }
    country = fact(traits, "country").upper()
    known = {
        **names,
        "postal_code": fact(traits, "zip"),
        "country": country if re.fullmatch("[A-Z]{2}", country) else "",
    }
    if not all(known.values()):
        return {}
    street = _letters(fact(traits, "street"), "LMN")
    more = {
        "sha256_street": digest(street, street),
        "city": fact(traits, "city"),
        "region": fact(traits, "state"),
    }
    return {field: text for field, text in (known | more).items() if text}


def _letters(text: str, kinds: str = "LM") -> str:
    """A name in lower case, without digits and symbols; blanks within stay (user-provided data, 2026)."""
    kept = "".join(sign if unicodedata.category(sign)[0] in kinds else " " if sign.isspace() else "" for sign in text)
    return " ".join(kept.lower().split())


def _user_properties(event: Event, settings: Settings) -> tuple[dict[str, dict[str, PropertyValue]], list[str]]:
    """The traits that the settings name, where Google takes their values; and the remarks."""
    if not settings.user_properties:
        return {}, []
    named = shareable_properties(event.traits.others, settings.user_properties, settings.not_phone_numbers)
    taken = {name: _plain(value) for name, value in named.items() if _fits(value, MAX_PROPERTY_TEXT)}
    remark = ["user properties whose value Google does not take are left out"] if len(taken) < len(named) else []
    return {name: {"value": value} for name, value in taken.items()}, remark


def _plain(value: PropertyValue) -> PropertyValue:
    # The documents disagree on booleans; numbers are taken everywhere (2026).
    return int(value) if isinstance(value, bool) else value


def _email(address: str) -> str:
    """An address as Google digests it: lower case, no blanks, and for Gmail no dots before the @ (`+tag` stays)."""
    local, _, domain = "".join(address.lower().split()).rpartition("@")
    local = local.replace(".", "") if domain in {"gmail.com", "googlemail.com"} else local
    return f"{local}@{domain}" if local else ""


_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")


def _device(device: Device) -> dict[str, str]:
    screen, language = device.screen, device.language
    known = {
        "language": language and language.replace("_", "-").lower(),
        "screen_resolution": f"{screen.width}x{screen.height}" if screen and screen.width and screen.height else None,
        "operating_system_version": device.os_version if _VERSION.fullmatch(device.os_version or "") else None,
        "model": device.model,
        "brand": device.manufacturer,
    }
    fields = {field: text for field, text in known.items() if text}
    system = {"category": "mobile", "operating_system": "iOS" if device.platform == "ios" else "Android"}
    return system | fields if fields else {}


# Parameters that come from elsewhere in the event or from the settings, or may not be there.
_NOT_A_PROPERTY = {"session_id", "engagement_time_msec", "engagementTimeMsec", "debug_mode", "user_id"}
_OF_COMMERCE = {"items", "currency", "value", "transaction_id"}
Params = dict[str, PropertyValue]


def _params(event: Event, settings: Settings) -> tuple[Params, list[str]]:
    """The event's parameters, 25 at most, and what was cut or left out of the event."""
    given = shareable_properties(event.properties, settings.properties, settings.not_phone_numbers)
    commerce, remarks = _commerce({name: value for name, value in given.items() if name in _OF_COMMERCE})
    page, cut = _page(event, given)
    known = _session(event, settings) | page | commerce
    others = {
        name: value
        for name, value in given.items()
        if name not in known.keys() | _NOT_A_PROPERTY | _OF_COMMERCE | PAGE_TEXTS.keys()
    }
    own = {name: _plain(value) for name, value in others.items() if _is_name(name) and _fits(value)}
    room = MAX_PARAMS - len(known)
    said = {
        "parameters with names that Google does not take are left out": not all(map(_is_name, others)),
        "lists and objects other than items are left out": any(isinstance(v, list | dict) for v in others.values()),
        "texts longer than 100 characters are left out": any(_is_long(value) for value in others.values()),
        "parameters beyond 25 are left out": len(own) > room,
        "gaSessionId has no form that Google writes": bool(event.ids.ga_session_id) and "session_id" not in known,
    }
    remarks += [*cut, *(sentence for sentence, is_so in said.items() if is_so)]
    return known | dict(list(own.items())[:room]), remarks


def _session(event: Event, settings: Settings) -> Params:
    session, engaged = _session_id(event.ids.ga_session_id), event.properties.get("engagementTimeMsec")
    known: Params = {
        # Without it nobody counts as active; 1 is what Google's own examples fall back on.
        "engagement_time_msec": engaged if type(engaged) is int and engaged > 0 else 1,
    }
    if session:
        known["session_id"] = session
    if event.method and _fits(event.method):
        known |= shareable_properties({"method": event.method}, "all")
    return known | ({"debug_mode": 1} if settings.debug_mode else {})


# The cookie _ga_<stream>: GS1.1.<session>.<more>, and since May 2025 GS2.1.s<session>$<more> in any order.
_SESSION = re.compile(
    r"([0-9]{1,100})|GS1\.[0-9]+\.([0-9]{1,100})(?:\..*)?|GS2\.[0-9]+\.(?:[^$]*\$)*?s([0-9]{1,100})(?:\$.*)?"
)


def _session_id(value: str | None) -> str:
    """The digits of a session, by themselves or within the cookie that Google writes."""
    found = _SESSION.fullmatch((value or "").strip())
    return next((digits for digits in found.groups() if digits), "") if found else ""


# What Google reads of a page's query: where the visitor came from (URL builders and auto-tagging, 2026).
_CAMPAIGN = re.compile(r"utm_[a-z_]+|gclid|dclid|gbraid|wbraid|gad_source|gad_campaignid|srsltid")


def _page(event: Event, properties: Mapping[str, PropertyValue]) -> tuple[Params, list[str]]:
    """The page of a website's event, each text cut to what Google keeps."""
    context, given = event.context, dict(properties)
    if event.device.platform not in APPS:
        pages = {"page_location": context.url, "page_referrer": context.referrer}
        given |= {name: _address_of_page(text) for name, text in pages.items() if text}
        given |= shareable_properties({"page_title": context.title} if context.title else {}, "all")
    texts = {name: text for name, text in given.items() if name in PAGE_TEXTS and isinstance(text, str) and text}
    remarks = [
        f"{name} is cut to {PAGE_TEXTS[name]} characters" for name in texts if len(texts[name]) > PAGE_TEXTS[name]
    ]
    if context.url and "page_location" in texts and texts["page_location"] != context.url:
        remarks.append("page_location has no fragment, and of its query the campaign alone")
    return {name: text[: PAGE_TEXTS[name]] for name, text in texts.items()}, remarks


def _address_of_page(url: str) -> str:
    """A page's address with the campaign of its query: other parts may hold a reset token or a person's data."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    query = urlencode([(name, text) for name, text in parse_qsl(parts.query) if _CAMPAIGN.fullmatch(name)])
    path = "/" if contains_contact(parts.path) else parts.path
    query = "" if contains_email(query) else query
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{'?' if query else ''}{query}"


def _commerce(given: Mapping[str, PropertyValue]) -> tuple[Params, list[str]]:
    """`items`, `currency`, `value` and `transaction_id` in the types that Google's reports add up."""
    known: Params = {}
    remarks = []
    for name, read in _COMMERCE.items():
        if name in given:
            value = read(given[name])
            if value is None or value == []:
                remarks.append(f"{name} is left out: it is not what Google takes")
            else:
                known[name] = value
    if isinstance(given.get("items"), list) and known.get("items", []) != given["items"]:
        remarks.append("items are changed to what Google takes")
    if "value" in known and "currency" not in known:
        remarks.append("value has no currency: Google adds it to no revenue")
    return known, remarks


def _number(value: PropertyValue) -> int | float | None:
    """A number, or a text that is one in JSON's form: shops send prices as texts."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", value):
        return float(value) if "." in value else int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _currency(value: PropertyValue) -> str | None:
    """ISO 4217: three capitals."""
    code = value.upper() if isinstance(value, str) else ""
    return code if re.fullmatch("[A-Z]{3}", code) else None


def _transaction(value: PropertyValue) -> str | None:
    """Google counts purchases of one transaction_id, a text, as one."""
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    return text if 0 < len(text) <= MAX_TEXT else None


def _items(value: PropertyValue) -> PropertyValue | None:
    """The items that have an id or a name, each with the parameters that Google takes."""
    if not isinstance(value, list):
        return None
    items = [_item(one) for one in value if isinstance(one, dict)]
    return [one for one in items if "item_id" in one or "item_name" in one][:MAX_ITEMS]


def _item(given: Mapping[str, PropertyValue]) -> Params:
    item: Params = {}
    for name, value in given.items():
        if _is_name(name) and _fits(value):
            number = _number(value) if name in {"price", "quantity", "discount", "index"} else value
            is_text = name in {"item_id", "item_name"}
            if number is not None:
                item[name] = str(value) if is_text else _plain(number)
    return dict(list(item.items())[:MAX_ITEM_PARAMS])


_COMMERCE = {"items": _items, "currency": _currency, "value": _number, "transaction_id": _transaction}


def _is_long(value: PropertyValue) -> bool:
    return isinstance(value, str) and len(value) > MAX_TEXT


def _fits(value: PropertyValue, longest: int = MAX_TEXT) -> bool:
    # A parameter is text or a number.
    return len(value) <= longest if isinstance(value, str) else not isinstance(value, list | dict)


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """What the request cuts or leaves out of the event."""
    event = scrub_emails(event)
    hidden = event.customer_id and not _user_id(event.customer_id)
    of_person = ["user_id is left out: it looks like a contact"] if hidden else []
    return (*of_person, *_user_properties(event, settings)[1], *_params(event, settings)[1])


def classify(response: Response) -> Verdict:
    """A 2xx says that bytes arrived, whatever they were: a wrong secret or stream is answered 204 as well (2026)."""
    if response.ok:
        return Verdict(VerdictKind.UNCONFIRMED, f"HTTP {response.status}")
    return by_status(response)


AGENT = Agent(
    name="google",
    purpose="analytics",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    # Google moves an older event to this limit without a word.
    max_age=timedelta(hours=72),
    # An event has no id at Google either.
    repeatable=False,
    count_withheld=lambda event, settings: count_withheld(
        event.properties, settings.properties, settings.not_phone_numbers
    ),
    remarks=remarks,
)
handler = lambda_handler(AGENT)
