"""Recognises what names a person in a name or a text: e-mail addresses, phone numbers, names on a deny list."""

import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

from pydantic_core import PydanticCustomError

# The deny list, in English, Portuguese and Spanish (docs/privacy.md): a name that holds one of these stems,
_STEMS = re.compile(
    "email|telephone|telefone|telefono|phonenumber|mobilenumber|celular|whatsapp|cpf|cnpj"
    "|firstname|lastname|fullname|surname|sobrenome|apellido"
    "|birthda|dateofbirth|nascimento|nacimiento|streetaddress|endereco|direccion"
    "|passport|passaporte|pasaporte|password|contrasena|cardnumber"
)
# or has one of these words,
_WORDS = frozenset({
    "phone", "tel", "fone", "cel", "movil", "telemovel", "correo", "street", "rua", "calle", "logradouro", "morada",
    "dob", "rg", "ssn", "dni", "nie", "nif", "curp", "rfc", "iban", "cvv", "senha", "pwd", "token",
})  # fmt: skip
# or consists of words of these two sets alone, one at least of the first.
_OF_A_PERSON = frozenset({"name", "names", "nome", "nomes", "nombre", "nombres", "mail", "mobile", "address"})
_WHOSE = frozenset({
    "first", "last", "full", "middle", "given", "family", "maiden", "nick", "display", "legal", "real", "user",
    "customer", "client", "person", "contact", "buyer", "owner", "holder", "recipient", "member", "account", "billing",
    "shipping", "home", "work", "my", "your", "the", "of", "number", "no", "completo", "completa", "cliente", "usuario",
    "pessoa", "persona", "comprador", "titular", "contato", "contacto", "destinatario", "primeiro", "ultimo", "primer",
    "segundo", "social", "meu", "mi", "pai", "mae", "padre", "madre", "de", "do", "da", "del", "la", "el",
})  # fmt: skip
_JOINED = re.compile(
    "(?:middle|given|family|nick|display|user|customer|client|contact|buyer|owner|holder)?(?:name|address|mail)"
    "|nom(?:e|bre)(?:completo|cliente|usuario|titular|social)"
)
_WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*")

_EMAIL = re.compile(r"[^\s@]\s*@\s*[^\s@]+[.\u3002][^\s@]")
_SEPARATOR = r"[\s.()/+_~\u2010-\u2015\u2212-]{0,3}"
_DIGITS = re.compile(rf"(?:\+[\s(]*)?\d(?:{_SEPARATOR}\d){{6,}}")
_FEWEST, _FEWEST_AFTER_PLUS, _FEWEST_GLUED = 9, 7, 10
"""Digits that make a phone number with its area; after a '+'; and glued to letters, as an order number's are."""

_FIRST_PHONE = 1e8

_NO_PHONE = re.compile(
    r"-?(?:\d{1,8}|\d{1,3}(?:,\d{3})+)\.\d{1,2}|-?(?:\d{1,8}|\d{1,3}(?:\.\d{3})+),\d{1,2}"
    r"|(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|(?=(?:.*[a-f]){3})(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})",
    re.IGNORECASE,
)
"""Prices, times, UUIDs and digests: a value that is nothing but one of these is no phone number."""

_LONGEST_NO_PHONE = 64
_PHONE_WORD = re.compile(r"(?:tel|fone|phone|cel|movil|mobile|mob|zap|whatsapp|wa|call)[-_]?$", re.IGNORECASE)

# What an @ may be hidden in: an escape of a URL or of HTML, or an escape's own sign that is escaped itself.
_ESCAPED_IN_URL = re.compile(r"%(?:40|2[356]|3[bB]|5[cC]|[89a-fA-F])")
_ESCAPED_IN_HTML = re.compile(r"&(?:#|amp|commat|percnt|bsol|num|semi)", re.IGNORECASE)

