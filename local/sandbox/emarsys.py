"""Emarsys Mobile Engage v2 as the sandbox plays it: devices linked to contacts, in the order of arrival."""

import re
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote

from local.sandbox.exchange import (
    KEPT,
    CheckResult,
    Findings,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)
from local.sandbox.formats import Check, misfits, one_of, personal_data, text, true_or_false, whole_number, within

ROOT = "/api/mobileengage/v2"
LOGIN, LOGOUT = f"{ROOT}/users/login", f"{ROOT}/users/logout"
EVENT = re.compile(rf"{ROOT}/events/([^/]+)")
E_MAIL_FIELD = 3
UNKNOWN = "unknown"
"""What the vendor's SDK for Android sends for a version that it does not know (2018)."""

SWITCH = one_of("enabled", "disabled", "notSupported")


def push_token(value: Json) -> str:
    """Require a token, or one of the two ways to say that there is none."""
    if value is False or value == "false":
        return ""
    wrong = text()(value) or ("is the word true" if value == "true" else "")
    return wrong and f"{wrong}, neither a token nor false"


def or_unknown(check: Check) -> Check:
    """Require a value of a form, or the word for none."""
    return lambda value: "" if value == UNKNOWN else check(value)


def contact_field(value: Json) -> str:
    """Require the number of a field that may identify a contact; an e-mail address may not."""
    return whole_number(1)(value) or ("is the e-mail field" if value == E_MAIL_FIELD else "")


def contact_value(value: Json) -> str:
    """Require what may identify a contact: a digest or an id, which fit a short-text field, and no contact data."""
    # A short-text field holds 60 characters: a whole SHA-256 would be cut.
    wrong = text(longest=60)(value) or ("" if value.isprintable() else "is not printable")
    return wrong or ("is an e-mail address or a phone number" if any(personal_data(value, "")) else "")


def attributes(value: Json) -> str:
    """Require a map of strings to strings; without any it must be left out."""
    if not isinstance(value, dict) or not value:
        return "is not a map, or an empty one"
    return next((f"is not text at {name}" for name, held in value.items() if not isinstance(held, str)), "")


