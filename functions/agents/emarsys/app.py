"""emarsys: sends Emarsys Mobile Engage (v2) which contact holds which device, and which push token it has."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.auth import basic
from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, json_request
from relay.agent.languages import two_letters
from relay.agent.once import once
from relay.agent.privacy import Allowed, selected_properties
from relay.agent.settings import BaseUrl, SettingsModel
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.encoding import encode
from relay.errors import Skip
from relay.event.contact import Contact
from relay.event.model import Event

MAX_CONTACT_VALUE = 60
"""What a short-text contact field holds (Emarsys, field types, 2026): a whole SHA-256 in hex would be cut."""

KEYED_HASH_DIGITS = 56
"""As many as the value in the vendor's own example has."""

MIN_CONTACT_KEY = 16
EMAIL_FIELD = 3


def _unpadded(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or text != text.strip():
        raise PydanticCustomError("blank_or_padded_secret", "must not be empty, nor begin or end with a blank")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_unpadded)]


class Application(SettingsModel):
    """One Mobile Engage application: its code, which is the Basic user as well, and its password."""

    code: str = Field(pattern=r"^[\x21-\x39\x3b-\x7e]+$")  # RFC 7617: a Basic user holds no colon
    password: Secret


class Applications(SettingsModel):
    """The applications of the Android and the iOS app; at least one."""

    android: Application | None = None
    ios: Application | None = None

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not (self.android or self.ios):
            raise PydanticCustomError("no_application", "must have android, ios or both")
        return self


class Settings(AgentSettings):
    """The applications, and the contact field by which Emarsys knows a customer.

    `contact_value` says what that field holds: `keyed_hash`, the HMAC-SHA-256 of customerId under `contact_key` (hex in
    lower case, cut to 56 characters), or `customer_id` as it stands. `anonymous_push_token` says what a device is
    registered with while nobody is logged in: `false`, as the vendor's page wants, or its `token`, as its SDKs do.
    `fallback_language` (ISO 639-1) stands for a language that is absent or has no two letters.
    """

    applications: Applications
    contact_field_id: int = Field(ge=1)
    contact_value: Literal["keyed_hash", "customer_id"] = "keyed_hash"
    contact_key: Secret | None = None
    anonymous_push_token: Literal["false", "token"] = "false"  # noqa: S105
    fallback_language: str = Field(default="en", pattern=r"^[a-z]{2}$")
    properties: Allowed = "all"
    base_url: BaseUrl = "https://push.eservice.emarsys.net"

    @model_validator(mode="after")
    def _usable_contact(self) -> Self:
        if self.contact_field_id == EMAIL_FIELD:
            raise PydanticCustomError("contact_field_is_email", "contact_field_id 3 is the e-mail address: use another")
        if self.contact_value == "keyed_hash" and len(self.contact_key or "") < MIN_CONTACT_KEY:
            raise PydanticCustomError(
                "contact_key_missing_or_short", "keyed_hash needs a contact_key of 16 characters or more"
            )
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """A POST to users/login, users/logout or events/{name}; a logout of an unknown platform goes to each application.

    Raises:
        Skip: Emarsys has no use for the event, or it lacks what that call requires.
    """
    if event.type == "identify":
        raise Skip("no use for identify")
    if event.device.id is None:
        raise Skip("no device id")
    applications = _applications(event, settings)
    match event.type:
        case "logout":
            return _logouts(event, applications, settings)
        case "push_token" if event.device.push_token is False and event.device.platform is None:
            # A login must name the platform. A logout needs the device's id alone, and takes the token away as well.
            return _logouts(event, applications, settings)
        case _ if event.device.platform is None:
            raise Skip("no platform")
        case "track":
            path, body = f"events/{_segment(event.name)}", _contact(event, settings) | _attributes(event, settings)
        case _:
            path = "users/login"
            facts = {name: value for name, (value, _) in _device(event, settings).items()}
            body = _contact(event, settings) | facts | {"push_token": _push_token(event, settings)}
    return [_request(path, event, applications[0], body, settings)]


def build_release(event: Event, settings: Settings, _contacts: Sequence[Contact]) -> list[Request]:
    """Logouts of the event's device; none for a device that no configured application is for."""
    try:
        return _logouts(event, _applications(event, settings), settings)
    except Skip:
        return []


def _logouts(event: Event, applications: Sequence[Application], settings: Settings) -> list[Request]:
    return [_request("users/logout", event, application, {}, settings) for application in applications]


def _request(path: str, event: Event, application: Application, body: dict[str, object], settings: Settings) -> Request:
    device = {"application_id": application.code, "hardware_id": event.device.id}
    url = f"{settings.base_url}/api/mobileengage/v2/{path}"
    credentials = basic(application.code, application.password.get_secret_value())
    return json_request(url, device | body, {"authorization": credentials})


def _applications(event: Event, settings: Settings) -> list[Application]:
    """The application of the event's platform; where that is not known, each configured one, a shared one once."""
    configured, platform = settings.applications, event.device.platform
    known = {"android": configured.android, "ios": configured.ios}
    if platform is None:
        return list({one.code: one for one in known.values() if one}.values())
    if platform not in known:
        raise Skip("not a mobile app")
    application = known[platform]
    if application is None:
        raise Skip(f"no application for {platform}")
    return [application]


# message_open is the vendor's own call with parameters of its own; dots would be resolved as a path.
_NOT_CUSTOM = {"message_open", ".", ".."}


def _segment(name: str | None) -> str:
    if not name or not name.strip() or name in _NOT_CUSTOM:
        raise Skip("not a custom event's name")
    return quote(name, safe="")


