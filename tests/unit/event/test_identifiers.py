"""Locales and zones as Java and ICU print them, and every region's numbers: each is understood."""

import json
import re
from pathlib import Path

import phonenumbers
import pytest

from relay.event.forms import language
from relay.event.reading import Reading, Terms, read_event

LISTS = Path(__file__).parent / "identifiers"
REGIONS: list[str] = sorted(phonenumbers.SUPPORTED_REGIONS)
TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{4,8})?")


def _lines(name: str) -> list[str]:
    version, *lines = (LISTS / name).read_text().splitlines()
    assert re.match(r"# (Java|ICU4C) [0-9.]+", version)
    return lines


def _texts(name: str) -> set[str]:
    return {text for line in _lines(name) for text in line.split("\t")}


def _read(device: dict[str, str]) -> Reading:
    return read_event(json.dumps({"customerId": "12345", "device": device}), "login")


@pytest.mark.parametrize(("name", "number"), [("java-locales.tsv", 1016), ("icu-locales.tsv", 800)])
def test_every_locale_is_read_and_only_the_root_names_no_language(name: str, number: int) -> None:
    assert len(_lines(name)) >= number
    for text in _texts(name):
        reading = _read({"language": text})
        assert reading.call.customer_id == "12345"
        if text in {"", "und", "root"}:
            continue
        assert reading.call.device is not None
        kept = reading.call.device.language
        assert kept is not None, text
        first = re.split("[-_@]", text)[0].lower()
        assert kept.replace("_", "-").split("-")[0].lower() == first
        # What a strict caller may send is kept as it is.
        assert kept == text or TAG.fullmatch(kept), text


def test_what_java_says_in_two_ways_is_one_language() -> None:
    """ToString and toLanguageTag; the tag has today's codes where Java's own text has ISO 639's first ones."""
    old = {"iw": "he", "in": "id", "ji": "yi", "no": "nn"}
    for line in _lines("java-locales.tsv"):
        printed, tag = line.split("\t")
        if printed:
            found, expected = (language(text) or "" for text in (printed, tag))
            code, _, rest = found.partition("-")
            assert expected in {found, "-".join(filter(None, (old.get(code, code), rest)))} or "POSIX" in found, line


@pytest.mark.parametrize(("name", "number"), [("java-zones.txt", 631), ("icu-zones.txt", 630)])
def test_every_zone_is_taken_as_it_is(name: str, number: int) -> None:
    assert len(_lines(name)) >= number
    for zone in _lines(name):
        reading = _read({"timezone": zone})
        assert reading.call.device is not None
        assert (reading.call.device.timezone, reading.warnings) == (zone, ())


def _phone(text: str, region: str | None) -> str | None:
    reading = read_event(json.dumps({"customerId": "12345", "phone": text}), "login", Terms(region=region))
    assert reading.call.customer_id == "12345"
    return reading.call.phone


@pytest.mark.parametrize("region", REGIONS)
def test_a_regions_example_numbers_are_understood_national_and_international(region: str) -> None:
    kinds = [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    numbers = [number for number in examples if number is not None]
    assert numbers
    for number in numbers:
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", e164):
            continue  # shorter than E.164's seven digits, as on small islands
        assert _phone(e164, None) == e164
        assert _phone(international, None) == e164
        assert _phone(f"00{international.removeprefix('+')}", None) == e164
        assert _phone(national, None) is None
        assert _phone(national, region) == e164


@pytest.mark.parametrize("zero", ["\u0660", "\u06f0", "\u0966", "\uff10"])
def test_digits_of_every_script_are_read(zero: str) -> None:
    """Arabic, Persian, Devanagari and full-width digits; the libraries of Meta and Google digest them as they are."""
    script = str.maketrans("0123456789", "".join(chr(ord(zero) + digit) for digit in range(10)))
    assert _phone("+44 20 7946 0958".translate(script), None) == "+442079460958"
    assert _phone("020 7946 0958".translate(script), "GB") == "+442079460958"


@pytest.mark.parametrize("words", ["(home)", "home", "Anna", "(Buero)", "mobil", "ext. 5", "ramal 7"])
def test_words_behind_a_number_never_become_digits(words: str) -> None:
    """As on a telephone's keys: phonenumbers makes another valid number of a German one and `(home)`."""
    assert _phone(f"+49 30 23125 000 {words}", None) is None
