"""google: tells Google Analytics 4's Measurement Protocol what happened on a website's stream or an app's."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, Value, json_request
from relay.agent.privacy import Allowed, client_ip, count_withheld, scrub_emails, shareable_properties
from relay.agent.settings import BaseUrl, PrintableSecret, SettingsModel
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.encoding import sha256
from relay.errors import Skip
from relay.event.model import Consent, Device, Event, PropertyValue
from relay.event.pii import contains_contact, contains_email, reject_contact

MAX_NAME = 40
MAX_PARAMS = 25
MAX_TEXT = 100
"""Characters of a parameter's text; what is longer Google cuts or drops (sending events, 2026)."""

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
    website's Firebase app id is refused: Google would answer 204 and record nothing.
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
    debug_mode: bool = False
    properties: Allowed = "all"

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
        "user_data": _user_data(event) if settings.send_user_data else None,
        "device": _device(event.device) if event.device.platform in APPS else None,
        "ip_override": client_ip(event.context.ip),
        "events": [{"name": name, "params": _params(event, settings)}],
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


def _user_data(event: Event) -> dict[str, list[str]]:
    """Digests of e-mail address and phone number; a name without postal code and country would match nobody."""
    if event.consent.advertising is False or event.consent.sale_opt_out:
        return {}
    contact = {
        "sha256_email_address": event.email and _email(event.email),
        "sha256_phone_number": event.phone,
    }
    return {field: [sha256(text)] for field, text in contact.items() if text}


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
    told = {field: text for field, text in known.items() if text}
    system = {"category": "mobile", "operating_system": "iOS" if device.platform == "ios" else "Android"}
    return system | told if told else {}


# Parameters that come from elsewhere in the event or from the settings, may not be there, or must be a list.
_NOT_A_PROPERTY = {"session_id", "engagement_time_msec", "engagementTimeMsec", "debug_mode", "user_id", "items"}


def _params(event: Event, settings: Settings) -> dict[str, PropertyValue]:
    session, engaged = event.ids.ga_session_id or "", event.properties.get("engagementTimeMsec")
    known: dict[str, PropertyValue] = {
        # Without it nobody counts as active; 1 is what Google's own examples fall back on.
        "engagement_time_msec": engaged if type(engaged) is int and engaged > 0 else 1,
    }
    if re.fullmatch(r"[0-9]+", session) and _fits(session):
        known["session_id"] = session
    if event.method and _fits(event.method):
        known |= shareable_properties({"method": event.method}, "all")
    if settings.debug_mode:
        known["debug_mode"] = 1
    own = [
        # The documents disagree on booleans; numbers are taken everywhere (2026).
        (name, int(value) if isinstance(value, bool) else value)
        for name, value in shareable_properties(event.properties, settings.properties).items()
        if name not in known.keys() | _NOT_A_PROPERTY and _is_name(name) and _fits(value)
    ]
    return known | dict(own[: MAX_PARAMS - len(known)])


def _fits(value: PropertyValue) -> bool:
    # A parameter is text or a number.
    return len(value) <= MAX_TEXT if isinstance(value, str) else not isinstance(value, list | dict)


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
    count_withheld=lambda event, settings: count_withheld(event.properties, settings.properties),
)
handler = lambda_handler(AGENT)