_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def _contact(event: Event, settings: Settings) -> dict[str, object]:
    """Both contact fields, or neither where nobody is logged in."""
    if event.customer_id is None:
        if event.type in {"login", "signup"}:
            raise Skip("no customerId")
        return {}
    # The vendor refuses e-mail addresses as identity, plain or hashed (help centre, contact authentication).
    if _ADDRESS.fullmatch(event.customer_id):
        raise Skip("customerId is an e-mail address")
    value = _contact_value(event.customer_id, settings)
    if len(value) > MAX_CONTACT_VALUE:
        raise Skip("customerId longer than 60 characters")
    return {"contact_field_id": settings.contact_field_id, "contact_field_value": value}


def _contact_value(customer_id: str, settings: Settings) -> str:
    if settings.contact_value == "customer_id" or settings.contact_key is None:
        return customer_id
    keyed = _keyed(settings.contact_key.get_secret_value()).copy()
    keyed.update(customer_id.encode())
    return keyed.hexdigest()[:KEYED_HASH_DIGITS]


@lru_cache(maxsize=4)
def _keyed(secret: str) -> hmac.HMAC:
    """The HMAC of no text yet: only a copy may be given one."""
    return hmac.new(secret.encode(), digestmod="sha256")


UNKNOWN = "unknown"
"""What the vendor's SDK for Android sends in place of a version that it does not know (2018)."""


@once
def _device(event: Event, settings: Settings) -> dict[str, tuple[object, str]]:
    """What users/login requires of the device, and the remark where a value is filled in; "" where it is the event's.

    A description of the device never costs the login: a person's pushes would stay where they are.
    """
    device = event.device
    return {
        "platform": (device.platform, ""),
        "language": _or(two_letters(device.language), settings.fallback_language, "language is the settings' fallback"),
        "timezone": _timezone(event),
        "device_model": _or(device.model, UNKNOWN, "device_model is unknown"),
        "application_version": _or(_version(device.app_version), UNKNOWN, "application_version is unknown"),
        "os_version": _or(_version(device.os_version), UNKNOWN, "os_version is unknown"),
    }


def _or(value: str | None, fallback: str, remark: str) -> tuple[str, str]:
    return (value, "") if value else (fallback, remark)


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """The facts of the device that were filled in."""
    if event.type in {"logout", "track"} or event.device.platform is None:
        return ()
    return tuple(remark for _, remark in _device(event, settings).values() if remark)


_MAX_OFFSET = timedelta(hours=14)
_FIXED_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])([0-9]|0[0-9]|1[0-4])(?::?([0-5][0-9]))?")


def _timezone(event: Event) -> tuple[str, str]:
    """The offset of the device's zone, else the one that `occurredAt` was written with, which is UTC without any."""
    given = _offset(event.device.timezone, event.occurred_at)
    if given:
        return given, ""
    if abs(event.occurred_at.utcoffset() or timedelta()) > _MAX_OFFSET:
        return "+0000", "timezone is UTC"
    return _written_offset(event.occurred_at), "timezone is the offset of occurredAt"


def _offset(zone: str | None, moment: datetime) -> str | None:
    """`-0300` from an IANA name, as it was at that moment, or from `-03:00`, `GMT-3`, `GMT+5:30` or `-03`."""
    fixed = _FIXED_OFFSET.fullmatch(zone or "")
    if fixed:
        return f"{fixed[1]}{fixed[2]:0>2}{fixed[3] or '00'}"
    try:
        return _written_offset(moment.astimezone(ZoneInfo(zone or "")))
    except (OSError, OverflowError, ValueError, ZoneInfoNotFoundError):
        return None


def _written_offset(moment: datetime) -> str:
    """`-0300`: the end of `2026-11-20T06:15-03:00`, which is written in a third of strftime's time."""
    text = moment.isoformat(timespec="minutes")
    return f"{text[16:19]}{text[20:22]}"


_NUMBERS = re.compile(r"[A-Za-z]*\s*([0-9]+(?:\.[0-9]+){0,2})")


def _version(text: str | None) -> str | None:
    """The numbers that a version begins with, three at most: `4.12.0-beta (5)` is `4.12.0`, `iOS 18.1` is `18.1`."""
    match = _NUMBERS.match(text or "")
    return match[1] if match else None


def _push_token(event: Event, settings: Settings) -> str | Literal[False]:
    """The token, or false where there is none: Emarsys requires the field, and false deletes the token that it has."""
    token = event.device.push_token
    if event.type == "push_token" and token is None:
        raise Skip("no pushToken")
    if event.customer_id is None and settings.anonymous_push_token == "false":  # noqa: S105
        return False
    return token or False


def _attributes(event: Event, settings: Settings) -> dict[str, object]:
    given = {
        **selected_properties(event.properties, settings.properties),
        **({"method": event.method} if event.method else {}),
    }
    texts = {name: value if isinstance(value, str) else encode(value).decode() for name, value in given.items()}
    return {"attributes": texts} if texts else {}


def classify(response: Response) -> Verdict:
    """By status, but 409 is worth another try: on a logout it leaves the person's pushes on the device.

    Source: app logout endpoint, `409 Hardware ID already exists`, without a word on what to do about it.
    """
    if response.status == 409:  # noqa: PLR2004
        return Verdict(VerdictKind.RETRY, "HTTP 409")
    return by_status(response)


AGENT = Agent(
    name="emarsys",
    purpose="messaging",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    ordered=True,
    remarks=remarks,
    build_release=build_release,
)
handler = lambda_handler(AGENT)
