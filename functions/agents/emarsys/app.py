"""emarsys: tells Emarsys Mobile Engage (v2) which contact holds which device, and which push token it has."""

import hashlib
import hmac
import json
import re
from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.auth import basic
from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, json_request
from relay.agent.privacy import Allowed, selected_properties
from relay.agent.settings import BaseUrl, SettingsModel
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.errors import Skip
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
    """

    applications: Applications
    contact_field_id: int = Field(ge=1)
    contact_value: Literal["keyed_hash", "customer_id"] = "keyed_hash"
    contact_key: Secret | None = None
    anonymous_push_token: Literal["false", "token"] = "false"  # noqa: S105
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
    """One POST: to users/login, users/logout or events/{name}.

    Raises:
        Skip: Emarsys has no use for the event, or it lacks what that call requires.
    """
    if event.type == "identify":
        raise Skip("no use for identify")
    if event.device.id is None:
        raise Skip("no device id")
    application = _application(event, settings)
    body: dict[str, object] = {"application_id": application.code, "hardware_id": event.device.id}
    match event.type:
        case "logout":
            path = "users/logout"
        case "track":
            path = f"events/{_segment(event.name)}"
            body |= _contact(event, settings) | _attributes(event, settings)
        case _:
            path = "users/login"
            body |= _contact(event, settings) | _device(event) | {"push_token": _push_token(event, settings)}
    url = f"{settings.base_url}/api/mobileengage/v2/{path}"
    credentials = basic(application.code, application.password.get_secret_value())
    return [json_request(url, body, {"authorization": credentials})]


def _application(event: Event, settings: Settings) -> Application:
    match event.device.platform:
        case "android":
            application = settings.applications.android
        case "ios":
            application = settings.applications.ios
        case platform:
            raise Skip("not a mobile app" if platform else "no platform")
    if application is None:
        raise Skip(f"no application for {event.device.platform}")
    return application


# message_open is the vendor's own call with parameters of its own; dots would be resolved as a path.
_NOT_CUSTOM = {"message_open", ".", ".."}


def _segment(name: str | None) -> str:
    if not name or not name.strip() or name in _NOT_CUSTOM:
        raise Skip("not a custom event's name")
    return quote(name, safe="")


def _contact(event: Event, settings: Settings) -> dict[str, object]:
    """Both contact fields, or neither where nobody is logged in."""
    if event.customer_id is None:
        if event.type in {"login", "signup"}:
            raise Skip("no customerId")
        return {}
    # The vendor refuses e-mail addresses as identity, plain or hashed (help centre, contact authentication).
    if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", event.customer_id):
        raise Skip("customerId is an e-mail address")
    value = _contact_value(event.customer_id, settings)
    if len(value) > MAX_CONTACT_VALUE:
        raise Skip("customerId longer than 60 characters")
    return {"contact_field_id": settings.contact_field_id, "contact_field_value": value}


def _contact_value(customer_id: str, settings: Settings) -> str:
    if settings.contact_value == "customer_id" or settings.contact_key is None:
        return customer_id
    key = settings.contact_key.get_secret_value().encode()
    return hmac.new(key, customer_id.encode(), hashlib.sha256).hexdigest()[:KEYED_HASH_DIGITS]


def _device(event: Event) -> dict[str, object]:
    device = event.device
    facts = {
        "platform": device.platform,
        "language": _language(device.language),
        "timezone": _offset(device.timezone, event.occurred_at),
        "device_model": device.model,
        "application_version": _version(device.app_version),
        "os_version": _version(device.os_version),
    }
    for name, value in facts.items():
        if value is None:
            raise Skip(f"lacks {name}")
    return dict(facts)


def _language(tag: str | None) -> str | None:
    """ISO 639-1, two letters: `pt-BR` is `pt`; None for a language that has three."""
    primary = re.split("[-_]", tag or "")[0].lower()
    return primary if len(primary) == 2 else None  # noqa: PLR2004


def _offset(zone: str | None, moment: datetime) -> str | None:
    """`-0300` from an IANA name, as it was at that moment, or from `-03:00` or Android's `GMT-03:00`."""
    fixed = re.fullmatch(r"(?:GMT|UTC)?([+-])(0[0-9]|1[0-4]):?([0-5][0-9])", zone or "")
    if fixed:
        return "".join(fixed.groups())
    try:
        return moment.astimezone(ZoneInfo(zone or "")).strftime("%z")[:5]
    except (OSError, OverflowError, ValueError, ZoneInfoNotFoundError):
        return None


def _version(text: str | None) -> str | None:
    """The numbers that a version begins with, three at most: `4.12.0-beta (5)` is `4.12.0`, `iOS 18.1` is `18.1`."""
    match = re.match(r"[A-Za-z]*\s*([0-9]+(?:\.[0-9]+){0,2})", text or "")
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
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
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
)
handler = lambda_handler(AGENT)
