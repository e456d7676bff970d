"""What a detail becomes that is not in its field's form: the normaliser of each field."""

from collections.abc import Callable
from typing import Any

from relay.encoding import sha256
from relay.event import contacts, forms
from relay.event.names import Path
from relay.event.stand_ins import is_stand_in
from relay.event.types import MAX_SEQUENCE

Normaliser = Callable[[Any, str | None], Any]
"""What was sent and the app's region -> the field's value, or None where it has no one meaning."""


def normalise(path: Path, value: Any, region: str | None) -> Any:  # noqa: ANN401 - JSON
    """The value of a field, by its names on the wire, from what was sent; None where it has no one meaning."""
    usual: Normaliser = _id if path[0] == "ids" else _text
    return _RULES.get(path, usual)(value, region)


def is_id(path: Path) -> bool:
    """Whether a field holds an id or a token: a stand-in there would make one person or device of many."""
    return path[0] == "ids" or path in _IDS


def _text(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return forms.clean_text(value) if isinstance(value, str) else _digits(value, -MAX_SEQUENCE)


def _digits(value: object, least: int) -> str | None:
    """The text of a whole number; a fraction's would depend on who prints it."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole and least <= value <= MAX_SEQUENCE else None  # type: ignore[operator]


def _usable_id(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    # Blanks around it stay, and make it unusable: who a person is, is not guessed.
    return _digits(value, 1)


def _id(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return forms.clean_text(value) if isinstance(value, str) else _digits(value, 1)


def _event_id(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    text = value if isinstance(value, str) else _digits(value, 1)
    # The second event of one id is taken for the first sent again: all events of a stand-in would be one.
    if not text or not text.strip() or is_stand_in(text.strip()):
        return None
    return text if text is not value else f"sha256-{sha256(text)}"


def _email(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return contacts.email(value) if isinstance(value, str) else None


def _phone(value: Any, region: str | None) -> str | None:  # noqa: ANN401 - JSON
    text = value if isinstance(value, str) else _digits(value, 1)
    return contacts.phone(text, region) if text else None


def _digest(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return value.strip().lower() if isinstance(value, str) else None


def _push_token(value: Any, _region: str | None) -> str | bool | None:  # noqa: ANN401 - JSON
    text = forms.clean_text(value) if isinstance(value, str) else None
    return False if text and text.lower() == "false" else text


def _language(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return forms.language(value) if isinstance(value, str) else None


def _platform(value: Any, _region: str | None) -> str | None:  # noqa: ANN401 - JSON
    return forms.platform(value) if isinstance(value, str) else None


def _tracking(value: Any, _region: str | None) -> bool:  # noqa: ANN401 - JSON
    # What cannot be read must not let the device be tracked.
    return forms.flag(value) or False


def _att_status(value: Any, _region: str | None) -> str:  # noqa: ANN401 - JSON
    return forms.att_status(value) or "denied"


_DEVICE: dict[Path, Normaliser] = {
    ("id",): _usable_id,
    ("platform",): _platform,
    ("language",): _language,
    ("pushToken",): _push_token,
    ("adTracking",): _tracking,
    ("attStatus",): _att_status,
    **dict.fromkeys(
        [(name,) for name in ("previousPushToken", "advertisingId", "vendorId", "appSetId", "oaid", "amazonAid")], _id
    ),
    **dict.fromkeys(
        [("screen", "width"), ("screen", "height"), ("screen", "density"), ("cpuCores",), ("storageGb",)],
        lambda value, _: forms.number(value),
    ),
    ("freeStorageGb",): lambda value, _: forms.number(value),
}
_RULES: dict[Path, Normaliser] = {
    ("eventId",): _event_id,
    ("occurredAt",): lambda value, _: forms.moment(value),
    ("sequence",): lambda value, _: forms.number(value),
    ("customerId",): _usable_id,
    ("anonymousId",): _usable_id,
    ("email",): _email,
    ("phone",): _phone,
    ("emailSha256",): _digest,
    ("phoneSha256",): _digest,
    **{("device", *path): rule for path, rule in _DEVICE.items()},
}
_IDS = frozenset({("eventId",), ("customerId",), ("anonymousId",), ("device", "id"), ("device", "pushToken")}) | {
    ("device", *path) for path, rule in _DEVICE.items() if rule is _id
}
