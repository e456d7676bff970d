"""What a caller prefers, by the header `Prefer` (RFC 7240): how wrong details of an event are handled."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from relay.api import headers

Handling = Literal["strict", "lenient"]

_HANDLING = re.compile(r'\s*handling\s*=\s*(?:"(strict|lenient)"|(strict|lenient))\s*(?:;.*)?', re.IGNORECASE)


def handling(request: Mapping[str, Any]) -> Handling | None:
    """The handling that a request prefers, the first where it names several; None where it names none that we know."""
    for value in headers.values(request, "prefer"):
        for preference in value.split(","):
            match = _HANDLING.fullmatch(preference)
            if match:
                return "strict" if (match[1] or match[2]).lower() == "strict" else "lenient"
    return None


def applied(preferred: Handling | None) -> dict[str, str]:
    """The header that says that a preference was followed."""
    return {} if preferred is None else {"Preference-Applied": f"handling={preferred}"}
