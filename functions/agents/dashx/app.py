"""dashx: sends DashX, by GraphQL, which account a visitor is, what it did, and where its pushes go."""

import re
from collections.abc import Iterator, Mapping, Sequence
from socket import AF_INET, inet_pton
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from relay import __version__
from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, json_request
from relay.agent.once import once
from relay.agent.privacy import Allowed, selected_properties
from relay.agent.settings import PRINTABLE, BaseUrl, PrintableSecret, SettingsModel, iso8601_z
from relay.agent.verdict import Verdict, VerdictKind, by_status, retry_after
from relay.delivery.handler import lambda_handler
from relay.errors import Skip
from relay.event.contact import Contact
from relay.event.model import Event

Name = Annotated[str, Field(pattern=r"^\S(.*\S)?$")]


class EventNames(SettingsModel):
    """What events are called at DashX; the defaults are those of its SDKs and of its demo."""

    login: Name = "User Logged In"
    logout: Name = "User Logged Out"
    open: Name = "Application Opened"
    signup: Name = "User Registered"


class Library(SettingsModel):
    """What a contact's metadata names as the library that subscribed it."""

    name: Name = "session-relay"
    version: Name = __version__


def _without_path(url: str) -> str:
    if urlsplit(url).path:
        raise PydanticCustomError("path", "must end behind the host: DashX' one endpoint, /graphql, is added to it")
    return url


class Settings(AgentSettings):
    """A workspace's key pair and the environment that it is for."""

    public_key: str = Field(pattern=PRINTABLE)
    private_key: PrintableSecret
    target_environment: str = Field(pattern=PRINTABLE)
    event_names: EventNames = EventNames()
    library: Library = Library()
    properties: Allowed = "all"
    base_url: Annotated[BaseUrl, AfterValidator(_without_path)] = "https://api.dashx.com"


_IDENTIFY = "mutation IdentifyAccount($input: IdentifyAccountInput!){identifyAccount(input:$input){id}}"
_TRACK = "mutation TrackEvent($input: TrackEventInput!){trackEvent(input:$input){success}}"
_SUBSCRIBE = "mutation SubscribeContact($input: SubscribeContactInput!){subscribeContact(input:$input){id value}}"
_UNSUBSCRIBE = (
    "mutation UnsubscribeContact($input: UnsubscribeContactInput!){unsubscribeContact(input:$input){success}}"
)


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST per mutation, in the order in which they must be made.

    Raises:
        Skip: the event names nobody, or lacks what its mutation requires.
    """
    if event.customer_id is None and event.type in {"login", "signup"}:
        raise Skip("no customerId")
    if event.customer_id is None and _anonymous_uid(event) is None:
        # A back-end SDK would make up a new visitor here, at every call.
        raise Skip("no customerId or anonymousId")
    return [_mutation(query, given, settings) for query, given in _mutations(event, settings)]


def build_release(_event: Event, settings: Settings, contacts: Sequence[Contact]) -> list[Request]:
    """One unsubscription for each contact: DashX keeps a token for every account that ever subscribed it."""
    return [
        _mutation(
            _UNSUBSCRIBE,
            {"value": contact.token, "accountUid": contact.uid, "accountAnonymousUid": contact.anonymous_uid},
            settings,
        )
        for contact in contacts
    ]


def contact(event: Event) -> Contact | None:
    """The contact that an event subscribes."""
    device = event.device
    if not device.push_token or device.platform is None or event.type not in {"login", "signup", "open", "push_token"}:
        return None
    return Contact(event.customer_id, _anonymous_uid(event), device.push_token)


def _mutations(event: Event, settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    names = settings.event_names
    match event.type:
        case "login" | "signup":
            yield _IDENTIFY, _profile(event)
            yield _TRACK, _tracked(event, getattr(names, event.type), settings)
            yield from _subscription(event, settings)
        case "identify":
            yield _IDENTIFY, _profile(event)
        case "open":
            yield _TRACK, _tracked(event, names.open, settings)
            yield from _subscription(event, settings)
        case "track":
            yield _TRACK, _tracked(event, event.name, settings)
        case "push_token":
            yield from _renewal(event, settings)
        case "logout":
            # First of all the pushes stop; DashX would go on sending them to the person who holds the device.
            yield from _withdrawal(event, event.device.push_token)
            if event.device.previous_push_token != event.device.push_token:
                # Its own withdrawal may have been overtaken by this logout, and would come too late then.
                yield from _withdrawal(event, event.device.previous_push_token)
            yield _TRACK, _tracked(event, names.logout, settings)


def _mutation(query: str, given: Mapping[str, object], settings: Settings) -> Request:
    known = {name: value for name, value in given.items() if value is not None}
    return json_request(
        f"{settings.base_url}/graphql",
        {"query": query, "variables": {"input": known}},
        {
            "x-public-key": settings.public_key,
            "x-private-key": settings.private_key,
            "x-target-environment": settings.target_environment,
        },
    )


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _anonymous_uid(event: Event) -> str | None:
    """The visitor's id where it is a UUID, in the case that it came in."""
    given = event.anonymous_id
    return given if given and _UUID.fullmatch(given) else None


