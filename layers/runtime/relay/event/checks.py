"""What an event must be beyond the types of its fields: complete, named as the schema names it, without stand-ins."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from relay.encoding import sha256
from relay.errors import FieldError
from relay.event.faults import ROOT, child, to_pointer
from relay.event.stand_ins import SENTENCE, WORDS, fold, is_stand_in

if TYPE_CHECKING:
    from relay.event.model import EventInput, EventType, Traits

REQUIRED: "dict[EventType, list[tuple[str, ...]]]" = {
    "login": [("customerId",)],
    "signup": [("customerId",)],
    "identify": [("customerId", "anonymousId")],
    "track": [("name",)],
}
"""What an event of a type must name beside what a token may say for it: of each group one."""

EMAIL = "must be an e-mail address, as in ana@example.com"
NO_TOKEN = "the token, or false when push is declined, is required"  # noqa: S105 - a sentence
OF_NOTHING = "must be the SHA-256 of a contact, not of nothing"
TWICE = "is given at the top level and in properties; send it once"

_OWN = {"customer_id": "customerId", "anonymous_id": "anonymousId", "event_id": "eventId"}
_OF_DEVICE = {
    "id": "id",
    "push_token": "pushToken",
    "previous_push_token": "previousPushToken",
    "advertising_id": "advertisingId",
    "vendor_id": "vendorId",
    "app_set_id": "appSetId",
    "oaid": "oaid",
    "amazon_aid": "amazonAid",
}
# What hardly any address is not; the library reads the others.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_MAX_LOCAL_PART = 64


def faults(call: "EventInput", event_type: "EventType") -> list[FieldError]:
    """What is wrong with an event whose fields are right one by one."""
    found = missing(call, event_type) + _stand_ins(call)
    if call.__pydantic_extra__:
        found += [*_twice(call), *_misspelt(call)]
    if call.traits is not None and call.traits.others:
        found += _misspelt_traits(call.traits)
    if call.email and not is_email(call.email):
        found.append(FieldError("#/email", EMAIL))
    if call.email_sha256 or call.phone_sha256:
        found += _digests(call)
    return found


def missing(call: "EventInput", event_type: "EventType") -> list[FieldError]:
    """What an event of its type must name and does not."""
    given = {"customerId": call.customer_id, "anonymousId": call.anonymous_id, "name": call.name}
    found = [
        FieldError(f"#/{names[0]}", f"{' or '.join(names)} is required for {event_type}")
        for names in REQUIRED.get(event_type, [])
        if all(given[name] is None for name in names)
    ]
    if event_type == "push_token" and (call.device is None or call.device.push_token is None):
        found.append(FieldError("#/device/pushToken", NO_TOKEN))
    return found


def is_email(text: str) -> bool:
    """Whether a text is an e-mail address by its syntax; its domain is not looked up."""
    if _PLAIN_EMAIL.fullmatch(text) and text.index("@") <= _MAX_LOCAL_PART:
        return True
    # Loaded for the few addresses that are not plain: it takes longer than all the rest of a call.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        validate_email(
            text, check_deliverability=False, globally_deliverable=False, allow_quoted_local=True, strict=True
        )
    except EmailNotValidError:
        return False
    return True


def is_digest_of_nothing(digest: str) -> bool:
    """Whether a SHA-256 is that of a blank or of a word for nobody: it would make one person of many."""
    return digest in _nothing()


@cache
def _nothing() -> frozenset[str]:
    words = ("", " ", "+", "@", *WORDS, *(word.title() for word in WORDS), *(word.upper() for word in WORDS))
    return frozenset(map(sha256, words))


def _twice(call: "EventInput") -> list[FieldError]:
    both = (call.properties or {}).keys() & (call.__pydantic_extra__ or {}).keys()
    return [FieldError(child(ROOT, name), TWICE) for name in sorted(both)]


def _stand_ins(call: "EventInput") -> list[FieldError]:
    found = [f"#/{_OWN[name]}" for name in _stand_ins_in(call.__dict__, _OWN)]
    if call.device is not None:
        found += [f"#/device/{_OF_DEVICE[name]}" for name in _stand_ins_in(call.device.__dict__, _OF_DEVICE)]
    if call.ids is not None:
        ids = _stand_ins_in(call.ids.__dict__, call.ids.model_fields_set)
        found += [f"#/ids/{type(call.ids).model_fields[name].alias}" for name in ids]
    return [FieldError(pointer, SENTENCE) for pointer in found]


def _stand_ins_in(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [name for name in names if type(values[name]) is str and is_stand_in(values[name])]


def _digests(call: "EventInput") -> Iterator[FieldError]:
    for name, digest in (("emailSha256", call.email_sha256), ("phoneSha256", call.phone_sha256)):
        if digest is not None and is_digest_of_nothing(digest):
            yield FieldError(f"#/{name}", OF_NOTHING)


def _misspelt(call: "EventInput") -> Iterator[FieldError]:
    from relay.event.names import paths  # noqa: PLC0415 - events of the seeds' simplest form have no further names

    known = paths(type(call))
    for name in call.__pydantic_extra__ or {}:
        path = known.get(fold(name))
        if path:
            yield FieldError(child(ROOT, name), spelling(to_pointer(path)))


def _misspelt_traits(traits: "Traits") -> Iterator[FieldError]:
    from relay.event.names import fields  # noqa: PLC0415 - as above

    known = fields(type(traits))
    for name in traits.others:
        if fold(name) in known:
            yield FieldError(child("#/traits", name), spelling(f"#/traits/{known[fold(name)]}"))


def spelling(pointer: str) -> str:
    """What to do about a name that is not written as the schema writes it."""
    return f"must be written {pointer.removeprefix('#/').replace('/', '.')}"
