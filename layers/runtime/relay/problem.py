"""Answers of the HTTP API: JSON, and faults as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from relay.errors import Fault
from relay.http import encode

Answer = dict[str, Any]
"""What a Lambda function answers API Gateway's proxy integration."""


def answer(status: HTTPStatus, document: object, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": encode(document).decode(),
    }


def problem(
    status: HTTPStatus, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Answer:
    """A problem: what is wrong, what to do about it, and where in the body each fault is (JSON Pointer)."""
    document = problem_document(status, detail, faults)
    return answer(status, document, {"Content-Type": "application/problem+json", **(headers or {})})


def problem_document(status: HTTPStatus, detail: str, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The JSON of a problem, to stand alone or among the results of a batch."""
    document: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    if faults:
        document["errors"] = [asdict(fault) for fault in faults]
    return document
