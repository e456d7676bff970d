"""Headers of a caller's HTTP request, as API Gateway hands them over: names in any case, perhaps more than once."""

from collections.abc import Mapping
from typing import Any


def values(request: Mapping[str, Any], name: str) -> list[str]:
    """Every different value of a header, by its name in lower case; none where it was not sent."""
    found: dict[str, None] = {}
    for known, value in (request.get("headers") or {}).items():
        if known.lower() == name:
            found[value] = None
    for known, several in (request.get("multiValueHeaders") or {}).items():
        if known.lower() == name:
            found |= dict.fromkeys(several)
    return list(found)
