"""appsflyer: sends AppsFlyer's server-to-server API in-app events of iOS and Android, one event a request."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings
from relay.agent.http import Request, Response, Value
from relay.agent.once import once
from relay.agent.privacy import (
    Allowed,
    NotPhones,
    are_flat,
    client_ip,
    count_withheld,
    scrub_emails,
    selected_properties,
    shareable_properties,
)
from relay.agent.profile import digest
from relay.agent.settings import BaseUrl, PrintableSecret, SettingsModel, iso8601_z
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.handler import lambda_handler
from relay.encoding import encode
from relay.errors import Skip
from relay.event.model import Consent, Device, Event, PropertyValue
from relay.event.pii import contains_contact, contains_email, is_personal_data, reject_contact
from relay.event.stand_ins import is_stand_in

MAX_BODY_BYTES = 1024
"""AppsFlyer takes at most 1 KB of JSON (server-to-server specification, 2026-08)."""

MAX_NAME = 100
MAX_CUSTOMER_USER_ID = 64
"""What AppsFlyer's CTV interface allows (2026-08); the mobile one, which shares the id, names no length."""

# AppsFlyer's own names; any other that begins with af_ is not allowed (in-app event names, 2026-08).
_PREDEFINED = {
    "af_achievement_unlocked", "af_ad_click", "af_ad_view", "af_add_payment_info", "af_add_to_cart",
    "af_add_to_wishlist", "af_complete_registration", "af_content_view", "af_initiated_checkout", "af_invite",
    "af_level_achieved", "af_list_view", "af_location_changed", "af_login", "af_opened_from_push_notification",
    "af_purchase", "af_rate", "af_re_engage", "af_search", "af_share", "af_spent_credits", "af_start_trial",
    "af_subscribe", "af_travel_booking", "af_tutorial_completion", "af_update",
}  # fmt: skip


def _is_name(name: str) -> bool:
    own = not name.lower().startswith("af_")
    return bool(name.strip()) and len(name) <= MAX_NAME and (own or name in _PREDEFINED)


def _event_name(name: str) -> str:
    if not _is_name(name):
        raise PydanticCustomError(
            "name_not_allowed", "must have 1 to 100 characters, and begin with af_ only if AppsFlyer has predefined it"
        )
    return name


def _ios_app_id(app_id: str) -> str:
    if not re.fullmatch(r"id[0-9]+", app_id):
        raise PydanticCustomError(
            "not_id_and_digits",
            "must be 'id' and digits, as in id123456789: AppsFlyer drops events for a number without 'id'",
        )
    return app_id


EventName = Annotated[str, AfterValidator(_event_name), AfterValidator(reject_contact)]


class EventNames(SettingsModel):
    """What events are called at AppsFlyer, which has predefined names for a login and a registration only."""

    login: EventName = "af_login"
    logout: EventName = "logout"
    open: EventName = "app_open"
    signup: EventName = "af_complete_registration"


