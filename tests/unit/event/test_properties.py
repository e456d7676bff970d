# ruff: noqa: RUF001 - characters that look like others are the point
"""Properties: what names a person, or is or contains an e-mail address or a phone number, does not go out in clear."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.agent.privacy import count_withheld, selected_properties, shareable_properties
from relay.event.pii import _EMAIL, _decoded, contains_contact, contains_email

LOCAL = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.!#$&'*+/=?^_`{|}~-ãéñß日", min_size=1, max_size=20)
LABEL = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-éß日", min_size=1, max_size=12)
EMAIL = st.builds("{}@{}.{}".format, LOCAL, LABEL, LABEL)

FORMATS = [
    "+{cc}{n11}", "+{cc} {n2} {n5}-{n4}", "+{cc} ({n2}) {n5}-{n4}", "({n2}) {n5}-{n4}", "({n2}){n4}-{n4}",
    "{n2} {n5} {n4}",
    "0{n2} {n5}-{n4}", "{n3}-{n3}-{n4}", "({n3}) {n3}-{n4}", "{n3}.{n3}.{n4}", "1-{n3}-{n3}-{n4}", "{n3} {n3} {n3}",
    "{n3} {n2} {n2} {n2}", "{n2} {n2} {n2} {n2} {n2}", "+33 (0){n1} {n2} {n2} {n2} {n2}", "0{n3}/{n3}{n4}",
    "0{n4} {n6}", "00{cc}{n10}", "{n9}", "{n10}", "{n11}", "+{cc}{n6}", "+{n2} {n2} {n2} {n2} {n2}",
    "{n2}/{n5}.{n4}",
    "{n2} \u2013 {n5} \u2013 {n4}", "{n3}\u00a0{n3}\u00a0{n3}", "tel:+{cc}-{n3}-{n4}", "tel{n9}", "fone-{n9}",
    "{n2}_{n5}_{n4}",
]  # fmt: skip


@st.composite
def phones(draw: st.DrawFn) -> str:
    """A phone number in one of the formats that people write."""
    digits = {f"n{n}": draw(st.text("0123456789", min_size=n, max_size=n)) for n in range(1, 12)}
    return draw(st.sampled_from(FORMATS)).format(cc=draw(st.sampled_from(["1", "34", "44", "55", "351"])), **digits)


def _wide(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


DIGITS_OF = {"arabic": 0x0660, "devanagari": 0x0966, "mathematical": 0x1D7CE}


def _foreign(zero: int) -> Any:
    return lambda text: "".join(chr(zero + int(one)) if one in "0123456789" else one for one in text)


DISGUISES = {
    "none": str,
    "full width": _wide,
    "percent": lambda text: quote(text, safe=""),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every byte percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "html": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "json": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    "upper case": str.upper,
    "zero-width joiners": "\u200d".join,
    **{name: _foreign(zero) for name, zero in DIGITS_OF.items()},
}
WORDS = st.text("abcdefg ,;:!?<>'\"", max_size=12)


@pytest.mark.parametrize("disguise", DISGUISES)
@given(contact=st.one_of(EMAIL, phones()), before=WORDS, after=WORDS)
@example("612345678", "", " ")
@example("ana@example.com", '"', '"')
def test_a_contact_never_goes_out_in_clear_whatever_is_around_it(
    disguise: str, contact: str, before: str, after: str
) -> None:
    text = f"{before} {DISGUISES[disguise](contact)} {after}"
    assert shareable_properties({"note": text, text: "note"}, "all") == {}


@given(contact=st.one_of(EMAIL, phones()))
def test_a_contact_within_json_never_goes_out_in_clear(contact: str) -> None:
    assert contains_contact(json.dumps({"who": [contact]}))


@pytest.mark.parametrize(
    "value",
    [
        "ana@example.com", "Ana <ana@example.com>", "mailto:ana@example.com", "ana@example。com", "ana＠example．com",
        "ana﹫example.com", "ana @ example.com", "https://shop.example/?u=ana%40example.com", "ana%2540example.com",
        "ana&commat;example.com", '"a b"@example.com', "+5511999887766", "5511999887766", "(11) 99988-7766",
        "11 99988 7766", "011 99988-7766", "202-555-0143", "(202) 555-0143", "612 345 678", "020 7946 0018",
        "+3725551234",
        "+55 (11) 9 9988.7766", "５５１１９９９８８７７６６", "٥٥١١٩٩٩٨٨٧٧٦٦", "%2B55%2011%2099988-7766",
        "tel:+1-202-555-0143",
        "whatsapp612345678", "call me on 202.555.0143!", "ana5511999887766", "5️⃣5️⃣1️⃣1️⃣9️⃣9️⃣9️⃣8️⃣8️⃣7️⃣",
        "id=5511999887766;x",
        5511999887766, -5511999887766, 612345678, 5511999887766.0,
    ],
)  # fmt: skip
def test_an_address_or_number_is_withheld(value: Any) -> None:
    assert shareable_properties({"note": value}, "all") == {}
    assert count_withheld({"note": value}, "all") == 1


PLAIN = [
    "A-1001", "ORD-2026-00123", "ord_123456789", "#1001", "10458899", "v1234567abc-01", "BR-SP-0099", "PED 10045",
    "R$ 1.299.990,00", "$1,299,990.00", "1299990.90", "1.299.990,00", "12,50", "-3.99", "19.9", "0.5",
    "2026-11-24", "2026-11-24T09:15:42Z", "2026-11-24 09:15:42.123456", "2026-11-24T09:15:42.123-03:00", "09:15",
    "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901", "d41d8cd98f00b204e9800998ecf8427e", "4.12.0", "v4.12.0-beta (5)",
    "1080x2340", "1000-2000", "2025/2026", "12, 15, 33, 47, 58, 61", "1;2;3;4;5;6;7;8;9", "@shop", "50% off",
    "a & b",
    "São Paulo", "açaí 500 ml", "日本", "checkout", "sneakers / size 42 / blue", "100%", "C:\\temp", "u\\0040", "",
    0, 1, 42, 1299990, 10458899, -5, 0.30000000000000004, 1299990.5, 1e-9, True, False,
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN)
def test_order_numbers_prices_times_and_ids_pass(value: Any) -> None:
    assert shareable_properties({"note": value}, "all") == {"note": value}
    assert count_withheld({"note": value}, "all") == 0


@pytest.mark.parametrize(
    ("value", "kept", "withheld"),
    [
        ([{"sku": "A-1", "price": 9.9}], [{"sku": "A-1", "price": 9.9}], 0),
        ([{"sku": "A-1", "note": "ana@example.com"}], [{"sku": "A-1"}], 1),
        ([{"sku": "A-1", "buyer": {"firstName": "Ana", "phone": 5511999887766}}], [{"sku": "A-1"}], 2),
        ([[["A-1", "(11) 99988-7766", 5511999887766]]], [[["A-1"]]], 2),
        ([{"a": [{"b": "ana%40example.com"}, {"b": 1}]}], [{"a": [{"b": 1}]}], 1),
        ([{"ana@example.com": 1, "sku": "A-1"}], [{"sku": "A-1"}], 1),
        ([], [], 0),
        ({"a": {}}, {"a": {}}, 0),
    ],
)
def test_personal_data_is_withheld_at_every_depth(value: Any, kept: Any, withheld: int) -> None:
    assert shareable_properties({"items": value}, "all") == {"items": kept}
    assert count_withheld({"items": value}, "all") == withheld


def test_a_list_of_which_nothing_is_left_goes_as_a_whole() -> None:
    given: dict[str, Any] = {"note": ["ana@example.com"], "email": {"work": "a", "home": "b"}, "plan": "gold"}
    assert shareable_properties(given, "all") == {"plan": "gold"}
    assert count_withheld(given, "all") == 2


@pytest.mark.parametrize("disguise", DISGUISES)
@given(contact=st.one_of(EMAIL, phones()), depth=st.integers(1, 4), in_list=st.booleans())
def test_a_contact_never_goes_out_in_clear_however_deep_it_is(
    disguise: str, contact: str, depth: int, *, in_list: bool
) -> None:
    value: Any = f" {DISGUISES[disguise](contact)} "
    for _ in range(depth):
        value = [value] if in_list else {"note": value}
    assert shareable_properties({"note": value}, "all") == {}
    assert count_withheld({"note": value}, "all") == 1


@given(st.decimals(0, 9_999_999, places=2))
def test_every_price_below_ten_million_passes_as_text_and_as_a_number(price: Any) -> None:
    for value in (str(price), f"{price:,}", f"{price:,}".translate(str.maketrans(",.", ".,")), float(price)):
        assert shareable_properties({"price": value}, "all") == {"price": value}


@given(st.text("ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=1, max_size=5), st.integers(0, 999_999_999), st.sampled_from("-_"))
def test_an_order_number_of_letters_and_up_to_nine_digits_passes(prefix: str, number: int, between: str) -> None:
    value = f"{prefix}{between}{number}"
    assert prefix.lower().endswith(("tel", "cel", "mob", "zap", "wa")) or shareable_properties(
        {"order": value}, "all"
    ) == {"order": value}


@given(st.datetimes())
def test_every_time_passes(moment: Any) -> None:
    if 1900 <= moment.year < 2100:
        assert shareable_properties({"at": moment.isoformat()}, "all") == {"at": moment.isoformat()}


@given(st.uuids() | st.uuids(version=4))
def test_a_uuid_passes(value: Any) -> None:
    assert shareable_properties({"id": str(value)}, "all") == {"id": str(value)}


DENIED = [
    "email", "e-mail", "E_Mail", "userEmail", "EMAIL_ADDRESS", "emailVerified", "correo", "correoElectronico",
    "mail",
    "phone", "phoneNumber", "customer_phone", "hasPhone", "mobile", "mobileNumber", "tel", "telefone",
    "Telefone Fixo",
    "teléfono", "celular", "móvil", "telemóvel", "fone", "whatsapp", "name", "Name", "firstName", "first_name",
    "lastname",
    "full name", "customerName", "username", "displayName", "nome", "nomeCompleto", "nome_do_cliente", "nomeSocial",
    "primeiroNome", "sobrenome", "nombre", "nombreCompleto", "apellido", "apellidos", "nomeDaMae", "surname",
    "maidenName",
    "endereço", "enderecoEntrega", "dirección", "address", "billingAddress", "homeAddress", "street", "rua", "calle",
    "morada", "logradouro", "cpf", "CPF", "customerCPF", "cpfCliente", "cpfcliente", "cnpj", "rg", "RG", "dni",
    "nie",
    "nif", "ssn", "passport", "passaporte", "pasaporte", "birthday", "birthDate", "dateOfBirth", "dob",
    "dataNascimento",
    "data_de_nascimento", "fechaNacimiento", "password", "senha", "contraseña", "token", "pushToken", "cardNumber",
    "iban",
    "ｅｍａｉｌ", "ana@example.com", "5511999887766", "phone%4eumber",
]  # fmt: skip


@pytest.mark.parametrize("name", DENIED)
def test_a_name_on_the_deny_list_is_withheld_whatever_it_holds(name: str) -> None:
    assert (
        shareable_properties({name: "x"}, "all")
        == shareable_properties({name: "x"}, [name])
        == shareable_properties({name: True}, "all")
        == {}
    )


@pytest.mark.parametrize(
    "name",
    [
        "productName", "nomeProduto", "nombreProducto", "eventName", "screen_name", "campaignName", "companyName",
        "brand",
        "items", "currency", "total", "orderId", "order_number", "addressCount", "isMobile", "headphones",
        "smartphone",
        "resenha", "category", "nominee", "movement", "rgb", "telescope", "cellar", "mailing", "tokens_earned",
        "method",
        "couponCode", "color", "coração", "niece", "streetwear",
    ],
)  # fmt: skip
def test_a_name_that_only_looks_like_one_of_the_deny_list_passes(name: str) -> None:
    assert shareable_properties({name: "x"}, "all") == {name: "x"}


def test_the_settings_say_which_properties_an_agent_gets() -> None:
    properties: dict[str, Any] = {
        "items": 3,
        "coupon": "X1",
        "email": "ana@example.com",
        "note": "+5511999887766",
    }
    assert shareable_properties(properties, "all") == {"items": 3, "coupon": "X1"}
    assert shareable_properties(properties, ["items", "note"]) == {"items": 3}
    assert shareable_properties(properties, "none") == {}
    assert selected_properties(properties, "all") == properties
    assert selected_properties(properties, ["note"]) == {"note": "+5511999887766"}


def test_only_what_the_settings_let_through_counts_as_withheld() -> None:
    properties: dict[str, Any] = {"items": 3, "email": "ana@example.com", "note": "+5511999887766"}
    assert [count_withheld(properties, allowed) for allowed in ("all", ["items"], ["note", "items"], "none")] == [
        2,
        0,
        1,
        0,
    ]


@given(
    st.dictionaries(
        st.text(max_size=20), st.text(max_size=40) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_every_property_is_either_sent_or_counted_as_withheld(properties: dict[str, Any]) -> None:
    assert len(shareable_properties(properties, "all")) + count_withheld(properties, "all") == len(properties)


PIECES = [
    "@", "%40", "%2540", "%25", "&", "&amp;", "&AMP;", "&#64;", "&#x40;", "#64;", "&commat;", "&percnt;", "40",
    "&bsol;",
    "\\u0040", "u0040", "\\", "%5C", "%5c", "%75", "%61", "%26", "%23", "%3B", "%EF%BC%A0", "\uff20", "&num;", "&semi;",
    "ana", "amp;", "commat;", ".", "b=", "%20", ";", "é", "example.com",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
@example("ana&%61mp;#64;example.com")
@example("ana\\%750040example.com")
def test_the_glance_misses_no_address_that_the_long_look_would_find(text: str) -> None:
    assert contains_email(text) == bool(_EMAIL.search(_decoded(text)))


@pytest.mark.parametrize("value", ["202611200915", 202611200915, "+5511999887766", "7891234567890"])
def test_a_property_that_the_operator_named_is_no_phone_number(value: Any) -> None:
    nested = {"orders": [{"order_id": value, "note": value}]}
    assert shareable_properties({"order_id": value, "note": value}, "all", ["order_id"]) == {"order_id": value}
    assert shareable_properties(nested, "all", ["order_id"]) == {"orders": [{"order_id": value}]}
    assert shareable_properties({"order_ids": [value]}, "all", ["order_ids"]) == {"order_ids": [value]}
    assert count_withheld({"order_id": value, "note": value}, "all", ["order_id"]) == 1


@pytest.mark.parametrize(("name", "value"), [("order_id", "ana@example.com"), ("phone", "202611200915")])
def test_an_address_and_a_name_on_the_deny_list_stay_withheld_though_the_operator_named_the_property(
    name: str, value: str
) -> None:
    assert shareable_properties({name: value}, "all", [name]) == {}
    assert count_withheld({name: value}, "all", [name]) == 1