# Most values are plain at a glance: ASCII that encodes nothing, without an @ and with few digits.
_WORTH_A_LOOK = re.compile(r"[@%&\\]|[^\x00-\x7f]|(?:[0-9][^0-9]*){7}")


def is_personal_data(name: str, value: object, *, may_be_number: bool = False) -> bool:
    """Whether a property's name is on the deny list, or its text or number is or contains a contact.

    With `may_be_number` what looks like a phone number is none: the operator named the property as an order id.
    Of a list or an object only the name is looked at: its parts are properties of their own.
    """
    if _is_denied(name):
        return True
    if isinstance(value, str):
        return not value.isalpha() and (contains_email(value) if may_be_number else contains_contact(value))
    if may_be_number or not isinstance(value, int | float):
        return False
    # A number of nine digits or more: 5511999887766.0 is a phone number, 0.30000000000000004 is none.
    return abs(float(value)) >= _FIRST_PHONE


def might_contain_email(text: str) -> bool:
    """Whether a text has a sign that may be, or hide, the one of an e-mail address: quick, and never wrongly False."""
    if "@" in text or not text.isascii():
        return True
    escapes = "%" in text
    return (
        (escapes and bool(_ESCAPED_IN_URL.search(text)))
        or ("&" in text and (escapes or bool(_ESCAPED_IN_HTML.search(text))))
        or ("\\" in text and (escapes or "\\u" in text))
    )


def contains_email(text: str) -> bool:
    """Whether a text is or contains an e-mail address."""
    return might_contain_email(text) and bool(_EMAIL.search(_decoded(text)))


def contains_contact(text: str) -> bool:
    """Whether a text is or contains an e-mail address or a phone number, in whatever digits, separators or encoding."""
    if not _WORTH_A_LOOK.search(text):
        return False
    clear = _decoded(text)
    return bool(_EMAIL.search(clear)) or (not _is_no_phone(clear.strip()) and _has_phone(clear))


def reject_contact(text: str) -> str:
    """A text of an operator's that goes out as it stands.

    Raises:
        PydanticCustomError: it is or contains an e-mail address or a phone number.
    """
    if contains_contact(text):
        raise PydanticCustomError("contact", "must not be or contain an e-mail address or a phone number")
    return text


def _is_no_phone(text: str) -> bool:
    return len(text) <= _LONGEST_NO_PHONE and bool(_NO_PHONE.fullmatch(text))


def _has_phone(text: str) -> bool:
    return any(sum(map(str.isdecimal, found[0])) >= _fewest(text, found) for found in _DIGITS.finditer(text))


def _fewest(text: str, found: re.Match[str]) -> int:
    if "+" in found[0]:
        return _FEWEST_AFTER_PLUS
    before, after = text[max(0, found.start() - 10) : found.start()], text[found.end() : found.end() + 2]
    glued = re.search(r"[^\W\d_][-_]?$", before) or re.match(r"[-_]?[^\W\d_]", after)
    return _FEWEST_GLUED if glued and not _PHONE_WORD.search(before) else _FEWEST


def _decoded(text: str) -> str:
    """The text as a person would read it: escapes of URLs, HTML and JSON undone, letters and digits plain."""
    for _ in range(3):
        undone = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), html.unescape(unquote(text)))
        if undone == text:
            break
        text = undone
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.decimal(letter)) if letter.isdecimal() else letter
        for letter in unicodedata.normalize("NFKD", text)
        if unicodedata.category(letter) not in _UNSEEN
    )


_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_UNSEEN = {"Cf", "Mn", "Me"}
"""Kinds of characters that take no room of their own: a joiner within a number does not make it another."""


@lru_cache(maxsize=1024)
def _is_denied(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(_decoded(name))]
    joined = "".join(words)
    return (
        bool(_STEMS.search(joined) or _JOINED.fullmatch(joined))
        or not _WORDS.isdisjoint(words)
        or (not _OF_A_PERSON.isdisjoint(words) and all(word in _OF_A_PERSON | _WHOSE for word in words))
        or contains_contact(name)
    )
