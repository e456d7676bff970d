"""Every normaliser of every agent, by chance: idempotent, only the documented alphabet, never the digest of nothing."""
# ruff: noqa: SLF001 - a normaliser is an agent's own, and seen from outside by its digest alone

import hashlib
import json
import re
import string
import unicodedata
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.agents.appsflyer import app as appsflyer
from functions.agents.dashx import app as dashx
from functions.agents.emarsys import app as emarsys
from functions.agents.facebook import app as facebook
from functions.agents.google import app as google
from relay.agent.ga4 import letters
from relay.agent.languages import two_letters
from relay.agent.privacy import client_ip
from relay.encoding import sha256
from relay.errors import InvalidEvent
from relay.event.model import Event, EventInput

NOTHING = {
    hashlib.sha256(nothing).hexdigest()
    for nothing in (
        b"",
        b" ",
        b"\n",
        b"null",
        b"None",
        b"undefined",
        b"false",
        b"+",
        b"@",
        b"@gmail.com",
        b"@googlemail.com",
    )
}
HEX = re.compile(r"[0-9a-f]{64}")
NOW = datetime(2026, 11, 24, 9, 15, 42, tzinfo=UTC)
SETTINGS: dict[str, Any] = {
    "facebook": facebook.Settings.model_validate({"access_token": "EXAMPLE", "dataset_id": "1"}),
    "google": google.Settings.model_validate({"api_secret": "EXAMPLE", "measurement_id": "G-ABC1234567"}),
    "appsflyer": appsflyer.Settings.model_validate({"s2s_key": "EXAMPLE", "android_app_id": "com.example.shop"}),
    "emarsys": emarsys.Settings.model_validate(
        {
            "applications": {"android": {"code": "A", "password": "example-only"}},
            "contact_field_id": 9,
            "contact_key": "an example key of 32 characters.",
        }
    ),
}

ANY_TEXT = st.text(max_size=40)
LETTERS = st.characters(exclude_categories=("Cs", "Cc"))
EMAIL = st.builds(
    "{}@{}.{}".format, st.text(LETTERS, min_size=1, max_size=30), st.text(LETTERS, min_size=1, max_size=20), ANY_TEXT
) | st.builds("{}@{}".format, st.text(string.ascii_letters + "._+-", min_size=1, max_size=20),
              st.sampled_from(["gmail.com", "GoogleMail.com", "example.com"]))  # fmt: skip
PHONE = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
# Null is a name that people have; a digest of it names a person.
NAME = st.text(LETTERS, min_size=1, max_size=30).filter(
    lambda name: name.strip().lower() not in {"null", "undefined", "none", "false"}
)


def _event(**fields: Any) -> Event | None:
    """A sign-up of these words on an Android phone and a site, or None where ingest would not take it on."""
    body = {
        "customerId": "12345",
        "device": {"id": "d1", "platform": "android", "osVersion": "14"},
        "ids": {"appsflyerId": "1731923741208-4410928837465120934"},
        "context": {"userAgent": "example/1.0"},
        **fields,
    }
    try:
        call = EventInput.parse(json.dumps(body), "signup")
    except InvalidEvent:
        return None
    return Event.load(Event.stamp(call, "signup", "shop", "e1", NOW).dump())


def _digests(event: Event) -> list[str]:
    """Every digest of a person's data in the requests to the agents that take digests, Google's site event included."""
    person = json.loads(facebook.build_requests(event, SETTINGS["facebook"])[0].body)["data"][0]["user_data"]
    fields = json.loads(appsflyer.build_requests(event, SETTINGS["appsflyer"])[0].body)
    return [
        *[digest for key in ("em", "ph", "fn", "ln", "external_id") for digest in person.get(key, [])],
        *[digest for digests in google._user_data(event, SETTINGS["google"]).values() for digest in digests],
        *[fields[field] for field in fields if field.endswith("_hashed")],
    ]