class Settings(AgentSettings):
    """The apps as AppsFlyer knows them, at least one, and the server-to-server key, which is not the SDK's dev key.

    `send_hashed_contact` lets the SHA-256 of e-mail address, phone number and names go along.
    """

    s2s_key: PrintableSecret
    android_app_id: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$")
    ios_app_id: Annotated[str, AfterValidator(_ios_app_id)] | None = None
    base_url: BaseUrl = "https://api3.appsflyer.com"
    event_names: EventNames = EventNames()
    send_hashed_contact: bool = True
    properties: Allowed = "all"
    not_phone_numbers: NotPhones = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_an_app(self) -> Self:
        if self.android_app_id is None and self.ios_app_id is None:
            raise PydanticCustomError("no_app_id", "android_app_id, ios_app_id or both are required")
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the app's own address, without what does not fit into AppsFlyer's 1 KB.

    Raises:
        Skip: AppsFlyer has no use for the event, cannot tell the installation, or would not take the smallest form.
    """
    return [_made(event, settings)[0]]


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """What the request leaves out of the event."""
    return _made(event, settings)[1]


@once
def _made(event: Event, settings: Settings) -> tuple[Request, tuple[str, ...]]:
    event = scrub_emails(event)
    name = _name(event, settings)
    url = f"{settings.base_url}/inappevent/{_app_id(event, settings)}"
    headers: dict[str, Value] = {"content-type": "application/json", "authentication": settings.s2s_key}
    properties, lost = _parameters(event, settings)
    document = _body(event, name, settings)
    withheld = _withheld_ids(event, document)
    body, shortened = _fitted(document, event, properties)
    return Request(url, body, headers), (*withheld, *lost, *shortened)


def _withheld_ids(event: Event, body: Mapping[str, Any]) -> list[str]:
    withheld = []
    if event.customer_id and "customer_user_id" not in body:
        withheld.append("customer_user_id is left out: it is too long or looks like a contact")
    if event.device.app_set_id and event.device.platform == "android" and "app_set_id" not in body:
        withheld.append("app_set_id is left out: it needs a UUID and appSetScope")
    return withheld


def _name(event: Event, settings: Settings) -> str:
    # The settings' own names were looked at when they were read.
    name = event.name if event.type == "track" else getattr(settings.event_names, event.type, None)
    if name is None:
        raise Skip(f"no use for {event.type}")
    if event.type == "track" and (not _is_name(name) or contains_contact(name)):
        raise Skip("event name not allowed by AppsFlyer")
    return str(name)


# The specification's pattern wants 19 digits at the end on Android, its examples show 7 (2026-08).
_APPSFLYER_ID = re.compile(r"[0-9]{13}-[0-9]+")


def _app_id(event: Event, settings: Settings) -> str:
    platform = event.device.platform
    if platform == "web":
        raise Skip("not a mobile app")
    if event.ids.appsflyer_id is None:
        raise Skip("no appsflyerId")
    if not _APPSFLYER_ID.fullmatch(event.ids.appsflyer_id):
        raise Skip("malformed appsflyerId")
    app_id = settings.android_app_id if platform == "android" else settings.ios_app_id if platform == "ios" else None
    if app_id is None:
        raise Skip(f"no app id for {platform or 'an unknown platform'}")
    return app_id


_LIST_OF_ITEMS = {
    "af_content_id": ("item_id", "id"),
    "af_price": ("price", "item_price"),
    "af_quantity": ("quantity",),
}
"""AppsFlyer's parameters of several products, lists of one length (in-app event parameters, 2026-08)."""


def _parameters(event: Event, settings: Settings) -> tuple[dict[str, PropertyValue], list[str]]:
    """The properties, a shop's items as lists, and the remark where AppsFlyer, which reads no objects, loses others."""
    given = shareable_properties(event.properties, settings.properties, settings.not_phone_numbers)
    if are_flat(given):
        return given, []
    plain = {name: value for name, value in given.items() if not _holds_objects(value)}
    goods = {name: value for name, value in _goods(given.get("items")).items() if name not in plain}
    lost = given.keys() - plain.keys() - ({"items"} if goods else set())
    return plain | goods, ["properties that hold objects are left out, except items"] if lost else []


def _holds_objects(value: PropertyValue) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, list | dict) for one in value))


def _goods(items: PropertyValue | None) -> dict[str, PropertyValue]:
    """Lists of one length: a parameter that any of the items lacks goes as a whole."""
    products = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    found: dict[str, list[Any]] = {
        name: [next((one[key] for key in keys if key in one), None) for one in products]
        for name, keys in _LIST_OF_ITEMS.items()
    }
    return {name: values for name, values in found.items() if values and None not in values}


def _fitted(body: dict[str, Any], event: Event, properties: Mapping[str, PropertyValue]) -> tuple[bytes, list[str]]:
    """The largest form that AppsFlyer takes, and what it lacks.

    Raises:
        Skip: AppsFlyer would not take the smallest form.
    """
    body["eventValue"] = whole = _event_value(event, properties)
    encoded = encode(body)
    if len(encoded) <= MAX_BODY_BYTES:
        return encoded, []
    fields, consent = list(body), body.get("consent_data")
    for document in _ever_smaller(body, event, properties):
        encoded = encode(document)
        if len(encoded) <= MAX_BODY_BYTES:
            lost = [f"{name} is left out: AppsFlyer takes 1 KB" for name in fields if name not in document]
            if document["eventValue"] != whole:
                lost.insert(0, "properties are left out: AppsFlyer takes 1 KB")
            if document.get("consent_data") != consent:
                lost.append("consent_data is the short form: AppsFlyer takes 1 KB")
            return encoded, lost
    raise Skip("larger than AppsFlyer's 1 KB")


