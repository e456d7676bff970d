"""webhook: sends each event as a signed JSON document of our own to any HTTPS endpoint of the operator's."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from relay.agent.auth import Attempt, signed
from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, json_request
from relay.agent.privacy import Allowed, scrub_emails, selected_properties, shareable_properties
from relay.agent.privacy import count_withheld as count_personal
from relay.agent.settings import iso8601_z
from relay.agent.webhooks import SigningSecret, classify_webhook
from relay.delivery.handler import lambda_handler
from relay.errors import Skip
from relay.event.contact import Contact
from relay.event.model import Event, Purpose
from relay.event.pii import contains_contact

SCHEMA = "session-relay-event/1"
MIN_PSEUDONYM_KEY = 32

_DEVICE = {"platform", "model", "manufacturer", "os_version", "app_id", "app_version", "app_build", "language"}
"""What a device is, which many have in common."""

_PERSON = {
    "customer_id",
    "anonymous_id",
    "email",
    "phone",
    "email_sha256",
    "phone_sha256",
    "traits",
    "ids",
    "context",
    "consent",
}


class Settings(AgentSettings):
    """Where events go and for which purpose; `personal_data` says how much of the person goes along.

    `pseudonymous` needs `pseudonym_key`, 32 characters or more: ids go as HMAC-SHA-256 under it.
    """

    url: str = Field(pattern=r"^https?://[^\s@]+$")
    signing_secrets: Annotated[list[SigningSecret], Field(min_length=1, max_length=2)]
    purpose: Purpose
    personal_data: Literal["none", "pseudonymous", "full"] = "none"
    pseudonym_key: SecretStr | None = None
    properties: Allowed = "all"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        key = self.pseudonym_key.get_secret_value() if self.pseudonym_key else ""
        if self.personal_data == "pseudonymous" and len(key) < MIN_PSEUDONYM_KEY:
            raise ValueError(
                f"personal_data pseudonymous needs a pseudonym_key of {MIN_PSEUDONYM_KEY} characters or more"
            )
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event, unsigned; its schema is docs/webhook-event.schema.json.

    Raises:
        Skip: the name of a track event holds a contact, and the endpoint may not know the person.
    """
    described = _full(event, settings) if settings.personal_data == "full" else _without_person(event, settings)
    return [_request(_stamped(event, event.type, _document_id(event)) | described, settings)]


def build_release(event: Event, settings: Settings, _contacts: Sequence[Contact]) -> list[Request]:
    """A logout in the event's place, under an id of its own; none where the endpoint knows no device by its id."""
    device = event.device.id if settings.personal_data == "full" else _pseudonyms(event, settings).get("device")
    if not device:
        return []
    document = _stamped(event, "logout", f"release/{_document_id(event)}")
    return [_request(document | {"releaseOf": _document_id(event), "device": {"id": device}}, settings)]


def _stamped(event: Event, event_type: str, document_id: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": document_id,
        "type": event_type,
        "app": event.app_id,
        "occurredAt": iso8601_z(event.occurred_at),
        "sequence": event.sequence,
    }


def _request(document: dict[str, Any], settings: Settings) -> Request:
    # The id is the same on each retry: the receiver recognizes a repetition by it.
    return json_request(settings.url, document, {"webhook-id": document["id"]})


def _document_id(event: Event) -> str:
    # Events of one id are different ones where another person proved them, or their type or device differs.
    return f"{event.event_id}.{event.scope}" if event.scope else event.event_id


def _full(event: Event, settings: Settings) -> dict[str, Any]:
    device = event.device
    may_track = device.ad_tracking is not False and device.att_status in {None, "authorized"}
    if not may_track:
        hidden = dict.fromkeys(("advertising_id", "oaid", "amazon_aid"))
        event = event.model_copy(update={"device": device.model_copy(update=hidden)})
    known = _dumped(event, {"method", "name", "device", *_PERSON})
    return known | _filled(properties=dict(selected_properties(event.properties, settings.properties)))


def _without_person(event: Event, settings: Settings) -> dict[str, Any]:
    event = scrub_emails(event)
    if event.name and contains_contact(event.name):
        raise Skip("event name holds a contact")
    method = shareable_properties({"method": event.method}, "all") if event.method else {}
    device = event.device.model_dump(mode="json", by_alias=True, exclude_none=True, include=_DEVICE)
    ids = _pseudonyms(event, settings)
    device_id = {"id": ids.pop("device")} if "device" in ids else {}
    properties = shareable_properties(event.properties, settings.properties)
    return ids | method | _filled(name=event.name, device=device_id | device, properties=properties)


def _pseudonyms(event: Event, settings: Settings) -> dict[str, str]:
    """Digests of the ids under the operator's key: the same person has the same, and nobody else can undo them."""
    if settings.personal_data == "none" or not settings.pseudonym_key:
        return {}
    key = settings.pseudonym_key.get_secret_value().encode()
    ids = {"customerId": event.customer_id, "anonymousId": event.anonymous_id, "device": event.device.id}
    return {name: hmac.new(key, value.encode(), hashlib.sha256).hexdigest() for name, value in ids.items() if value}


def _dumped(event: Event, names: set[str]) -> dict[str, Any]:
    dumped = event.model_dump(mode="json", by_alias=True, exclude_none=True, include=names)
    return {name: value for name, value in dumped.items() if value != {}}


def _filled(**parts: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    return {name: value for name, value in parts.items() if value}


def _withheld(event: Event, settings: Settings) -> int:
    return 0 if settings.personal_data == "full" else count_personal(event.properties, settings.properties)


def authorize(request: Request, settings: Settings, attempt: Attempt) -> Request:
    """The request with this attempt's signatures, one for each secret."""
    secrets: list[SecretStr] = settings.signing_secrets
    return signed(request, str(request.headers["webhook-id"]), secrets, attempt.now)


AGENT = Agent(
    name="webhook",
    purpose=None,
    purpose_of=lambda settings: settings.purpose,
    settings=Settings,
    build_requests=build_requests,
    classify=classify_webhook,
    authorize=authorize,
    count_withheld=_withheld,
    may_be_ordered=True,
    build_release=build_release,
)
handler = lambda_handler(AGENT)
