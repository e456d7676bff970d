"""What the API answers, for the OpenAPI document: each status with its body and its headers."""

from http import HTTPStatus
from typing import Any

from relay.api.responses import RETRY_AFTER_SECONDS
from relay.errors import MAX_ERRORS
from relay.event.model import EVENT_TYPES

Schema = dict[str, Any]

DESCRIPTION = """\
One call tells every external agent who is logged in on which device. Faults are `application/problem+json` (RFC 9457),
with the place of each in the body as a JSON Pointer. A path or method that is not here is 404. API Gateway itself
answers 413 above 10 MB, and 5xx when AWS fails; its answers are problems as well.

The schemas of events say what to send. What is sent otherwise costs the detail and not the event: it is normalised
where it has one meaning, else left out, and named in `warnings`. Refused is only what could not be acted on, which
`x-lenient-schema` says: no known type, a login or signup without a usable customerId, an identify that names nobody, a
track without a name, a push token call without the token. With `Prefer: handling=strict` whatever the schemas forbid is
400: build with it, and ship without.

**Time.** Events of a device are ordered by `sequence` (epoch milliseconds), else by `occurredAt`, else by receipt.
Every answer carries `Date`. An app whose phone's clock may be wrong learns its offset once (`Date` minus the phone's
own time), keeps it, and sends a `sequence` of corrected time that only rises. A 503 says with which `eventId` and
`sequence` to send the event again.

Beyond what a schema can say: no name is both at an event's top level and in its `properties`; no name differs from one
of the schema by case, `_` or `-` alone; the texts of format `own-id` (`customerId`, `anonymousId`, `device.id`, `uid`)
are in Unicode normal form NFKC, all characters visible; those of format `own-email` are addresses by RFC 5321's
syntax."""

PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "description": "How wrong details are handled (RFC 7240); lenient if absent.",
    "schema": {"type": "string", "enum": ["handling=strict", "handling=lenient"]},
}


SECURITY: Schema = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of your app: `pk_...` sends events, `sk_...` makes every call, for any customer.",
    },
    "identityToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Identity-Token",
        "description": "A DashX identity token: proves who the customer is, where the key is public; an event's own "
        "identityToken outranks it. Without one an "
        "event that names a customerId is 401, unless the app's record says otherwise; with another's it is 403.",
    },
}

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_STATES = ["delivered", "unconfirmed", "skipped", "expired", "parked", "queued", "sending", "retrying", "held"]


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


_ORDERED_BY: Schema = {
    "type": "string",
    "enum": ["sequence", "occurredAt", "receipt"],
    "description": "What the event is ordered by among those of its device.",
}


def _items(schema: str) -> Schema:
    return {"type": "array", "items": _ref(schema)}


SCHEMAS: Schema = {
    "Fault": _object({"pointer": {"type": "string", "pattern": "^#"}, "detail": _TEXT}),
    "Problem": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "const": "about:blank"},
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong, and what to do about it."},
            "errors": {**_items("Fault"), "description": "Where in the body each fault is; the first few, if many."},
            "eventId": {**_ref("EventId"), "description": "503: send the event again with this id."},
            "sequence": {
                "type": "integer",
                "description": "503: send the event again with this sequence, so that it keeps its place among the "
                "events of its device.",
            },
        },
        "required": ["type", "title", "detail"],
        "additionalProperties": False,
    },
    "Warnings": {
        "type": "array",
        "items": _ref("Fault"),
        "minItems": 1,
        "maxItems": MAX_ERRORS,
        "description": "Which details were normalised or left out, in the caller's own names; the first few, if many.",
    },
    "Accepted": _object(
        {"eventId": _ref("EventId"), "status": {"type": "string", "const": "accepted"}}, {"warnings": _ref("Warnings")}
    ),
    "Taken": _object(
        {"status": {"type": "integer", "const": 202}, "eventId": _ref("EventId")}, {"warnings": _ref("Warnings")}
    ),
    "Results": _object({"results": {"type": "array", "items": {"anyOf": [_ref("Taken"), _ref("Problem")]}}}),
    "Token": _object(
        {"token": _TEXT, "uid": _ref("CustomerId"), "kind": {"type": "string", "const": "USER"}, "expiresAt": _TIME}
    ),
    "Receipt": _object(
        {"state": {"type": "string", "enum": _STATES}, "attempts": {"type": "integer", "minimum": 0}},
        {
            "reason": _TEXT,
            "lastStatus": {"type": "integer"},
            "released": {
                "type": "boolean",
                "const": True,
                "description": "The agent links nobody to the device, since it could not be sent who is on it.",
            },
            "lateMs": {
                "type": "integer",
                "minimum": 0,
                "description": "Milliseconds by which a superseded event is older than the newest of its device.",
            },
            "withheld": {"type": "integer", "minimum": 0, "description": "Properties kept back as personal data."},
            "remarks": {
                "type": "array",
                "items": _TEXT,
                "description": "What the agent's requests filled in, cut or left out; sentences without values.",
            },
            "at": _TIME,
            "nextAttempt": _TIME,
        },
    ),
    "Receipts": _object(
        {
            "eventId": _ref("EventId"),
            "type": {"type": "string", "enum": list(EVENT_TYPES)},
            "agents": {"type": "object", "additionalProperties": _ref("Receipt")},
        },
        {
            "acceptedAt": _TIME,
            "warnings": {
                "type": "array",
                "items": _ref("Fault"),
                "description": "As in the answer; a pointer ends at the last name that this document has.",
            },
            "orderedBy": _ORDERED_BY,
            "events": {
                **_items("EventReceipts"),
                "description": "Where several events bear the id: each of them, the first accepted first. They differ "
                "in who proved them, or in their type, person or device.",
            },
        },
    ),
    "EventReceipts": _object(
        {
            "type": {"type": "string", "enum": list(EVENT_TYPES)},
            "agents": {"type": "object", "additionalProperties": _ref("Receipt")},
        },
        {"acceptedAt": _TIME, "orderedBy": _ORDERED_BY},
    ),
    "DryRun": _object(
        {
            "type": {"type": "string", "enum": list(EVENT_TYPES)},
            "agents": {
                "type": "object",
                "description": "By agent: its `requests`, or why there are none: skipped, expired, held, unavailable.",
                "additionalProperties": {"type": "object"},
            },
        },
        {"warnings": _ref("Warnings")},
    ),
}