@given(EMAIL, PHONE, NAME, NAME)
@example("...@gmail.com", "+5511999887766", "!!!", "\u00a0")
@example(".@googlemail.com", "+5511999887766", "\u200b", "'")
def test_no_digest_is_that_of_nothing_and_each_is_64_hexadecimal_digits(
    email: str, phone: str, first: str, last: str
) -> None:
    event = _event(email=email, phone=phone, traits={"firstName": first, "lastName": last})
    if event:
        digests = _digests(event)
        assert len(digests) >= 4
        assert all(HEX.fullmatch(digest) for digest in digests)
        assert NOTHING.isdisjoint(digests)


@given(st.text(string.ascii_letters + string.digits + "._+-", min_size=1, max_size=20), PHONE, NAME)
def test_case_and_blanks_around_do_not_make_another_person(local: str, phone: str, first: str) -> None:
    one = _event(email=f"{local}@example.com", phone=phone, traits={"firstName": first.lower()})
    other = _event(email=f"{local.upper()}@EXAMPLE.com", phone=phone, traits={"firstName": f" {first.lower()} "})
    if one and other:
        assert _digests(one) == _digests(other)


@given(NAME)
@example("Ana María")
@example("ΟΔΥΣΣΕΥΣ ΑΣ")
@example("İpek")
def test_metas_names_are_letters_marks_and_digits_in_lower_case(name: str) -> None:
    normal = facebook._letters(name)
    assert facebook._letters(normal) == normal
    assert re.fullmatch(r"[^\s!-/:-@\[-`{-~]*", normal)
    assert not re.search(r"[A-Z]", normal)


@pytest.mark.parametrize("place", ["मुंबई", "హైదరాబాద్", "ตรัง", "são paulo"])
def test_the_vowels_of_every_script_stay_and_one_name_has_one_digest(place: str) -> None:
    """Google's own formatter drops the signs of Indian and Thai vowels, and the accents of a decomposed name."""
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, place)
        assert letters(typed, "LMN") == place
        assert facebook._letters(typed) == place.replace(" ", "")


@given(EMAIL)
@example("A.na.Souza+shop@Gmail.com")
def test_googles_addresses_are_lower_case_without_blanks_and_without_dots_at_gmail(email: str) -> None:
    event = _event(email=email)
    if event and event.email and (normal := google._email(event.email)):
        assert google._email(normal) == normal
        assert normal == normal.lower()
        assert not re.search(r"\s", normal)
        local, domain = normal.rsplit("@", 1)
        assert local
        assert not (domain in {"gmail.com", "googlemail.com"} and "." in local)


def test_the_vendors_own_examples_give_their_digests() -> None:
    # Meta, customer information parameters; Google, user-provided data with the Measurement Protocol.
    assert facebook._letters("Mary") == "mary"
    assert facebook._letters("O'Brien-Smith Jr.") == "obriensmithjr"
    assert google._email("Cloudy.SanFrancisco@Gmail.com") == "cloudysanfrancisco@gmail.com"
    assert sha256("mary") == "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"


@given(PHONE)
def test_a_phone_number_is_digested_as_digits_at_meta_and_with_its_plus_elsewhere(phone: str) -> None:
    event = _event(phone=phone)
    assert event is not None
    bare, full = sha256(phone[1:]), sha256(phone)
    assert _digests(event) == [bare, sha256("12345"), full, full]


@given(ANY_TEXT | st.ip_addresses().map(str))
@example("0.0.0.0")  # noqa: S104 - nobody's address
@example("::")
@example("2001:DB8:0:0:0:0:0:1")
@example("::ffff:203.0.113.24")
@example("203.0.113.024")
@example("fe80::1%eth0")
@example("203.0.113.24\0")
def test_an_address_of_the_network_is_canonical_or_absent(text: str) -> None:
    normal = client_ip(text)
    assert (normal is None) == (_address(text) is None)
    if normal is not None:
        assert client_ip(normal) == normal
        assert _address(normal) == _address(text)
        assert appsflyer._ip_version_4(text) == (normal if "." in normal and ":" not in normal else None)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address as the standard library reads it; a zone names an interface of the person's own machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if address.is_unspecified or "%" in text else address


