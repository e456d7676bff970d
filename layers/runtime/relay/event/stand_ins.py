"""Stand-ins for an id: what a program sends when it knows none, which would make one person or device of many."""

import re
from functools import cache

WORDS = frozenset({
    "null", "undefined", "none", "nil", "nan", "unknown", "n/a", "(null)", "<null>", "[object object]", "optional(nil)",
    "anonymous", "guest", "not_authenticated", "true", "false", "0", "-1",
})  # fmt: skip
"""In lower case; ids are compared in any case."""

SENTENCE = "must be an id of its own, not a stand-in such as 'null', 'guest' or zeros"

_TEMPLATE = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}")


def is_stand_in(text: str, name: str = "") -> bool:
    """Whether an id is a word for nobody, zeros, a template that was not expanded, or the name of its own field."""
    lower = text.lower()
    return (
        lower in WORDS
        or not text.strip("0-")
        or ("{" in text and bool(_TEMPLATE.search(text)))
        or (bool(name) and lower[-2:] == name[-2:].lower() and fold(text) == fold(name))
    )


def fold(name: str) -> str:
    """A name without what spellings differ by: case, `_` and `-`."""
    return name.replace("_", "").replace("-", "").lower()


@cache
def json_schema(*names: str) -> dict[str, str]:
    """A pattern of JSON Schema for all stand-ins, with the names of the field itself."""
    words = [_any_case(word) for word in sorted(WORDS)] + ["[-_]*".join(map(_any_case, fold(name))) for name in names]
    templates = r".*\$\{[^}]*\}.*|.*\{\{[^}]*\}\}.*"
    return {"pattern": f"^(?:{'|'.join(words)}|[0-]+|{templates})$"}


def _any_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c).replace("\\-", "-") for c in text)
