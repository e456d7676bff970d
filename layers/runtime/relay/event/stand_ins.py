"""Stand-ins for an id: what a program sends when it knows none, which would make one person or device of many."""

import re
from functools import cache

WORDS = frozenset({
    "null", "undefined", "none", "nil", "nan", "unknown", "n/a", "(null)", "<null>", "[object object]", "optional(nil)",
    "anonymous", "guest", "not_authenticated", "true", "false", "0", "-1",
})  # fmt: skip
"""In lower case; ids are compared in any case."""

_FIELDS = (
    *("id", "uid", "customer id", "anonymous id", "device id", "event id", "push token", "previous push token"),
    *("advertising id", "vendor id", "app set id", "oaid", "amazon aid", "appsflyer id", "ga app instance id"),
    *("ga client id", "ga session id", "fbp", "fbc", "fb anon id"),
)
"""A field's own name stands there where a form or a template was sent as it is."""

_ALL = WORDS | {field.replace(" ", between) for field in _FIELDS for between in ("", "_", "-")}

SENTENCE = "must be an id of its own, not a stand-in such as 'null', 'guest' or zeros"

_TEMPLATE = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}")


def is_stand_in(text: str) -> bool:
    """Whether an id is a word for nobody, zeros, a template that was not expanded, or the name of a field."""
    return text.lower() in _ALL or not text.strip("0-") or ("{" in text and bool(_TEMPLATE.search(text)))


def fold(name: str) -> str:
    """A name without what spellings differ by: case, `_` and `-`."""
    return name.replace("_", "").replace("-", "").lower()


@cache
def json_schema() -> dict[str, str]:
    """A pattern of JSON Schema for all stand-ins."""
    words = "|".join(_any_case(word) for word in sorted(_ALL))
    return {"pattern": f"^(?:{words}|[0-]+|.*\\$\\{{[^}}]*\\}}.*|.*\\{{\\{{[^}}]*\\}}\\}}.*)$"}


def _any_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c).replace("\\-", "-") for c in text)