@given(ANY_TEXT | st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper()))
@example("00000000-0000-0000-0000-000000000000")
def test_an_advertising_id_is_a_uuid_and_not_all_zeros(text: str) -> None:
    normal = appsflyer._identifier(text)
    if normal is not None:
        assert appsflyer._identifier(normal) == normal
        assert re.fullmatch(r"[0-9A-Fa-f-]{36}", normal)
        assert normal.strip("0-")


@given(ANY_TEXT | st.from_regex(r"fb\.[0-3]\.[0-9]{12,14}\.[A-Za-z0-9]{0,9}", fullmatch=True))
def test_metas_cookies_have_four_or_five_parts_or_are_left_out(text: str) -> None:
    for form in (facebook._BROWSER_ID, facebook._CLICK_ID):
        normal = facebook._cookie(text, form, NOW)
        assert normal is None or (normal == text and re.fullmatch(r"fb\.[0-9]\.[0-9]{13}\.[^\s.]+(\..+)?", normal))


@given(st.from_regex(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", fullmatch=True))
def test_emarsys_languages_have_two_letters(tag: str) -> None:
    normal = two_letters(tag)
    if normal is not None:
        assert two_letters(normal) == normal
        assert re.fullmatch(r"[a-z]{2}", normal)


@given(ANY_TEXT | st.from_regex(r"[A-Za-z]{0,8} ?[0-9]{1,3}(\.[0-9]{1,3}){0,4}(-beta)?", fullmatch=True))
def test_emarsys_versions_are_one_to_three_numbers(text: str) -> None:
    normal = emarsys._version(text)
    if normal is not None:
        assert emarsys._version(normal) == normal
        assert re.fullmatch(r"[0-9]+(\.[0-9]+){0,2}", normal)


@given(
    ANY_TEXT
    | st.timezone_keys(allow_prefix=False)
    | st.from_regex(r"(GMT|UTC)?[+-][01][0-9]:?[0-5][0-9]", fullmatch=True)
)
@example("America/Sao_Paulo")
def test_emarsys_time_zones_are_an_offset_of_four_digits(zone: str) -> None:
    normal = emarsys._offset(zone, NOW)
    if normal is not None:
        assert emarsys._offset(normal, NOW) == normal
        assert re.fullmatch(r"[+-][01][0-9][0-5][0-9]", normal)


@given(st.text(min_size=1, max_size=128))
def test_emarsys_contacts_are_a_keyed_digest_that_fits_its_field_and_is_no_plain_one(customer_id: str) -> None:
    value = emarsys._contact_value(customer_id, SETTINGS["emarsys"])
    assert re.fullmatch(r"[0-9a-f]{56}", value)
    assert value != hashlib.sha256(customer_id.encode("utf-8", "surrogatepass")).hexdigest()[:56]
    assert value == emarsys._contact_value(customer_id, SETTINGS["emarsys"])


@pytest.mark.parametrize("blank", ["", " ", "\t", "null", "undefined", "None", "NaN", " 12345", "12345 ", "\u00a0"])
def test_nobody_is_never_a_customer(blank: str) -> None:
    assert _event(customerId=blank) is None


@given(ANY_TEXT | st.uuids().map(str))
def test_dashx_visitors_are_uuids_as_they_came(text: str) -> None:
    event = _event(anonymousId=text)
    if event:
        normal = dashx._anonymous_uid(event)
        assert normal is None or (normal == text and re.fullmatch(r"[0-9A-Fa-f-]{36}", normal))


@given(st.text())
def test_a_digest_is_64_hexadecimal_digits_of_the_text_in_utf_8(text: str) -> None:
    digest = sha256(text)
    assert HEX.fullmatch(digest)
    assert digest == hashlib.sha256(text.encode()).hexdigest()
