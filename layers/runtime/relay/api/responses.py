"""Answers of the HTTP API: JSON, and faults as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from relay.encoding import encode
from relay.errors import (
    MAX_ERRORS,
    FieldError,
    Forbidden,
    IncorrectToken,
    InvalidEvent,
    LedgerUnavailable,
    NotAccepted,
    RelayError,
    SettingsUnavailable,
    TooLarge,
    UnsupportedMedia,
)

ProxyResponse = dict[str, Any]
"""What a Lambda function answers API Gateway's proxy integration."""

RETRY_AFTER_SECONDS = 2

_STATUSES: dict[type[RelayError], HTTPStatus] = {
    InvalidEvent: HTTPStatus.BAD_REQUEST,
    IncorrectToken: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    SettingsUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotAccepted: HTTPStatus.SERVICE_UNAVAILABLE,
}
HANDLED_ERRORS = tuple(_STATUSES)
"""The errors that a caller gets as a problem."""

_HEADERS: dict[HTTPStatus, dict[str, str]] = {
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: {"Accept": "application/json", "Accept-Encoding": "identity"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}


def json_response(status: HTTPStatus, document: object, headers: Mapping[str, str] | None = None) -> ProxyResponse:
    """A JSON answer."""
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": encode(document).decode(),
    }


def with_headers(response: ProxyResponse, headers: Mapping[str, str]) -> ProxyResponse:
    """The response with further headers."""
    return {**response, "headers": {**response["headers"], **headers}}


def problem_response(status: HTTPStatus, detail: str, faults: Sequence[FieldError] = ()) -> ProxyResponse:
    """A problem: what is wrong, what to do about it, and where in the body each fault is (JSON Pointer)."""
    return _problem(status, problem_document(status, detail, faults))


def problem_document(status: HTTPStatus, detail: str, faults: Sequence[FieldError] = ()) -> dict[str, Any]:
    """The JSON of a problem, to stand alone or among the results of a batch."""
    document: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    if faults:
        document["errors"] = [fault._asdict() for fault in faults]
    return document


def _problem(status: HTTPStatus, document: dict[str, Any]) -> ProxyResponse:
    return json_response(status, document, {"Content-Type": "application/problem+json", **_HEADERS.get(status, {})})


def status_of(error: RelayError) -> HTTPStatus:
    """The status that tells a caller of what went wrong."""
    return next(status for kind, status in _STATUSES.items() if isinstance(error, kind))


def error_response(error: RelayError, detail: str) -> ProxyResponse:
    """What went wrong, as a problem in these words."""
    return _problem(status_of(error), error_document(error, detail))


def error_document(error: RelayError, detail: str) -> dict[str, Any]:
    """The JSON of it; of an event that is to be sent again with its id and sequence."""
    document = problem_document(status_of(error), detail, _faults(error))
    if isinstance(error, NotAccepted):
        document |= {"eventId": error.event_id, "sequence": error.sequence}
    return document


def count_text(invalid: InvalidEvent) -> str:
    """How many faults an event has, as far as they are named."""
    number = len(invalid.errors)
    return "1 fault" if number == 1 else f"{number} faults{' or more' if number >= MAX_ERRORS else ''}"


def _faults(error: RelayError) -> Sequence[FieldError]:
    return error.errors if isinstance(error, InvalidEvent) else ()
