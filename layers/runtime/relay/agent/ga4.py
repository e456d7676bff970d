"""What Google Analytics 4 takes, by whichever API it comes: names, streams, visitors and consent."""

import re
import unicodedata
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.filters import AgentSettings
from relay.agent.privacy import Allowed, NotPhones, shareable_properties
from relay.agent.settings import SettingsModel
from relay.errors import Skip
from relay.event.model import Consent, Event, PropertyValue
from relay.event.pii import contains_contact, contains_email, reject_contact

MAX_NAME = 40
MAX_TEXT = 100
"""Characters of a parameter's text; what is longer Google cuts or drops (sending events, 2026)."""

MAX_PROPERTY_NAME, MAX_PROPERTY_TEXT = 24, 36
"""Characters of a user property's name and value (event collection limits, 2026)."""

APPS = {"ios", "android"}
Platform = Literal["web", "ios", "android"]

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


@lru_cache(maxsize=1024)
def is_name(name: str) -> bool:
    """Whether Google takes a name for a parameter: letters, digits and `_`, and none that it reserves."""
    return bool(_NAME.fullmatch(name)) and len(name) <= MAX_NAME and not name.startswith(_RESERVED_PREFIXES)


def _is_event_name(name: str) -> bool:
    return is_name(name) and name not in _RESERVED_EVENTS


_RESERVED_PROPERTIES = {
    "first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install",
}  # fmt: skip


def _property_name(name: str) -> str:
    if not is_name(name) or len(name) > MAX_PROPERTY_NAME or name in _RESERVED_PROPERTIES:
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


UserProperties = Annotated[
    list[Annotated[str, AfterValidator(_property_name)]], Field(max_length=25, default_factory=list)
]
"""An agent's setting: the traits that become user properties."""

MeasurementId = Annotated[str, Field(pattern=r"^G-[A-Z0-9]+$")]
IosAppId = Annotated[str, Field(pattern=r"^[0-9]+:[0-9]+:ios:[a-zA-Z0-9]+$")]
AndroidAppId = Annotated[str, Field(pattern=r"^[0-9]+:[0-9]+:android:[a-zA-Z0-9]+$")]


class Ga4Settings(AgentSettings):
    """A property's data streams, at least one, and what of an event goes there.

    `debug_mode` shows events in DebugView, never in production; `user_properties` names the traits that become user
    properties; `send_address` lets names (digests) and the address (in clear) go along.
    """

    measurement_id: MeasurementId | None = None
    firebase_app_id_ios: IosAppId | None = None
    firebase_app_id_android: AndroidAppId | None = None
    event_names: EventNames = EventNames()
    send_user_data: bool = True
    send_address: bool = False
    user_properties: UserProperties
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


def event_name(event: Event, names: EventNames) -> str:
    """The event's name at Google.

    Raises:
        Skip: Google has no use for the event, or does not take its name.
    """
    # The settings' own names were looked at when they were read.
    name = event.name if event.type == "track" else getattr(names, event.type, None)
    if name is None:
        raise Skip(f"no use for {event.type}")
    misplaced = name in _APP_STREAM_EVENTS and event.device.platform not in APPS
    if misplaced or (event.type == "track" and (not _is_event_name(name) or contains_contact(name))):
        raise Skip("event name not allowed by Google")
    return str(name)


_INSTANCE = re.compile(r"[0-9a-fA-F]{32}")
# What stands before the client id in the cookie _ga.
_COOKIE_VERSION = re.compile(r"^GA[0-9]+\.[0-9-]+\.(?=[0-9]+\.[0-9]+$)")


def stream_and_visitor(event: Event, streams: Ga4Settings) -> tuple[Platform, str, str]:
    """The stream of the event's platform, its id, and the visitor: an app instance's id or a website's client id.

    An event without a platform is a website's.

    Raises:
        Skip: there is no such stream, or the event does not say whose it is.
    """
    if event.device.platform in APPS:
        return _app_stream(event, streams)
    client = _COOKIE_VERSION.sub("", (event.ids.ga_client_id or "").strip())
    if not client:
        raise Skip("no gaClientId")
    if streams.measurement_id is None:
        raise Skip("no stream for web")
    return "web", streams.measurement_id, client


def _app_stream(event: Event, streams: Ga4Settings) -> tuple[Platform, str, str]:
    instance = event.ids.ga_app_instance_id
    if instance is None:
        raise Skip("no gaAppInstanceId")
    if not _INSTANCE.fullmatch(instance):
        raise Skip("malformed gaAppInstanceId")
    platform: Platform = "ios" if event.device.platform == "ios" else "android"
    app_id = streams.firebase_app_id_ios if platform == "ios" else streams.firebase_app_id_android
    if app_id is None:
        raise Skip(f"no stream for {platform}")
    return platform, app_id, instance


_IN_CLEAR = re.compile(r"@|^\+[0-9]")


def user_id(customer_id: str | None) -> str | None:
    """The account, unless it is an e-mail address or a phone number: those break Google's terms."""
    account = customer_id or ""
    return None if _IN_CLEAR.search(account) or contains_email(account) else customer_id


def ad_grants(consent: Consent) -> dict[str, bool]:
    """What the person allows of `user_data` and `personalization`; Google asks the visitor's own hits for the rest."""
    personal = consent.advertising if consent.ad_personalization is None else consent.ad_personalization
    if consent.advertising is False or consent.sale_opt_out:
        personal = False
    grants = {"user_data": consent.advertising, "personalization": personal}
    return {purpose: grant for purpose, grant in grants.items() if grant is not None}


def may_send_contacts(consent: Consent) -> bool:
    """Whether digests of contacts may go along."""
    return consent.advertising is not False and not consent.sale_opt_out


def letters(text: str, kinds: str = "LM") -> str:
    """A name in lower case, without digits and symbols; blanks within stay (user-provided data, 2026).

    Composed, since macOS writes an accent as a sign of its own, and a person must not have two digests.
    """
    kept = "".join(sign if unicodedata.category(sign)[0] in kinds else " " if sign.isspace() else "" for sign in text)
    return unicodedata.normalize("NFC", " ".join(kept.lower().split()))


def user_properties(
    event: Event, names: list[str], not_phones: list[str]
) -> tuple[dict[str, PropertyValue], list[str]]:
    """The traits of these names, where Google takes their values; and the remarks."""
    if not names:
        return {}, []
    named = shareable_properties(event.traits.others, names, not_phones)
    taken = {name: plain(value) for name, value in named.items() if fits(value, MAX_PROPERTY_TEXT)}
    remark = ["user properties whose value Google does not take are left out"] if len(taken) < len(named) else []
    return taken, remark


def plain(value: PropertyValue) -> PropertyValue:
    """A value with 1 and 0 for true and false: the documents disagree on booleans; numbers go everywhere (2026)."""
    return int(value) if isinstance(value, bool) else value


def fits(value: PropertyValue, longest: int = MAX_TEXT) -> bool:
    """Whether Google takes a value: a parameter is text or a number."""
    return len(value) <= longest if isinstance(value, str) else not isinstance(value, list | dict)
