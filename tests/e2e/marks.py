"""Marked values and the search for them: in clear and in every form in which a careless program would write them."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

DIGESTS = ("md5", "sha1", "sha256", "sha512")


def _spellings(value: str) -> set[str]:
    """A value as agents normalise it before they digest it."""
    digits = re.sub(r"\D", "", value) if re.fullmatch(r"\+\d+", value) else value
    letters = "".join(letter for letter in value.lower() if letter.isalnum())
    return {value, value.lower(), value.upper(), digits, letters, value.replace("-", ""), value.lower() + "\n"}


def _base64_cores(raw: bytes) -> set[str]:
    """What base64 makes of bytes wherever they stand within others: the part that does not depend on the neighbours."""
    cores = set()
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        first, last = (0, 2, 3)[before], len(text) - (4 if (before + len(raw)) % 3 else 0)
        cores |= {text[first:last], text[first:last].replace("+", "-").replace("/", "_")}
    return {core for core in cores if len(core) >= 8}


def forms(value: str) -> dict[str, str]:
    """Every form of a marked value, with what it is called; to be looked for without regard to case."""
    found: dict[str, str] = {}
    for spelling in sorted(_spellings(value)):
        raw = spelling.encode()
        found |= {
            spelling.strip(): "clear",
            quote(spelling, safe=""): "url",
            quote_plus(spelling): "url",
            raw.hex(): "hex",
        }
        found[json.dumps(spelling)[1:-1]] = "json"
        found[json.dumps(json.dumps(spelling))[3:-3]] = "json in json"
        found |= dict.fromkeys(_base64_cores(raw), "base64")
        for name in DIGESTS:
            digest = hashlib.new(name, raw, usedforsecurity=False).digest()
            found |= {digest.hex(): name, digest.hex()[:56]: f"{name}, cut"}
            for text in (base64.b64encode(digest), base64.urlsafe_b64encode(digest)):
                found[text.decode().rstrip("=")] = f"{name} in base64"
    return {form.lower(): kind for form, kind in found.items() if len(form) >= 6}


class _Trie(dict[str, "_Trie"]):
    """Texts by their first letter, then by their second, and so on; an empty one says that a text ends there."""


def _trie(texts: Iterable[str]) -> _Trie:
    root = _Trie()
    for text in texts:
        node = root
        for letter in text:
            node = node.setdefault(letter, _Trie())
        node[""] = _Trie()
    return root


def _pattern(node: _Trie) -> str:
    """A pattern of the longest of these texts: fifty times as fast as thousands of alternatives side by side."""
    branches = [re.escape(letter) + _pattern(rest) for letter, rest in node.items() if letter]
    if not branches:
        return ""
    whole = branches[0] if len(branches) == 1 and "" not in node else f"(?:{'|'.join(branches)})"
    return f"{whole}?" if "" in node else whole


@dataclass
class Search:
    """Looks for marked values in every place that it is shown; counts the places by kind, keeps the hits."""

    marks: Mapping[str, str]
    places: Counter[str] = field(default_factory=Counter)
    letters: int = 0
    hits: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepares one pattern for all forms of all marks."""
        self._forms = {form: (name, kind) for name, value in self.marks.items() for form, kind in forms(value).items()}
        self._pattern = re.compile(_pattern(_trie(self._forms)))

    def look(self, kind: str, where: str, text: str) -> None:
        """Looks at one place."""
        self.places[kind] += 1
        self.letters += len(text)
        for found in self._pattern.finditer(text.lower()):
            name, form = self._forms[found[0]]
            around = text[max(0, found.start() - 80) : found.end() + 80]
            self.hits.append(f"{kind} {where}: {name} ({form}) in ...{around}...")

    def look_at_all(self, kind: str, texts: Iterable[tuple[str, object]]) -> None:
        """Looks at many places of one kind, each with where it is."""
        for where, text in texts:
            self.look(kind, where, text if isinstance(text, str) else json.dumps(text, default=_shown))

    def report(self) -> str:
        """How many places of each kind were looked at, and the hits."""
        rows = [f"  {number:6} {kind}" for kind, number in sorted(self.places.items())]
        summary = f"{sum(self.places.values())} places, {self.letters} characters, {len(self._forms)} forms"
        return "\n".join(
            [f"{summary} of {len(self.marks)} marked values, {len(self.hits)} hits", *rows, *_few(self.hits)]
        )


def _few(hits: list[str]) -> Iterator[str]:
    yield from (f"  HIT {hit}" for hit in hits[:40])


def _shown(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
