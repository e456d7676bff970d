"""Consent as it was sent: only JSON true grants, and what cannot be read denies."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from relay.event.checks import spelling
from relay.event.faults import NOT_AN_OBJECT
from relay.event.forms import number
from relay.event.model import Consent, Tcf
from relay.event.names import Path, fields
from relay.event.stand_ins import fold
from relay.event.warning_list import WarningList

PURPOSES = ("analytics", "advertising", "messaging")
DENIED = "counts as denied: must be true or false"
COUNTS_AS_TRUE = "counts as true: must be true or false"
DENIES_ADVERTISING = "denies advertising: must be {}"
DENIES_ALL = "denies all purposes: {}"


class Consents:
    """What was sent of consent; `read` says what it comes to."""

    def __init__(self, warnings: WarningList) -> None:
        self._warnings = warnings
        self._sent: dict[str, list[tuple[Path, Any]]] = {}
        self._denies_all = False

    def add(self, sent: Path, path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
        """Takes the whole of consent (its path has one step), or one field of it."""
        if len(path) > 1:
            self._sent.setdefault(str(path[1]), []).append((sent, value))
        elif not isinstance(value, dict):
            self._deny_all(sent, path, NOT_AN_OBJECT)
        else:
            for name, member in value.items():
                self._add_member((*sent, name), name, member)

    def _add_member(self, sent: Path, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        known = fields(Consent).get(fold(name))
        if value is None:
            return
        if known is None:
            self._deny_all(sent, ("consent",), "has a name that is not known")
            return
        if known != name:
            self._warnings.normalised(sent, ("consent", known), spelling(f"#/consent/{known}"))
        self._sent.setdefault(known, []).append((sent, value))

    def _deny_all(self, sent: Path, path: Path, sentence: str) -> None:
        self._warnings.add(sent, path, DENIES_ALL.format(sentence))
        self._denies_all = True

    def read(self) -> dict[str, Any] | None:
        """Consent in the schema's names; None where nothing was sent of it."""
        kept: dict[str, Any] = {}
        for name, values in self._sent.items():
            if name in PURPOSES:
                kept[name] = self._flag(name, values, unreadable=False, sentence=DENIED)
            elif name in {"saleOptOut", "gdprApplies"}:
                kept[name] = self._flag(name, values, unreadable=True, sentence=COUNTS_AS_TRUE)
        kept |= self._ad_personalization() | self._tcf()
        if self._denies_all:
            kept |= dict.fromkeys(PURPOSES, False)
        return kept or None

    def _flag(self, name: str, values: Iterable[tuple[Path, Any]], *, unreadable: bool, sentence: str) -> bool:
        found = set()
        for sent, value in values:
            if not isinstance(value, bool):
                self._warnings.add(sent, ("consent", name), sentence)
            found.add(value if isinstance(value, bool) else unreadable)
        return unreadable if len(found) > 1 else found.pop()

    def _ad_personalization(self) -> dict[str, bool]:
        values = self._sent.get("adPersonalization", [])
        if not values:
            return {}
        read = {value for _, value in values if isinstance(value, bool)}
        if len(read) == 1 and all(isinstance(value, bool) for _, value in values):
            return {"adPersonalization": read.pop()}
        for sent, _ in values:
            self._warnings.add(sent, ("consent", "adPersonalization"), DENIES_ADVERTISING.format("true or false"))
        return {"adPersonalization": False, "advertising": False}

    def _tcf(self) -> dict[str, Any]:
        values = self._sent.get("tcf", [])
        if not values:
            return {}
        read = [_tcf(value) for _, value in values]
        if None not in read and all(one == read[0] for one in read):
            for (sent, value), one in zip(values, read, strict=True):
                if value != one:
                    self._warnings.normalised(sent, ("consent", "tcf"), "must have numbers and no other names")
            return {"tcf": read[0]}
        for sent, _ in values:
            sentence = DENIES_ADVERTISING.format("an object with policyVersion, cmpSdkId, cmpSdkVersion and tcString")
            self._warnings.add(sent, ("consent", "tcf"), sentence)
        return {"advertising": False}


def _number(value: Any) -> Any:  # noqa: ANN401 - JSON
    read = number(value)
    return value if read is None else read


def _tcf(value: Any) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return None
    known = {fields(Tcf).get(fold(name)): member for name, member in value.items()}
    named = {name: member for name, member in known.items() if name is not None}
    read = {name: member if name == "tcString" else _number(member) for name, member in named.items()}
    try:
        return Tcf.model_validate(read).model_dump(by_alias=True)
    except ValidationError:
        return None
