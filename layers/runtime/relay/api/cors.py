"""Which web pages may call the API: CORS for the origins that the deployment names, and for no others."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from relay.api import headers
from relay.api.responses import ProxyResponse, problem_response
from relay.aws.environment import allowed_origins

EXPOSED_HEADERS = "Date, Retry-After, Preference-Applied"
"""What a page may read of an answer, beside its body; the template says the same of API Gateway's own answers."""

MAX_AGE_SECONDS = 7200
"""The longest that Chromium keeps a preflight's answer (Fetch standard and Chromium's net docs, 2026)."""


def preflight(request: Mapping[str, Any]) -> ProxyResponse:
    """The answer to an OPTIONS request: 204 to a page of an allowed origin, 403 to any other."""
    if _allowed(request) is None:
        return problem_response(
            HTTPStatus.FORBIDDEN, "Pages of this origin may not call; see the parameter AllowedOrigins."
        )
    allows = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Prefer, X-Identity-Token, X-Retry-Count",
        "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
    }
    return {"statusCode": int(HTTPStatus.NO_CONTENT), "headers": allows, "body": ""}


def add_headers(request: Mapping[str, Any], response: ProxyResponse) -> ProxyResponse:
    """The answer, readable by a page of an allowed origin; caches learn that it depends on the origin."""
    if not allowed_origins():
        return response
    origin = _allowed(request)
    readable = (
        {}
        if origin is None
        else {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED_HEADERS}
    )
    return {**response, "headers": {**response["headers"], "Vary": "Origin", **readable}}


def _allowed(request: Mapping[str, Any]) -> str | None:
    named = headers.values(request, "origin")
    return named[0] if len(named) == 1 and named[0] in allowed_origins() else None