# Fields that go, one by one in this order, when the event's own properties have gone and the body is still too large.
_EXPENDABLE = ("ua", "app_set_id", "last_name_hashed", "first_name_hashed", "phone_number_e164_hashed", "email_hashed")


def _ever_smaller(
    body: dict[str, Any], event: Event, properties: Mapping[str, PropertyValue]
) -> Iterator[dict[str, Any]]:
    """The body with less and less; what the person consented to stays, put shorter last."""
    while properties:
        properties = dict(list(properties.items())[:-1])
        body["eventValue"] = _event_value(event, properties)
        yield body
    for field in _EXPENDABLE:
        if body.pop(field, None) is not None:
            yield body
    if manual := _manual_consent(event.consent):
        yield body | {"consent_data": {"manual": manual}}


def _event_value(event: Event, properties: Mapping[str, PropertyValue]) -> str:
    """JSON within JSON; our event id goes along, the only key to AppsFlyer's raw data, which has no field for one."""
    if event.type in {"logout", "open"} and not properties:
        return ""
    joins = event.method and event.type in {"login", "signup"}
    may_go = joins and not is_personal_data("af_registration_method", event.method)
    method = {"af_registration_method": event.method} if may_go else {}
    return encode({**method, **properties, "event_id": event.event_id}).decode()


_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")


def _body(event: Event, name: str, settings: Settings) -> dict[str, Any]:
    device, context, consent = event.device, event.context, event.consent
    package = settings.android_app_id if device.platform == "android" else None
    may_share_contact = settings.send_hashed_contact and not consent.sale_opt_out
    known = {
        "appsflyer_id": event.ids.appsflyer_id,
        "customer_user_id": _customer_user_id(event.customer_id),
        "eventName": name,
        "eventTime": iso8601_z(event.occurred_at)[:-1].replace("T", " "),
        "os": device.os_version if _VERSION.fullmatch(device.os_version or "") else None,
        "app_version_name": None if is_stand_in(device.app_version or "") else device.app_version,
        "bundleIdentifier": device.app_id or package,
        **_device_ids(device),
        "ip": _ip_version_4(context.ip),
        "ua": context.user_agent,
        "consent_data": _consent_data(consent),
        "sharing_filter": "all" if consent.sale_opt_out else None,
        "eventCurrency": _currency(event, settings),
        **(_hashed_contact(event) if may_share_contact else {}),
    }
    return {field: value for field, value in known.items() if value is not None}


def _currency(event: Event, settings: Settings) -> str | None:
    """ISO 4217 of the property `af_currency`, else of `currency`; without it AppsFlyer reads the app's own currency."""
    given = selected_properties(event.properties, settings.properties)
    for code in (given.get("af_currency"), given.get("currency")):
        if isinstance(code, str) and re.fullmatch("[A-Z]{3}", code.upper()):
            return code.upper()
    return None


_IN_CLEAR = re.compile(r"@|^\+[0-9]")


def _customer_user_id(customer_id: str | None) -> str | None:
    """The account where AppsFlyer may have it: not an e-mail address or phone number in clear, and not cut short."""
    if not customer_id or len(customer_id) > MAX_CUSTOMER_USER_ID:
        return None
    return None if _IN_CLEAR.search(customer_id) or contains_email(customer_id) else customer_id


_ATT = {"notDetermined": 0, "restricted": 1, "denied": 2, "authorized": 3}


