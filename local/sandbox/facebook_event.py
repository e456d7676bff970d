"""One event of Meta's Conversions API: the form that it must have, and Meta's answers to one that has not."""

import re
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from local.sandbox.exchange import Findings, Json, VendorResponse
from local.sandbox.formats import (
    DIGEST,
    Check,
    anything,
    digest,
    identifier,
    ip_address,
    list_of,
    misfits,
    one_of,
    personal_data,
    text,
    true_or_false,
    whole_number,
)

DAY = 86_400
EXTINFO = 16
TOO_OLD = 2_804_003
TOO_WEAK = 2_804_050
NO_VALUE = 2_804_009
WEAK = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)
SECRET_PARAMETERS = {
    "access_token", "api_key", "auth", "code", "email", "id_token", "key", "otp", "password", "phone", "pwd",
    "reset", "reset_token", "secret", "session", "sid", "token",
}  # fmt: skip


APPENDIX = r"(\.([\w-]{2}|[\w-]{8}))?"
"""What Meta's parameter builder writes behind a digest or a cookie: its language, or that and its version."""


def hashed(value: Json) -> str:
    """Require one digest or a list of them, with or without the parameter builder's appendix."""
    return list_of(_bare)(value) if isinstance(value, list) else _bare(value)


def _bare(value: Json) -> str:
    return digest(re.sub(APPENDIX + "$", "", value, flags=re.ASCII) if isinstance(value, str) else value)


def unhashed(check: Check) -> Check:
    """Require a value that Meta wants in clear."""
    return lambda value: (
        "is hashed, but must not be" if isinstance(value, str) and DIGEST.fullmatch(value) else check(value)
    )


def extended_device(value: Json) -> str:
    """Require the sixteen strings of extinfo, null where unknown; its first and fifth entries must be filled."""
    if not isinstance(value, list) or not all(isinstance(entry, str | None) for entry in value):
        return "is not a list of strings"
    if len(value) != EXTINFO:
        return f"has {len(value)} entries, not {EXTINFO}"
    if value[0] not in {"a2", "i2"}:
        return f"begins with {value[0]!r}, not a2 or i2"
    return "" if value[4] else "lacks the OS version in its fifth entry"


def flag(value: Json) -> str:
    """Require 0 or 1, or a boolean as Meta's SDKs send it."""
    return "" if isinstance(value, bool) else one_of(0, 1)(value)


