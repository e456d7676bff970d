"""eitri_push: tells Eitri Push Server which customer a device belongs to, by a signed webhook of our definition."""

from collections.abc import Sequence
from datetime import UTC
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from relay.agent.auth import Attempt, ClientCredentials, bearer, signed, with_headers
from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, json_request
from relay.agent.settings import SettingsModel, iso8601_z
from relay.agent.webhooks import SigningSecret, classify_webhook
from relay.delivery.handler import lambda_handler
from relay.errors import Skip
from relay.event.contact import Contact
from relay.event.model import Event
from relay.event.stand_ins import is_stand_in

SCHEMA = "eitri-session/1"

ENDING = {"session.logout", "device.push_token_removed"}
"""The messages that end pushes, for which the device's id is enough."""

TYPES = {
    "login": "session.login",
    "logout": "session.logout",
    "open": "app.open",
    "signup": "session.login",
    "identify": "identity.updated",
    "push_token": "device.push_token",
}


class Store(SettingsModel):
    """The store and environment that every message names."""

    account: str = Field(min_length=1)
    environment: str = Field(min_length=1)


class StaticHeader(SettingsModel):
    """A header with a fixed secret value, for receivers that can check nothing better."""

    name: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    value: SecretStr


class Settings(AgentSettings):
    """Where the webhook goes and how it is trusted; `customer_id_source` may name a property that holds the id."""

    url: str = Field(pattern=r"^https?://[^\s@]+$")
    store: Store
    auth_mode: Literal["hmac", "oauth2", "hmac+oauth2", "static_header"] = "hmac"
    signing_secrets: Annotated[list[SigningSecret], Field(max_length=2)] = Field(default_factory=list)
    oauth: ClientCredentials | None = None
    static_header: StaticHeader | None = None
    send_email: bool = False
    send_phone: bool = False
    customer_id_source: str = "customer_id"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"hmac": self.signing_secrets, "oauth2": self.oauth, "static_header": self.static_header}
        missing = [name for name in self.auth_mode.split("+") if not needed[name]]
        if missing:
            raise ValueError(f"auth_mode {self.auth_mode} lacks what {' and '.join(missing)} needs")
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one session message, unsigned.

    Raises:
        Skip: Eitri has no use for the event, or it does not say which device it came from.
    """
    if event.type not in TYPES:
        raise Skip(f"no use for {event.type}")
    if not event.device.id:
        raise Skip("no device id")
    message_type = _type(event)
    if not event.device.platform and message_type not in ENDING:
        raise Skip("no device platform")
    customer = _customer(event, settings)
    if message_type == "device.push_token" and not _may_bind(event, customer):
        raise Skip("a push token of nobody, and not from a trusted caller")
    named = {"customer": customer} if customer else {}
    device = _device(event, with_token=_may_bind(event, customer))
    message = _message(event, settings, message_type, _message_id(event)) | named | {"device": device}
    return [_request(message, settings)]


def build_release(event: Event, settings: Settings, _contacts: Sequence[Contact]) -> list[Request]:
    """A logout in the event's place, under an id of its own; the event itself may follow with the same sequence."""
    if not event.device.id:
        return []
    message = _message(event, settings, "session.logout", f"release/{_message_id(event)}")
    return [_request(message | {"release_of": _message_id(event), "device": {"id": event.device.id}}, settings)]


def _request(message: dict[str, Any], settings: Settings) -> Request:
    # The id is the same on each retry, in every mode: the receiver recognizes a repetition by it.
    return json_request(settings.url, message, {"webhook-id": message["id"]})


def _message(event: Event, settings: Settings, message_type: str, message_id: str) -> dict[str, Any]:
    """What every message has, but its device; of equal sequences one with `received_at` is decided by that."""
    ordered = {"received_at": _received_at(event)} if event.ordered_by == "occurredAt" else {}
    return {
        "schema": SCHEMA,
        "type": message_type,
        "id": message_id,
        "occurred_at": iso8601_z(event.occurred_at),
        "sequence": event.sequence,
        **ordered,
        "store": {"account": settings.store.account, "environment": settings.store.environment},
    }


def _message_id(event: Event) -> str:
    # Events of one id are different ones where another person proved them, or their type or device differs.
    return f"{event.event_id}.{event.scope}" if event.scope else event.event_id


def _received_at(event: Event) -> str:
    return event.received_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _may_bind(event: Event, customer: dict[str, str]) -> bool:
    """Whether the message may carry a push token.

    A token belongs to the person whom its message names: anybody can send one with the id of another person's device,
    and the person who opens the app there next must not get pushes by it.
    """
    return bool(customer) or event.trusted


def _type(event: Event) -> str:
    removed = event.type == "push_token" and event.device.push_token is False
    return "device.push_token_removed" if removed else TYPES[event.type]


def _customer(event: Event, settings: Settings) -> dict[str, str]:
    source = settings.customer_id_source
    # A property is what an app says of itself; only customerId is proven by an identity token.
    if source != "customer_id" and not event.trusted:
        if _type(event) in ENDING:
            return {}
        raise Skip("customer id from a property, and not from a trusted caller")
    customer_id = event.customer_id if source == "customer_id" else event.properties.get(source)
    if not customer_id or not isinstance(customer_id, str | int):
        if event.type in {"login", "signup", "identify"}:
            raise Skip("no customerId")
        return {}
    contact = {"email": settings.send_email and event.email, "phone": settings.send_phone and event.phone}
    return {"id": str(customer_id)} | {name: text for name, text in contact.items() if text}


def _device(event: Event, *, with_token: bool) -> dict[str, Any]:
    device = event.device
    push = {"provider": "fcm", "token": device.push_token} if with_token and device.push_token else None
    known = {
        "id": device.id,
        "platform": device.platform,
        "app_version": device.app_version,
        "os_version": None if is_stand_in(device.os_version or "") else device.os_version,
        "push": push,
    }
    return {name: value for name, value in known.items() if value is not None}


def authorize(request: Request, settings: Settings, attempt: Attempt) -> Request:
    """The request with this attempt's signature, bearer token or fixed header, as `auth_mode` says."""
    modes = settings.auth_mode.split("+")
    if "hmac" in modes:
        request = signed(request, str(request.headers["webhook-id"]), settings.signing_secrets, attempt.now)
    if "oauth2" in modes and settings.oauth:
        token = bearer(settings.oauth, attempt).get_secret_value()
        request = with_headers(request, {"authorization": SecretStr(f"Bearer {token}")})
    if "static_header" in modes and settings.static_header:
        request = with_headers(request, {settings.static_header.name: settings.static_header.value})
    return request


AGENT = Agent(
    name="eitri_push",
    purpose="messaging",
    settings=Settings,
    build_requests=build_requests,
    classify=classify_webhook,
    authorize=authorize,
    ordered=True,
    build_release=build_release,
)
handler = lambda_handler(AGENT)
