"""Phone numbers and e-mail addresses as people type them and as programs print them."""

import re
import unicodedata

from relay.event.checks import is_email

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS = re.compile(r"[\s\-.()/\u2010-\u2015\u2212\u2060\u200b-\u200f\u202a-\u202e]+")
_NUMBER = re.compile(r"\+?[0-9]+")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in hexadecimal digits."""
    return bool(_SHA256.fullmatch(text))


def phone(text: str, region: str | None) -> str | None:
    """A phone number in E.164; a national one by the app's region (ISO 3166); None where it has no or two meanings."""
    plain = _western(unicodedata.normalize("NFKC", text)).strip().removeprefix("tel:")
    digits = _SEPARATORS.sub("", plain)
    if digits.startswith("00"):
        plain, digits = f"+{plain[plain.index('00') + 2 :]}", f"+{digits[2:]}"
    if not _NUMBER.fullmatch(digits):
        return None
    is_international = digits.startswith("+")
    if not is_international and region is None:
        return None
    found = _valid(plain, None if is_international else region)
    # A number that is written with its country code is taken at its word, as it is without the blanks.
    strictly = digits if is_international and "(0)" not in plain and _E164.fullmatch(digits) else None
    return found or strictly


def _western(text: str) -> str:
    """A text with 0-9 for the decimal digits of other scripts: an Arabic or Persian keyboard types its own."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)


def _valid(text: str, region: str | None) -> str | None:
    # Its tables take a third of the time that a whole start takes.
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return found if _E164.fullmatch(found) else None


_IN_BRACKETS = re.compile(r"[^<>@]*<\s*([^<>]+?)\s*>")


def email(text: str) -> str | None:
    """An e-mail address without blanks, `mailto:`, angle brackets and a comma around it; None if it is none then."""
    plain = text.strip(" \t\r\n\u00a0\ufeff\u200b,;")
    bracketed = _IN_BRACKETS.fullmatch(plain)
    if bracketed:
        plain = bracketed[1]
    if plain[:7].lower() == "mailto:":
        plain = plain[7:].partition("?")[0]
    local, _, domain = plain.rpartition("@")
    plain = f"{local.strip()}@{domain.strip()}"
    return plain if local and "." in domain and len(plain) <= 254 and is_email(plain) else None  # noqa: PLR2004 - RFC 5321's path