_HEADERS: Schema = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "const": str(RETRY_AFTER_SECONDS)}},
    "Cache-Control": {"description": "Never kept.", "schema": {"type": "string", "const": "no-store"}},
    "Accept": {"description": "What is taken.", "schema": {"type": "string", "const": "application/json"}},
    "Accept-Encoding": {"description": "What is taken.", "schema": {"type": "string", "const": "identity"}},
}


_OPTIONAL_HEADERS: Schema = {
    "Preference-Applied": {
        "description": "The preference that was followed, if there was one.",
        "schema": {"type": "string", "enum": ["handling=strict", "handling=lenient"]},
    }
}


def _answer(
    status: HTTPStatus, description: str, schema: str, *headers: str, media: str = "application/json"
) -> Schema:
    answered: Schema = {"description": description, "content": {media: {"schema": _ref(schema)}}}
    if headers:
        required = {name: {"required": True, **_HEADERS[name]} for name in headers if name in _HEADERS}
        answered["headers"] = required | {name: _OPTIONAL_HEADERS[name] for name in headers if name not in _HEADERS}
    return {"status": str(int(status)), "answer": answered}


def _problem(status: HTTPStatus, description: str, *headers: str) -> Schema:
    return _answer(status, description, "Problem", *headers, media="application/problem+json")


_LINKS = {"receipts": {"operationId": "receipts", "parameters": {"eventId": "$response.body#/eventId"}}}
_ALL: dict[int | str, Schema] = {
    202: _answer(HTTPStatus.ACCEPTED, "The event is durably accepted.", "Accepted", "Preference-Applied"),
    207: _answer(HTTPStatus.MULTI_STATUS, "One result for each event, in order.", "Results", "Preference-Applied"),
    "token": _answer(HTTPStatus.OK, "A token.", "Token", "Cache-Control"),
    "receipts": _answer(HTTPStatus.OK, "What became of the event.", "Receipts"),
    "dryRun": _answer(HTTPStatus.OK, "What would be sent, secrets masked.", "DryRun", "Preference-Applied"),
    400: _problem(HTTPStatus.BAD_REQUEST, "The body has faults; `errors` lists them with their places."),
    401: _problem(HTTPStatus.UNAUTHORIZED, "No valid key, or no valid identity token."),
    403: _problem(HTTPStatus.FORBIDDEN, "The call needs a secret key, or the token is another customer's."),
    404: _problem(HTTPStatus.NOT_FOUND, "No event of this app has that id, or it is older than 25 days."),
    409: _problem(HTTPStatus.CONFLICT, "The app has no usable identity key."),
    413: _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."),
    415: _problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is not announced as JSON, or is compressed.",
        "Accept",
        "Accept-Encoding",
    ),
    429: _problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many calls of this app, or of all; slow down and send it again."),
    503: _problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "Nothing was accepted; send it again, with the same eventId.", "Retry-After"
    ),
}
_ALL[202]["answer"]["links"] = _LINKS


def of(*kinds: int | str) -> Schema:
    """The answers of a call, by status: statuses of problems, or the name of what a call answers when all is well."""
    return {_ALL[kind]["status"]: {"$ref": f"#/components/responses/{_named(kind)}"} for kind in kinds}


def _named(kind: int | str) -> str:
    known = _ALL[kind]
    return kind if isinstance(kind, str) else HTTPStatus(int(known["status"])).phrase.replace(" ", "")


RESPONSES: Schema = {_named(kind): known["answer"] for kind, known in _ALL.items()}
HEALTH: Schema = {
    "security": [],
    "responses": {
        "200": {
            "description": "It does.",
            "content": {"application/json": {"schema": _object({"status": {"type": "string", "const": "ok"}})}},
        }
    },
}
