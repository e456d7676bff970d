"""google: sends Google Analytics 4's Measurement Protocol what happened on a website's stream or an app's."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.agent.definition import Agent
from relay.agent.ga4 import (
    APPS,
    Ga4Settings,
    ad_grants,
    event_name,
    letters,
    may_send_contacts,
    stream_and_visitor,
    user_id,
    user_properties,
)
from relay.agent.ga4_parameters import parameters
from relay.agent.http import Request, Response, Value, json_request
from relay.agent.once import once
from relay.agent.privacy import client_ip, count_withheld, scrub_emails
from relay.agent.profile import digest, fact
from relay.agent.settings import BaseUrl, PrintableSecret
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.event.model import Consent, Device, Event


class Settings(Ga4Settings):
    """A property's data streams, at least one; `debug_mode` shows events in DebugView, never in production.

    Google makes a secret for one stream: `api_secret` is the one of every stream that has none of its own here. A
    website's Firebase app id is refused: Google would answer 204 and record nothing. `user_properties` names the traits
    that become user properties; `send_address` lets names (digests) and the address (in clear) go along.
    """

    api_secret: PrintableSecret
    api_secret_ios: PrintableSecret | None = None
    api_secret_android: PrintableSecret | None = None
    base_url: BaseUrl = "https://www.google-analytics.com"


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the stream of the event's platform; an event without a platform is a website's.

    Raises:
        Skip: Google has no use for the event, would drop it without a word, or could not tell the visitor.
    """
    return [_made(event, settings)[0]]


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """What the request cuts or leaves out of the event."""
    return _made(event, settings)[1]


@once
def _made(event: Event, settings: Settings) -> tuple[Request, tuple[str, ...]]:
    event = scrub_emails(event)
    name = event_name(event, settings.event_names)
    query, visitor = _stream(event, settings)
    shown_id = user_id(event.customer_id)
    properties, lost_properties = user_properties(event, settings.user_properties, settings.not_phone_numbers)
    params, lost = parameters(event, settings)
    known = {
        "user_id": shown_id,
        "timestamp_micros": (event.occurred_at - _EPOCH) // timedelta(microseconds=1),
        "consent": _consent(event.consent),
        "user_data": _user_data(event, settings),
        "user_properties": {name: {"value": value} for name, value in properties.items()},
        "device": _device(event.device) if event.device.platform in APPS else None,
        "ip_override": client_ip(event.context.ip),
        "events": [{"name": name, "params": params}],
    }
    if not known["device"]:
        # Google does not look at the user agent where there is a device.
        known["user_agent"] = event.context.user_agent
    body = visitor | {field: value for field, value in known.items() if value}
    hidden = ["user_id is left out: it looks like a contact"] if event.customer_id and not shown_id else []
    return json_request(f"{settings.base_url}/mp/collect", body, query=query), (*hidden, *lost_properties, *lost)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _stream(event: Event, settings: Settings) -> tuple[dict[str, Value], dict[str, Any]]:
    platform, stream, visitor = stream_and_visitor(event, settings)
    if platform == "web":
        return {"api_secret": settings.api_secret, "measurement_id": stream}, {"client_id": visitor}
    own_secret = settings.api_secret_ios if platform == "ios" else settings.api_secret_android
    return {"api_secret": own_secret or settings.api_secret, "firebase_app_id": stream}, {"app_instance_id": visitor}


def _consent(consent: Consent) -> dict[str, str]:
    """What the person allowed of advertising; Google falls back on the visitor's own hits for what is not said."""
    return {f"ad_{purpose}": "GRANTED" if grant else "DENIED" for purpose, grant in ad_grants(consent).items()}


def _user_data(event: Event, settings: Settings) -> dict[str, Any]:
    """Digests of e-mail address and phone number, and the address by setting: without a postal code it matches nobody.

    A caller's own digest goes where there is no contact: of an address in lower case, of a number with its plus sign.
    """
    if not settings.send_user_data or not may_send_contacts(event.consent):
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
        "sha256_first_name": traits.first_name and digest(traits.first_name, letters(traits.first_name)),
        "sha256_last_name": traits.last_name and digest(traits.last_name, letters(traits.last_name)),
    }
    country = fact(traits, "country").upper()
    known = {
        **names,
        "postal_code": fact(traits, "zip"),
        "country": country if re.fullmatch("[A-Z]{2}", country) else "",
    }
    if not all(known.values()):
        return {}
    street = letters(fact(traits, "street"), "LMN")
    more = {
        "sha256_street": digest(street, street),
        "city": fact(traits, "city"),
        "region": fact(traits, "state"),
    }
    return {field: text for field, text in (known | more).items() if text}


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