PUSH_SETTINGS: dict[str, Check] = {
    "authorization_status": one_of("authorized", "denied", "provisional", "notDetermined"),
    **dict.fromkeys(
        [
            f"{name}_setting"
            for name in (
                "sound", "badge", "alert", "notification_center", "lock_screen", "car_play", "critical_alert",
            )
        ],
        SWITCH,
    ),
    "alert_style": one_of("alert", "banner", "none"),
    "show_previews_setting": one_of("always", "whenAuthenticated", "never"),
    "provides_app_notification_settings": true_or_false,
}  # fmt: skip
WHO: dict[str, Check] = {
    "application_id": text(),
    "hardware_id": text(),
    "contact_field_id": contact_field,
    "contact_field_value": contact_value,
}
LOGIN_BODY: dict[str, Check] = WHO | {
    "platform": one_of("ios", "android"),
    "language": text(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*", form="a language code"),
    "timezone": text(r"[+-](0\d|1[0-4])[0-5]\d", form="an RFC 822 offset such as +0200"),
    "device_model": or_unknown(text()),
    "application_version": or_unknown(text(r"\d+(\.\d+){0,2}", form="major[.minor[.patch]]")),
    "os_version": or_unknown(text(r"\d+(\.\d+){0,2}", form="major[.minor[.patch]]")),
    "push_token": push_token,
    "ems_sdk": text(),
    "push_settings": within(PUSH_SETTINGS),
}
LOGIN_REQUIRED = (
    "application_id", "hardware_id", "platform", "language", "timezone", "device_model", "application_version",
    "os_version", "push_token",
)  # fmt: skip
EVENT_BODY: dict[str, Check] = WHO | {"attributes": attributes}
OPEN_BODY: dict[str, Check] = WHO | {"sid": text(), "source": one_of("inbox")}


@dataclass
class Device:
    """What Mobile Engage keeps of one installation of one app."""

    customer: str | None = None
    push_token: str | None = None


class Emarsys:
    """Links devices to contacts; the last call to arrive wins, however late it is."""

    name = "emarsys"
    title = "Emarsys"

    def __init__(self, settings: Settings) -> None:
        """Begin with no devices and no contacts."""
        self.settings = settings
        self._devices: dict[tuple[str, str], Device] = {}
        self._contacts = 0
        self._events: deque[dict[str, Json]] = deque(maxlen=KEPT)

    def check(self, request: Request, now: float) -> CheckResult:  # noqa: ARG002 - v2 carries no times
        """Check one login, logout or custom event."""
        event = EVENT.fullmatch(request.path)
        if request.method != "POST" or (request.path not in {LOGIN, LOGOUT} and event is None):
            return not_found(request)
        findings = Findings()
        application, code = self._check_caller(request, findings)
        findings.note(*transport_faults(request))
        findings.note(*(f"query: {name} is not expected" for name in request.query))
        table, required = _shape(request.path, event[1] if event else "")
        body = _parse(request, table, required, findings)
        self._check_agreement(body, application, code, findings)
        if event is not None:
            name = _event_name(event[1], findings)
            return findings.result(lambda: self._record(body, name))
        return findings.result(lambda: self._login(body) if request.path == LOGIN else self._logout(body))

    def state(self) -> dict[str, Json]:
        """Show who is linked to each device and whose pushes it gets."""
        devices = {
            hardware_id: {
                "applicationId": application_id,
                "customer": device.customer,
                "pushToken": device.push_token,
                "pushesGoTo": device.customer if device.push_token else None,
            }
            # A logout may have come for each application; the one that is linked says who gets the pushes.
            for (application_id, hardware_id), device in sorted(
                self._devices.items(), key=lambda one: _is_linked(one[1])
            )
        }
        return {"devices": devices, "events": list(self._events)}

    def reset(self) -> None:
        """Lose devices, contacts and events."""
        self._devices.clear()
        self._events.clear()
        self._contacts = 0

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return unquote("/".join(request.path.split("/")[-2:]))

    def _check_caller(self, request: Request, findings: Findings) -> tuple[str, str]:
        code, password = request.basic()
        for platform, application in self.settings.get("applications", {}).items():
            if code and code == application.get("code") and password == application.get("password"):
                return platform, code
        if self.settings or not code:
            findings.refuse(
                "authorization: not Basic with an application's code and password",
                VendorResponse.json(401, {"error": "Invalid HTTP Basic Authentication."}),
            )
        return "", code

    def _check_agreement(self, body: dict[str, Json], application: str, code: str, findings: Findings) -> None:
        if code and body and body.get("application_id") != code:
            findings.refuse("application_id is not the code of the Basic header", _bad_request())
        if ("contact_field_id" in body) != ("contact_field_value" in body):
            findings.refuse("contact_field_id and contact_field_value: both or neither", _bad_request())
        field = self.settings.get("contact_field_id")
        if field is not None and body.get("contact_field_id", field) != field:
            findings.note(f"contact_field_id is {body['contact_field_id']!r}, not the configured {field}")
        shared = len({held.get("code") for held in self.settings.get("applications", {}).values()}) == 1
        if application and not shared and body.get("platform", application) != application:
            findings.note(f"platform is {body['platform']!r}, but the code belongs to {application}")
        language = body.get("language")
        if isinstance(language, str) and not re.fullmatch(r"[a-z]{2}", language):
            # The vendor's page wants ISO 639-1, its later SDKs send BCP 47; only the vendor knows what v2 makes of it.
            findings.note(f"language is {language}, not an ISO 639-1 code of two letters")
        if "push_settings" in body and body.get("platform") == "android":
            findings.note("push_settings is for ios only")

    def _login(self, body: dict[str, Json]) -> VendorResponse:
        device = self._device(body)
        device.push_token = None if body["push_token"] in (False, "false") else body["push_token"]
        known = body.get("contact_field_value")
        if known is not None:
            device.customer = known
            return VendorResponse(202)
        if not (device.customer or "").startswith("anonymous:"):
            self._contacts += 1
            device.customer = f"anonymous:{self._contacts}"
        number = device.customer.removeprefix("anonymous:") if device.customer else ""
        me = {"api_me_id": number, "me_id_signature": f"signature-{number}", "contact_id": number}
        return VendorResponse.json(202, me)

    def _logout(self, body: dict[str, Json]) -> VendorResponse:
        device = self._device(body)
        device.customer = device.push_token = None
        return VendorResponse(202)

    def _record(self, body: dict[str, Json], name: str) -> VendorResponse:
        self._events.append(
            {
                "name": name,
                "hardwareId": body["hardware_id"],
                "customer": body.get("contact_field_value"),
                "attributes": body.get("attributes", {}),
            }
        )
        return VendorResponse(201 if name == "message_open" else 202)

    def _device(self, body: dict[str, Json]) -> Device:
        return self._devices.setdefault((body["application_id"], body["hardware_id"]), Device())


def _is_linked(device: Device) -> bool:
    return device.customer is not None


def _bad_request() -> VendorResponse:
    return VendorResponse.json(400, {"error": "Wrong input or missing mandatory parameter."})


def _shape(path: str, event_segment: str) -> tuple[dict[str, Check], tuple[str, ...]]:
    if path == LOGIN:
        return LOGIN_BODY, LOGIN_REQUIRED
    if path == LOGOUT:
        return WHO, ("application_id", "hardware_id")
    if event_segment == "message_open":
        return OPEN_BODY, ("application_id", "hardware_id", "sid")
    return EVENT_BODY, ("application_id", "hardware_id")


def _parse(request: Request, table: dict[str, Check], required: tuple[str, ...], findings: Findings) -> dict[str, Json]:
    body = findings.read(request, _bad_request())
    if body is None:
        return {}
    for where, wrong in misfits(body, "", table, required):
        if wrong == "is not a known field":
            findings.note(f"{where} {wrong}")
        else:
            findings.refuse(f"{where} {wrong}", _bad_request())
    return body


def _event_name(segment: str, findings: Findings) -> str:
    # The SDKs put the name into the path as it is; a name with reserved characters then hits another path.
    if not re.fullmatch(r"([A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})+", segment):
        findings.note(f"path: the event name {segment} is not percent-encoded")
    return unquote(segment)