def _device_ids(device: Device) -> dict[str, Any]:
    """Advertising ids where the person lets them be shared, and whether: `att` on iOS, else `aie`."""
    may_share = device.ad_tracking is not False
    if device.platform == "android":
        ids = {"advertising_id": device.advertising_id, "oaid": device.oaid, "amazon_aid": device.amazon_aid}
        shared = {name: _identifier(value) for name, value in ids.items() if value and may_share}
        return {"aie": device.ad_tracking, **shared, "app_set_id": _app_set(device)}
    idfa, idfv = _identifier(device.advertising_id), _identifier(device.vendor_id)
    if device.att_status is not None:
        may_share = device.att_status == "authorized"
    return {
        "att": _ATT.get(device.att_status or ""),
        "aie": device.ad_tracking if device.att_status is None else None,
        "idfa": idfa.upper() if idfa and may_share else None,
        "idfv": idfv.upper() if idfv else None,
    }


_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _identifier(value: str | None) -> str | None:
    """An advertising or vendor id; AppsFlyer answers 400 to the zeros that a device gives when tracking is off."""
    return value if value and _UUID.fullmatch(value) and value.strip("0-") else None


def _app_set(device: Device) -> dict[str, Any] | None:
    """Android's id of an installation or a developer; it is not for advertising, so ad tracking does not matter."""
    identifier = _identifier(device.app_set_id)
    return {"scope": device.app_set_scope, "id": identifier} if identifier and device.app_set_scope else None


def _ip_version_4(value: str | None) -> str | None:
    """The person's address in the one form that AppsFlyer's pattern admits; 0.0.0.0 is nobody's."""
    address = client_ip(value)
    return None if address and ":" in address else address


def _consent_data(consent: Consent) -> dict[str, Any] | None:
    if consent.tcf is None:
        manual = _manual_consent(consent)
        return {"manual": manual} if manual else None
    tcf = {
        "policy_version": consent.tcf.policy_version,
        "gdpr_applies": -1 if consent.gdpr_applies is None else int(consent.gdpr_applies),
        "cmp_sdk_id": consent.tcf.cmp_sdk_id,
        "cmp_sdk_version": consent.tcf.cmp_sdk_version,
        "tcstring": consent.tcf.tc_string,
    }
    return {"tcf": tcf}


def _manual_consent(consent: Consent) -> dict[str, bool] | None:
    """What the person allowed in AppsFlyer's words; a consent that nobody recorded is not claimed."""
    if consent.gdpr_applies is None:
        return None
    if not consent.gdpr_applies:
        return {"gdpr_applies": False}
    granted = consent.advertising is True
    return {
        "gdpr_applies": True,
        "ad_user_data_enabled": granted,
        "ad_personalization_enabled": granted and consent.ad_personalization is not False,
    }


def _hashed_contact(event: Event) -> dict[str, str]:
    """Digests of the trimmed, lower-case text; the phone number keeps its plus in the field of that name."""
    traits = event.traits
    contact = {
        "email_hashed": event.email or event.email_sha256,
        "phone_number_e164_hashed": event.phone or event.phone_sha256,
        "first_name_hashed": traits.first_name,
        "last_name_hashed": traits.last_name,
    }
    return {field: digest(text, normal) for field, text in contact.items() if text and (normal := text.strip().lower())}


_REFUSED = re.compile(r"failed to authenticate|\bapp[_ ]?id\b", re.IGNORECASE)


def classify(response: Response) -> Verdict:
    """Reads the plain text of a 400, which is also how AppsFlyer answers a wrong key or another app's.

    Only `OK` says that an event was taken; what is recorded of it shows in AppsFlyer's raw data alone (2026-08).
    """
    reason = f"HTTP {response.status}"
    if response.status == 400 and _REFUSED.search(response.text):  # noqa: PLR2004
        return Verdict(VerdictKind.UNAUTHORIZED, f"{reason}, key or app id refused")
    if response.ok and response.text.strip().upper() != "OK":
        return Verdict(VerdictKind.UNCONFIRMED, f"{reason} without OK")
    return by_status(response)


AGENT = Agent(
    name="appsflyer",
    purpose="advertising",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    # An event has no id at AppsFlyer: the same one twice counts twice, for ever.
    repeatable=False,
    count_withheld=lambda event, settings: count_withheld(
        event.properties, settings.properties, settings.not_phone_numbers
    ),
    remarks=remarks,
)
handler = lambda_handler(AGENT)
