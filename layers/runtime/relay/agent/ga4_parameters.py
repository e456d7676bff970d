"""The parameters of an event at Google Analytics 4: its session, its page, its commerce and its properties."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from relay.agent.ga4 import APPS, MAX_TEXT, Ga4Settings, fits, is_name, plain
from relay.agent.privacy import shareable_properties
from relay.event.model import Event, PropertyValue
from relay.event.pii import contains_contact, contains_email, is_personal_data

MAX_PARAMS = 25

PAGE_TEXTS = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
"""Characters of a page's parameters (support.google.com/analytics/answer/9267744, Event collection limits, 2026)."""

MAX_ITEMS = 200
MAX_ITEM_PARAMS = 27
"""What one event and one item hold: recommended events and event collection limits (2026)."""

# Parameters that come from elsewhere in the event or from the settings, or may not be there.
_NOT_A_PROPERTY = {"session_id", "engagement_time_msec", "engagementTimeMsec", "debug_mode", "user_id"}
_OF_COMMERCE = {"items", "currency", "value", "transaction_id"}
_OF_ELSEWHERE = _NOT_A_PROPERTY | _OF_COMMERCE | PAGE_TEXTS.keys()
Params = dict[str, PropertyValue]


def parameters(event: Event, settings: Ga4Settings) -> tuple[Params, list[str]]:
    """The event's parameters, 25 at most, and what was cut or left out of the event."""
    given = shareable_properties(event.properties, settings.properties, settings.not_phone_numbers)
    commerce, remarks = _commerce({name: value for name, value in given.items() if name in _OF_COMMERCE})
    page, cut = _page(event, given)
    known = _session(event, debug=settings.debug_mode) | page | commerce
    others = {name: value for name, value in given.items() if name not in known and name not in _OF_ELSEWHERE}
    own = {name: plain(value) for name, value in others.items() if is_name(name) and fits(value)}
    room, lost = MAX_PARAMS - len(known), {name: value for name, value in others.items() if name not in own}
    said = {
        "parameters with names that Google does not take are left out": not all(map(is_name, lost)),
        "lists and objects other than items are left out": any(isinstance(v, list | dict) for v in lost.values()),
        "texts longer than 100 characters are left out": any(map(_is_long, lost.values())),
        "parameters beyond 25 are left out": len(own) > room,
        "gaSessionId has no form that Google writes": bool(event.ids.ga_session_id) and "session_id" not in known,
    }
    remarks += [*cut, *(sentence for sentence, is_so in said.items() if is_so)]
    return known | dict(list(own.items())[:room]), remarks


def _session(event: Event, *, debug: bool) -> Params:
    session, engaged = _session_id(event.ids.ga_session_id), event.properties.get("engagementTimeMsec")
    known: Params = {
        # Without it nobody counts as active; 1 is what Google's own examples fall back on.
        "engagement_time_msec": engaged if type(engaged) is int and engaged > 0 else 1,
    }
    if session:
        known["session_id"] = session
    if event.method and fits(event.method) and not is_personal_data("method", event.method):
        known["method"] = event.method
    return known | ({"debug_mode": 1} if debug else {})


# The cookie _ga_<stream>: GS1.1.<session>.<more>, and since May 2025 GS2.1.s<session>$<more> in any order.
_SESSION = re.compile(
    r"([0-9]{1,100})|GS1\.[0-9]+\.([0-9]{1,100})(?:\..*)?|GS2\.[0-9]+\.(?:[^$]*\$)*?s([0-9]{1,100})(?:\$.*)?"
)


def _session_id(value: str | None) -> str:
    """The digits of a session, by themselves or within the cookie that Google writes."""
    found = _SESSION.fullmatch((value or "").strip())
    return next((digits for digits in found.groups() if digits), "") if found else ""


# What Google reads of a page's query: where the visitor came from (URL builders and auto-tagging, 2026).
_CAMPAIGN = re.compile(r"utm_[a-z_]+|gclid|dclid|gbraid|wbraid|gad_source|gad_campaignid|srsltid")


def _page(event: Event, properties: Mapping[str, PropertyValue]) -> tuple[Params, list[str]]:
    """The page of a website's event, each text cut to what Google keeps."""
    context, given = event.context, dict(properties)
    if event.device.platform not in APPS:
        pages = {"page_location": context.url, "page_referrer": context.referrer}
        given |= {name: _address_of_page(text) for name, text in pages.items() if text}
        if context.title and not is_personal_data("page_title", context.title):
            given["page_title"] = context.title
    texts = {name: text for name, text in given.items() if name in PAGE_TEXTS and isinstance(text, str) and text}
    remarks = [
        f"{name} is cut to {PAGE_TEXTS[name]} characters" for name in texts if len(texts[name]) > PAGE_TEXTS[name]
    ]
    if context.url and "page_location" in texts and texts["page_location"] != context.url:
        remarks.append("page_location has no fragment, and of its query the campaign alone")
    return {name: text[: PAGE_TEXTS[name]] for name, text in texts.items()}, remarks


def _address_of_page(url: str) -> str:
    """A page's address with the campaign of its query: other parts may hold a reset token or a person's data."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    query = urlencode([(name, text) for name, text in parse_qsl(parts.query) if _CAMPAIGN.fullmatch(name)])
    path = "/" if contains_contact(parts.path) else parts.path
    query = "" if contains_email(query) else query
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{'?' if query else ''}{query}"


def _commerce(given: Mapping[str, PropertyValue]) -> tuple[Params, list[str]]:
    """`items`, `currency`, `value` and `transaction_id` in the types that Google's reports add up."""
    known: Params = {}
    remarks = []
    for name, read in _COMMERCE.items():
        if name in given:
            value = read(given[name])
            if value is None or value == []:
                remarks.append(f"{name} is left out: it is not what Google takes")
            else:
                known[name] = value
    if isinstance(given.get("items"), list) and known.get("items", []) != given["items"]:
        remarks.append("items are changed to what Google takes")
    if "value" in known and "currency" not in known:
        remarks.append("value has no currency: Google adds it to no revenue")
    return known, remarks


def _number(value: PropertyValue) -> int | float | None:
    """A number, or a text that is one in JSON's form: shops send prices as texts."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", value):
        return float(value) if "." in value else int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _currency(value: PropertyValue) -> str | None:
    """ISO 4217: three capitals."""
    code = value.upper() if isinstance(value, str) else ""
    return code if re.fullmatch("[A-Z]{3}", code) else None


def _transaction(value: PropertyValue) -> str | None:
    """Google counts purchases of one transaction_id, a text, as one."""
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    return text if 0 < len(text) <= MAX_TEXT else None


def _items(value: PropertyValue) -> PropertyValue | None:
    """The items that have an id or a name, each with the parameters that Google takes."""
    if not isinstance(value, list):
        return None
    items = [_item(one) for one in value if isinstance(one, dict)]
    return [one for one in items if "item_id" in one or "item_name" in one][:MAX_ITEMS]


def _item(given: Mapping[str, PropertyValue]) -> Params:
    item: Params = {}
    for name, value in given.items():
        if is_name(name) and fits(value):
            number = _number(value) if name in {"price", "quantity", "discount", "index"} else value
            is_text = name in {"item_id", "item_name"}
            if number is not None:
                item[name] = str(value) if is_text else plain(number)
    return dict(list(item.items())[:MAX_ITEM_PARAMS])


_COMMERCE = {"items": _items, "currency": _currency, "value": _number, "transaction_id": _transaction}


def _is_long(value: PropertyValue) -> bool:
    return isinstance(value, str) and len(value) > MAX_TEXT
