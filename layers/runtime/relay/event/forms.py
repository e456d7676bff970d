"""The forms in which programs print times, languages, platforms and numbers when nobody formats them."""

import re
import unicodedata
from datetime import UTC, datetime

MOMENT = "must be a time of the year 2000 or later with its offset, as in 2026-11-20T09:15:42Z"
FIRST_SECOND, LAST_SECOND = 946_684_800, 99_999_999_999
"""The years 2000 to 5138, in epoch seconds: the same digits in milliseconds are another range."""

# Java's OffsetDateTime leaves seconds out where they are zero, and ZonedDateTime adds the zone (RFC 9557).
_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt ] ?(?P<time>\d\d:\d\d)(?:(?P<second>:\d\d)(?:[.,](?P<part>\d{1,9})\d*)?)?"
    r" ?(?P<offset>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)(?:\[[^\[\]]*\])*"
)
# JavaScript's Date.toString and toUTCString, and Java's Date.toString.
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>\d\d) (?P<year>\d{4}) (?P<time>\d\d:\d\d)(?P<second>:\d\d)"
    r" GMT(?P<offset>[+-]\d{4})(?: \(.*\))?"
)
_HTTP = re.compile(
    r"[A-Z][a-z]{2}, (?P<day>\d\d?) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) (?P<time>\d\d:\d\d)(?P<second>:\d\d)"
    r" (?P<offset>GMT|[+-]\d{4})"
)
_JAVA_DATE = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>\d\d) (?P<time>\d\d:\d\d)(?P<second>:\d\d)"
    r" (?P<offset>UTC|GMT(?:[+-]\d\d:\d\d)?) (?P<year>\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(value: object) -> datetime | None:
    """The time that a text or a number of epoch seconds or milliseconds is; None for what has no or two meanings."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _epoch(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(r"\d{9,14}(?:\.\d+)?", text, re.ASCII):
        return _epoch(float(text) if "." in text else int(text))
    match = next((m for form in (_ISO, _JAVASCRIPT, _HTTP, _JAVA_DATE) if (m := form.fullmatch(text))), None)
    return _assembled(match.groupdict()) if match and text.isascii() else None


def _epoch(number: float) -> datetime | None:
    seconds = number if number <= LAST_SECOND else number / 1000
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _assembled(part: dict[str, str | None]) -> datetime | None:
    month = part.get("month")
    if month is not None and month not in _MONTHS:
        return None
    date = part.get("date") or f"{part['year']}-{_MONTHS.index(month or '') + 1:02}-{int(part['day'] or 0):02}"
    fraction = f".{(part.get('part') or '')[:6]:0<6}"
    offset = (part["offset"] or "").upper().removeprefix("UTC").removeprefix("GMT").replace("Z", "").replace(":", "")
    offset = f"{offset or '+00':0<5}"
    try:
        found = datetime.fromisoformat(
            f"{date}T{part['time']}{part['second'] or ':00'}{fraction}{offset[:3]}:{offset[3:]}"
        )
        return found if found.timestamp() >= FIRST_SECOND else None
    except (ValueError, OverflowError):
        return None


def language(text: str) -> str | None:
    """The BCP 47 tag of a locale as POSIX, ICU or Java print it: `zh_CN_#Hans` is `zh-Hans-CN`; None for none."""
    # What follows is POSIX' character set or modifier, ICU's keywords, or a browser's further languages.
    first, *rest = re.split("[-_]+", re.split("[@.,;]", text.strip())[0])
    if not re.fullmatch("[A-Za-z]{2,3}", first):
        return None
    script = region = variant = ""
    for part in (one.lstrip("#") for one in rest):
        if len(part) == 1:
            break  # an extension, which says how to write numbers, or private words
        if not script and re.fullmatch("[A-Za-z]{4}", part):
            script = part.title()
        elif not region and re.fullmatch("[A-Za-z]{2}|[0-9]{3}", part):
            region = part.upper()
        elif not variant and re.fullmatch("[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}", part):
            variant = part
    return "-".join(part for part in (first.lower(), script, region, variant) if part)


_PLATFORMS = {"ios": "ios", "ipados": "ios", "iphoneos": "ios", "android": "android", "web": "web"}


def platform(text: str) -> str | None:
    """`ios`, `android` or `web`, as the system names itself in any case."""
    return _PLATFORMS.get(text.replace(" ", "").lower())


_ATT = ("notDetermined", "restricted", "denied", "authorized")


def att_status(value: object) -> str | None:
    """The status of App Tracking Transparency by its name in any spelling, or by Apple's number (0 to 3)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _ATT[value] if 0 <= value < len(_ATT) else None
    folded = re.sub("[-_ ]", "", value).lower() if isinstance(value, str) else ""
    return next((name for name in _ATT if name.lower() == folded), None)


def number(value: object) -> int | float | None:
    """The number that a text of digits is."""
    text = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9]{1,16}(?:\.[0-9]{1,16})?", text):
        return None
    return float(text) if "." in text else int(text)


def flag(value: object) -> bool | None:
    """The boolean that a word or a digit is."""
    words = {"true": True, "false": False, "1": True, "0": False}
    return None if isinstance(value, float | list | dict) else words.get(str(value).strip().lower())


def clean_text(text: str) -> str:
    """A text without the blanks and control characters around it."""
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_blank(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in {"Cc", "Zs"}