def web_address(value: Json) -> str:
    """Require an http(s) address without secrets in its query."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.netloc:
        return "is not a web address"
    secret = sorted({name.lower() for name, _ in parse_qsl(parts.query)} & SECRET_PARAMETERS)
    return f"has {', '.join(secret)} in its query" if secret or parts.password else ""


USER_DATA: dict[str, Check] = {
    **dict.fromkeys(("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "external_id"), hashed),
    "client_ip_address": unhashed(ip_address),
    "client_user_agent": unhashed(text()),
    "fbc": unhashed(text(r"fb\.\d\.\d{13}\.\S+", form="fb.{index}.{ms}.{fbclid}")),
    "fbp": unhashed(text(rf"fb\.\d\.\d{{13}}\.\d+{APPENDIX}", form="fb.1.{ms}.{random}")),
    "madid": unhashed(identifier),
    "lead_id": whole_number(1),
    "fb_login_id": whole_number(1),
    **dict.fromkeys(
        ("subscription_id", "anon_id", "page_id", "page_scoped_user_id", "ctwa_clid", "ig_account_id", "ig_sid"),
        unhashed(text()),
    ),
}
APP_DATA: dict[str, Check] = {
    "advertiser_tracking_enabled": flag,
    "application_tracking_enabled": flag,
    "extinfo": extended_device,
    "vendor_id": text(),
    "campaign_ids": text(),
    "install_referrer": text(),
    "installer_package": text(),
    "url_schemes": list_of(text()),
    "windows_attribution_id": text(),
}
EVENT: dict[str, Check] = {
    "event_name": text(r"[0-9a-zA-Z_][0-9a-zA-Z _-]{0,39}", form="an event name of at most 40 characters"),
    "event_time": whole_number(1),
    "event_id": text(),
    "user_data": anything,
    "action_source": one_of(
        "email", "website", "app", "phone_call", "chat", "physical_store", "system_generated", "business_messaging",
        "other",
    ),
    "event_source_url": web_address,
    "referrer_url": web_address,
    "opt_out": true_or_false,
    "custom_data": anything,
    "data_processing_options": lambda value: "" if value in ([], ["LDU"]) else 'is neither [] nor ["LDU"]',
    "data_processing_options_country": whole_number(0),
    "data_processing_options_state": whole_number(0),
    "app_data": anything,
    # Members that Meta's own SDKs send (facebook-business 26.0.3); their form is not looked at.
    **dict.fromkeys(("original_event_data", "attribution_data", "advanced_measurement_table"), anything),
    "messaging_channel": text(),
}  # fmt: skip


def error(status: int, code: int, message: str, subcode: int | None = None, title: str = "") -> VendorResponse:
    """A failure as the Graph API responds."""
    body: dict[str, Json] = {"message": message, "type": "OAuthException", "code": code}
    if subcode is not None:
        body["error_subcode"] = subcode
    body["is_transient"] = False
    if title:
        body |= {"error_user_title": title, "error_user_msg": title}
    return VendorResponse.json(status, {"error": body | {"fbtrace_id": trace()}})


def invalid(subcode: int | None = None, title: str = "") -> VendorResponse:
    """Error 100, which stands for every payload that Meta does not take."""
    return error(400, 100, "Invalid parameter", subcode, title)


def check_event(event: Json, at: str, now: float, findings: Findings) -> None:
    """Check one event of a batch, which stands at `at`, as of `now` (Unix seconds)."""
    if not isinstance(event, dict):
        findings.refuse(f"{at} is not an object", invalid())
        return
    required = ("event_name", "event_time", "user_data", "action_source")
    findings.refuse_each(misfits(event, at, EVENT, required), invalid())
    if "event_id" not in event:
        findings.note(f"{at}.event_id is missing: a retry would count twice")
    _check_time(event, at, now, findings)
    _check_user_data(event.get("user_data"), at, now, findings)
    _check_source(event, at, findings)
    _check_custom_data(event, at, findings)
    if event.get("data_processing_options") == ["LDU"]:
        for name in ("data_processing_options_country", "data_processing_options_state"):
            if name not in event:
                findings.refuse(f"{at}.{name} is missing beside LDU", invalid())


def _check_time(event: dict[str, Json], at: str, now: float, findings: Findings) -> None:
    when = event.get("event_time", 0)
    if whole_number(1)(when):
        return
    # 62 days are for physical stores only; one older event rejects the entire request.
    oldest = now - DAY * (62 if event.get("action_source") == "physical_store" else 7)
    if when < oldest:
        findings.refuse(f"{at}.event_time is too old", invalid(TOO_OLD, "Event Timestamp Too Old"))
    elif when > now + 60:
        findings.refuse(f"{at}.event_time is in the future, or not in seconds", invalid())


def _check_user_data(people: Json, at: str, now: float, findings: Findings) -> None:
    if not isinstance(people, dict):
        findings.refuse(f"{at}.user_data is not an object", invalid(TOO_WEAK))
        return
    for where, wrong in misfits(people, f"{at}.user_data", USER_DATA):
        if where.endswith(".external_id"):
            # Meta recommends the hash and takes clear text as well; our contract chose the hash.
            findings.note(f"{where} {wrong}")
        else:
            findings.refuse(f"{where} {wrong}", invalid())
    usable = {name for name, value in people.items() if value not in (None, "", [])}
    if any(usable <= weak for weak in WEAK):
        findings.refuse(f"{at}.user_data is too weak to match anybody", invalid(TOO_WEAK, "Not enough customer data"))
    click = people.get("fbc")
    if isinstance(click, str) and not USER_DATA["fbc"](click) and int(click.split(".")[2]) / 1000 < now - 90 * DAY:
        findings.note(f"{at}.user_data.fbc is older than 90 days")


def _check_source(event: dict[str, Json], at: str, findings: Findings) -> None:
    people = event.get("user_data")
    people = people if isinstance(people, dict) else {}
    agent = people.get("client_user_agent")
    if event.get("action_source") == "website":
        if "event_source_url" not in event:
            findings.refuse(f"{at}.event_source_url is missing for a website event", invalid())
        if not agent:
            findings.refuse(f"{at}.user_data.client_user_agent is missing for a website event", invalid())
    if event.get("action_source") == "app" or "app_data" in event:
        app = event.get("app_data")
        required = ("advertiser_tracking_enabled", "application_tracking_enabled", "extinfo")
        for where, wrong in misfits(app, f"{at}.app_data", APP_DATA, required):
            _refuse_or_note(where, wrong, findings)
        if isinstance(app, dict) and app.get("advertiser_tracking_enabled") in (0, False) and "madid" in people:
            findings.note(f"{at}.user_data.madid is sent though advertiser_tracking_enabled is 0")


def _refuse_or_note(where: str, wrong: str, findings: Findings) -> None:
    # An extinfo of 18 entries once failed without a word (Segment's tests); the docs disagree on whether
    # application_tracking_enabled is required.
    if "entries" in wrong or (where.endswith("application_tracking_enabled") and wrong == "is missing"):
        findings.note(f"{where} {wrong}")
    else:
        findings.refuse(f"{where} {wrong}", invalid())


def _check_custom_data(event: dict[str, Json], at: str, findings: Findings) -> None:
    custom = event.get("custom_data", {})
    if not isinstance(custom, dict):
        findings.refuse(f"{at}.custom_data is not an object", invalid())
    elif event.get("event_name") == "Purchase" and not isinstance(custom.get("value"), int | float):
        findings.refuse(f"{at}.custom_data.value is missing for a Purchase", invalid(NO_VALUE))
    findings.note(*_clear(event, at))


def _clear(event: dict[str, Json], at: str) -> Iterator[str]:
    people = event.get("user_data")
    in_clear = {"client_user_agent", "madid", "fbc", "fbp"}
    yield from personal_data({name: event[name] for name in event if name != "user_data"}, at)
    if isinstance(people, dict):
        yield from personal_data({name: people[name] for name in people if name not in in_clear}, f"{at}.user_data")


def trace() -> str:
    """Make up a trace id, as every answer has one."""
    return "A" + secrets.token_urlsafe(14)