def _account(event: Event) -> dict[str, object]:
    return {"accountUid": event.customer_id, "accountAnonymousUid": _anonymous_uid(event)}


def _profile(event: Event) -> dict[str, object]:
    """The account under the names of IdentifyAccountInput; one field that it does not know would fail the call."""
    traits = event.traits
    return {
        "uid": event.customer_id,
        "anonymousUid": _anonymous_uid(event),
        "email": event.email,
        "phone": event.phone,
        "name": traits.name,
        "firstName": traits.first_name,
        "lastName": traits.last_name,
        "systemContext": _system_context(event),
    }


def _tracked(event: Event, name: str | None, settings: Settings) -> dict[str, object]:
    if not name or not name.strip():
        raise Skip("no name")
    data = {
        **selected_properties(event.properties, settings.properties),
        **({"method": event.method} if event.method else {}),
    }
    return {
        "event": name,
        **_account(event),
        # Optional in the schema, yet the iOS SDK (2026) notes that a track without it is refused.
        "timestamp": iso8601_z(event.occurred_at),
        # DashX has no idempotency key: our id lets a call that was made twice be seen as one.
        "data": {**data, "event_id": event.event_id},
        "systemContext": _system_context(event),
    }


_ZONE = re.compile(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+")


@once
def _system_context(event: Event) -> dict[str, str] | None:
    """The client's network and place, all four or nothing: DashX fills a gap with the address of who calls, our own."""
    device, context = event.device, event.context
    zone = _ZONE.fullmatch(device.timezone or "")
    if not (zone and device.language and context.user_agent and context.ip and _is_ip_version_4(context.ip)):
        return None
    return {"ipV4": context.ip, "locale": device.language, "timeZone": zone[0], "userAgent": context.user_agent}


def _is_ip_version_4(text: str) -> bool:
    try:
        # A tenth of what the module ipaddress takes.
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


_KINDS = {"ios": "IOS", "android": "ANDROID", "web": "WEB"}
_SYSTEMS = {"ios": "iOS", "android": "Android"}


def _subscription(event: Event, settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    device = event.device
    if not device.push_token or device.platform is None:
        return
    app = {"identifier": device.app_id, "version": device.app_version}
    known = {name: value for name, value in app.items() if value is not None}
    library = {"name": settings.library.name, "version": settings.library.version}
    yield (
        _SUBSCRIBE,
        {
            "kind": _KINDS[device.platform],
            "value": device.push_token,
            **_account(event),
            "userAgent": event.context.user_agent,
            "osName": _SYSTEMS.get(device.platform),
            "osVersion": device.os_version,
            "deviceManufacturer": device.manufacturer or ("Apple" if device.platform == "ios" else None),
            "deviceModel": device.model,
            "deviceUid": device.id,
            "metadata": {**({"app": known} if known else {}), "library": library},
        },
    )


def _withdrawal(event: Event, token: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(token, str):
        yield _UNSUBSCRIBE, {"value": token, **_account(event)}


def _renewal(event: Event, settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The token before this one leaves, then this one joins: DashX knows a contact by its token, not by its device."""
    token, previous = event.device.push_token, event.device.previous_push_token
    if token is None:
        raise Skip("no pushToken")
    if token is False and previous is None:
        raise Skip("no token to unsubscribe")
    if token and event.device.platform is None:
        raise Skip("no platform")
    if previous != token:
        yield from _withdrawal(event, previous)
    yield from _subscription(event, settings)


_PERMANENT = {"FORBIDDEN", "NOT_FOUND", "UNPROCESSABLE_ENTITY"}
_CODES = {*_PERMANENT, "UNAUTHORIZED", "INTERNAL_SERVER_ERROR", "TOO_BUSY"}
# Texts that the SDKs' tests and the user management page show; some come without a code.
_REFUSALS = ("Incorrect Public Key", "Incorrect Identity Token", "Your API Key Pair has expired", "Permission denied")
_INVALID = re.compile(r"\b(variable|field|argument)\b\W*[\"'`$]|validation failed|syntax error", re.IGNORECASE)


def classify(response: Response) -> Verdict:
    """Reads GraphQL's errors, which come under a 200; data beside them means that the mutation ran.

    Source: error handling of the Android, iOS and Node SDKs, June 2026.
    """
    if not response.ok:
        return by_status(response)
    document = response.json()
    data, errors = (document.get("data"), document.get("errors")) if isinstance(document, dict) else (None, None)
    if isinstance(data, dict) and any(value is not None for value in data.values()):
        return _with_data(response, data, bool(errors))
    if not isinstance(errors, list) or not errors:
        return Verdict(VerdictKind.RETRY, f"HTTP {response.status} without data or errors", retry_after(response))
    meanings = {_meaning(error) for error in errors}
    codes = sorted({_code(error) or "error without a code" for error in errors})
    reason = f"HTTP {response.status}, {', '.join(codes)}"
    if VerdictKind.UNAUTHORIZED in meanings:
        return Verdict(VerdictKind.UNAUTHORIZED, reason)
    if VerdictKind.RETRY in meanings:
        return Verdict(VerdictKind.RETRY, reason, retry_after(response))
    return Verdict(VerdictKind.REJECTED, reason)


def _with_data(response: Response, data: Mapping[str, Any], errors: bool) -> Verdict:  # noqa: FBT001
    if errors:
        return Verdict(VerdictKind.DELIVERED, f"HTTP {response.status} with errors beside the data")
    failed = [name for name, payload in data.items() if isinstance(payload, dict) and payload.get("success") is False]
    if failed == ["unsubscribeContact"]:
        return Verdict(VerdictKind.DELIVERED, f"HTTP {response.status}, no such contact")
    if failed:
        return Verdict(VerdictKind.RETRY, f"HTTP {response.status} without success", retry_after(response))
    return Verdict(VerdictKind.DELIVERED, f"HTTP {response.status}")


def _code(error: object) -> str:
    """The error's code, "another code" for one that we do not know, or "": never a text that may quote what we sent."""
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    if not isinstance(code, str) or not re.fullmatch(r"[A-Z_]{1,64}", code):
        return ""
    return code if code in _CODES else "another code"


def _meaning(error: object) -> VerdictKind:
    code = _code(error)
    text = str(error.get("message")) if isinstance(error, dict) else ""
    if code == "UNAUTHORIZED" or (not code and text.startswith(_REFUSALS)):
        return VerdictKind.UNAUTHORIZED
    if code in _PERMANENT or (not code and _INVALID.search(text)):
        return VerdictKind.REJECTED
    return VerdictKind.RETRY


AGENT = Agent(
    name="dashx",
    purpose="messaging",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    ordered=True,
    build_release=build_release,
    contact=contact,
)
handler = lambda_handler(AGENT)
