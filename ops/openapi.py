"""The API's OpenAPI 3.1 document, made from the code that answers: `python -m ops.openapi` writes docs/openapi.json."""

import json
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from functions.dry_run.app import MAX_BODY_BYTES as MAX_DRY_RUN_BYTES
from functions.identity.app import MAX_BODY_BYTES as MAX_TOKEN_BYTES
from functions.identity.app import TokenCall
from functions.ingest.app import CALLS, MAX_BATCH_BYTES, MAX_EVENT_BYTES
from ops import openapi_answers as answers
from ops import openapi_examples as examples
from relay.api.batch import MAX_EVENTS
from relay.event import types
from relay.event.checks import REQUIRED
from relay.event.faults import ROOT
from relay.event.model import (
    EVENT_TYPES,
    MAX_PROPERTIES,
    EventInput,
    EventType,
    NonNegativeInt,
    PropertyValue,
    PushToken,
)
from relay.event.nested import MAX_DEPTH, part_schema

HOME = Path(__file__).resolve().parent.parent
DOCUMENT = HOME / "docs/openapi.json"

Schema = dict[str, Any]

_SUMMARIES: dict[EventType, str] = {
    "login": "A person logged in",
    "logout": "A person logged out",
    "open": "The app came to the foreground, for a known or an anonymous person",
    "signup": "An account was made",
    "identify": "A profile changed",
    "track": "Anything else happened",
    "push_token": "Push was accepted, declined or renewed",
}
_TEXTS: dict[str, Any] = {
    "Text": types.Text,
    "LongText": types.LongText,
    "PropertyName": types.PropertyName,
    "EventId": types.EventId,
    "CustomerId": types.CustomerId,
    "DeviceId": types.DeviceId,
    "AgentId": types.AgentId,
    "LongAgentId": types.LongAgentId,
    "Email": types.Email,
    "Sha256": types.Sha256,
    "Phone": types.Phone,
    "Language": types.Language,
    "Moment": types.Timestamp,
    "PushToken": PushToken,
    "PropertyValue": PropertyValue,
    "Count": NonNegativeInt,
}
"""Types of the code that many fields have; in the document each is said once."""

_JSON = {f"JsonPart{depth}": part_schema(depth) for depth in range(MAX_DEPTH)}
"""Parts of properties that are JSON, by how deep they may be."""

_OWN_IDENTITY = "The event's own identity token: outranks the header's. A credential in any spelling, never a property."
_KEY: list[Schema] = [{"key": []}]
_KEY_AND_PERSON: list[Schema] = [{"key": []}, {"key": [], "identityToken": []}]


def document() -> Schema:
    """The whole document."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "session-relay",
            "version": project["version"],
            "summary": project["description"],
            "description": answers.DESCRIPTION,
        },
        "servers": [
            {
                "url": "https://{api}.execute-api.{region}.amazonaws.com/v1",
                "description": "The stack's output ApiUrl",
                "variables": {"api": {"default": "a1b2c3d4e5"}, "region": {"default": "us-east-1"}},
            }
        ],
        "paths": _paths(),
        "components": {
            "schemas": {**_parts(), **_events(), **answers.SCHEMAS},
            "responses": answers.RESPONSES,
            "securitySchemes": answers.SECURITY,
        },
    }


def _paths() -> Schema:
    return {
        **{f"/{call}": {"post": _event_call(event_type)} for call, event_type in CALLS.items()},
        "/batch": {"post": _batch_call()},
        "/identity-tokens": {"post": _token_call()},
        "/events/{eventId}": {"get": _receipts_call()},
        "/dry-run": {"post": _dry_run_call()},
        "/health": {"get": {**_named("health", "Whether the API answers"), **answers.HEALTH}},
    }


def _event_call(event_type: EventType) -> Schema:
    schema = _event(event_type)
    required = "required" in schema or "anyOf" in schema
    return {
        **_named(event_type, _SUMMARIES[event_type]),
        "security": _KEY_AND_PERSON,
        "parameters": [answers.PREFER],
        "x-lenient-schema": _ref(f"Lenient{_name(event_type)}"),
        "requestBody": _body(
            f"{_name(event_type)}Call", MAX_EVENT_BYTES, examples.EVENTS[event_type], required=required
        ),
        "responses": answers.of(202, 400, 401, 403, 413, 415, 429, 503),
    }


def _batch_call() -> Schema:
    return {
        **_named("batch", f"1 to {MAX_EVENTS} events, each answered on its own"),
        "security": _KEY_AND_PERSON,
        "parameters": [answers.PREFER],
        "requestBody": _body("Batch", MAX_BATCH_BYTES, examples.BATCH),
        "responses": answers.of(207, 400, 401, 403, 413, 415, 429, 503),
    }


def _token_call() -> Schema:
    return {
        **_named("identityToken", "Mints a DashX identity token, for a secret key"),
        "security": _KEY,
        "requestBody": _body("TokenCall", MAX_TOKEN_BYTES, examples.TOKEN),
        "responses": answers.of("token", 400, 401, 403, 409, 413, 415, 429, 503),
    }


def _receipts_call() -> Schema:
    event_id = {"name": "eventId", "in": "path", "required": True, "schema": _ref("EventId")}
    return {
        **_named("receipts", "What became of an event at every agent, for a secret key"),
        "security": _KEY,
        "parameters": [event_id],
        "responses": answers.of("receipts", 401, 403, 404, 429, 503),
    }


def _dry_run_call() -> Schema:
    return {
        **_named("dryRun", "What each agent would be sent for an event, for a secret key; sends nothing"),
        "security": _KEY,
        "parameters": [answers.PREFER],
        "requestBody": _body("Event", MAX_DRY_RUN_BYTES, examples.DRY_RUN),
        "responses": answers.of("dryRun", 400, 401, 403, 413, 415, 429, 503),
    }


def _named(operation: str, summary: str) -> Schema:
    return {"operationId": operation, "summary": summary}


def _body(schema: str, most: int, shown: Mapping[str, object], *, required: bool = True) -> Schema:
    return {
        "description": f"At most {most} bytes of JSON in UTF-8, in which no object has a name twice.",
        "required": required,
        "content": {
            "application/json": {
                "schema": _ref(schema),
                "examples": {name: {"value": value} for name, value in shown.items()},
            }
        },
    }


def _parts() -> Schema:
    """The types of the fields, and the parts of an event, as pydantic knows them."""
    texts = {name: TypeAdapter(kind).json_schema() for name, kind in _TEXTS.items()}
    del texts["PropertyValue"]["anyOf"][2]  # whole numbers, which the numbers of the same bounds hold
    parts = {**EventInput.model_json_schema()["$defs"], "TokenCall": TokenCall.model_json_schema()}
    return {
        **{name: {word: _shared(value) for word, value in schema.items()} for name, schema in (texts | _JSON).items()},
        **{name: _shared(_plain(part)) for name, part in parts.items()},
        "Properties": {
            "type": "object",
            "propertyNames": _ref("PropertyName"),
            "additionalProperties": {"anyOf": [_ref("PropertyValue"), {"type": "null"}]},
            "maxProperties": MAX_PROPERTIES,
        },
        "DeviceWithPushToken": _device_with_push_token(),
        "Traits": _traits(),
    }


def _traits() -> Schema:
    traits = _shared(_plain(EventInput.model_json_schema()["$defs"]["Traits"]))
    del traits["properties"][""]
    maximum = MAX_PROPERTIES + len(traits["properties"])
    value = {"anyOf": [_ref("PropertyValue"), {"type": "null"}]}
    return {
        **traits,
        "propertyNames": _ref("PropertyName"),
        "additionalProperties": value,
        "maxProperties": maximum,
    }


def _device_with_push_token() -> Schema:
    device = _shared(_plain(EventInput.model_json_schema()["$defs"]["Device"]))
    device["properties"]["pushToken"] = _ref("PushToken")
    return {**device, "description": "The device with its push token, false where declined.", "required": ["pushToken"]}


@cache
def _said() -> Mapping[str, str]:
    texts = {json.dumps(TypeAdapter(kind).json_schema(), sort_keys=True): name for name, kind in _TEXTS.items()}
    return texts | {json.dumps(schema, sort_keys=True): name for name, schema in _JSON.items()}


def _events() -> Schema:
    """An event of each type: as its own call takes it, and as a batch or a dry run does, which need its type."""
    choice = [_ref(f"{_name(event_type)}Event") for event_type in EVENT_TYPES]
    mapping = {event_type: one["$ref"] for event_type, one in zip(EVENT_TYPES, choice, strict=True)}
    return {
        **{f"{_name(event_type)}Call": _event(event_type) for event_type in EVENT_TYPES},
        **{f"{_name(event_type)}Event": _typed(event_type) for event_type in EVENT_TYPES},
        **{f"Lenient{_name(event_type)}": _lenient(event_type) for event_type in EVENT_TYPES},
        "Event": {"oneOf": choice, "discriminator": {"propertyName": "type", "mapping": mapping}},
        "Batch": {
            "type": "object",
            "properties": {"events": {"type": "array", "items": _ref("Event"), "minItems": 1, "maxItems": MAX_EVENTS}},
            "required": ["events"],
            "additionalProperties": False,
        },
    }


def _event(event_type: EventType) -> Schema:
    schema: Schema = _shared(_plain(EventInput.model_json_schema()))
    del schema["$defs"]
    fields = schema["properties"]
    schema["description"] = (
        f"{_SUMMARIES[event_type]}. A string under any other name is a property; a name may not also be in properties."
    )
    schema["propertyNames"] = _ref("PropertyName")
    schema["additionalProperties"] = {"anyOf": [_ref("LongText"), {"type": "null"}]}
    fields["properties"] = {"anyOf": [_ref("Properties"), {"type": "null"}]}
    fields["identityToken"] = {
        "anyOf": [_ref("LongText"), {"type": "null"}],
        "writeOnly": True,
        "description": _OWN_IDENTITY,
    }
    for names in REQUIRED.get(event_type, []):
        if len(names) == 1:
            schema["required"] = list(names)
            fields[names[0]] = _given(fields[names[0]])
        else:
            schema["anyOf"] = [{"required": [name], "properties": {name: _given(fields[name])}} for name in names]
    if event_type == "push_token":
        schema["required"] = ["device"]
        fields["device"] = _ref("DeviceWithPushToken")
    return schema


def _given(optional: Schema) -> Schema:
    """The schema of a field that may not be null."""
    said = {name: value for name, value in optional.items() if name == "description"}
    return {**optional["anyOf"][0], **said}


_WHOLE: Schema = {"type": "integer", "minimum": 1, "maximum": types.MAX_SEQUENCE}


def _lenient(event_type: EventType) -> Schema:
    """What is accepted of an event without `Prefer: handling=strict`, whatever its other details hold."""
    schema: Schema = {"type": "object", "description": "Accepted; whatever else it holds costs itself alone."}
    choices = [_with(name) for names in REQUIRED.get(event_type, []) for name in names]
    if event_type == "push_token":
        device = {"type": "object", "required": ["pushToken"], "properties": {"pushToken": _ref("PushToken")}}
        device["propertyNames"] = _no_other_spelling("pushToken")
        names = {"allOf": [_no_other_spelling("device"), _no_other_spelling("devicePushToken")]}
        choices = [{"required": ["device"], "properties": {"device": device}, "propertyNames": names}]
    return {**schema, "anyOf": choices} if choices else schema


def _with(name: str) -> Schema:
    kind = {"customerId": "CustomerId", "anonymousId": "DeviceId"}.get(name, "Text")
    least = -types.MAX_SEQUENCE if kind == "Text" else 1
    return {
        "required": [name],
        "properties": {name: {"anyOf": [_ref(kind), {**_WHOLE, "minimum": least}]}},
        "propertyNames": _no_other_spelling(name),
    }


def _no_other_spelling(name: str) -> Schema:
    letters = "[-_]*".join(f"[{letter.lower()}{letter.upper()}]" for letter in name)
    return {"anyOf": [{"const": name}, {"not": {"pattern": f"^[-_]*{letters}[-_]*$"}}]}


def _typed(event_type: EventType) -> Schema:
    schema = _event(event_type)
    properties = {"type": {"type": "string", "const": event_type}, **schema["properties"]}
    return {**schema, "properties": properties, "required": ["type", *schema.get("required", [])]}


def _plain(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Without pydantic's titles and defaults of null, and of descriptions only the first sentence."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: value
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str)) and not (name == "default" and value is None)
    }
    if "description" in kept and isinstance(kept["description"], str):
        kept["description"] = kept["description"].split("\n")[0]
    return {name: _plain(value) for name, value in kept.items()}


def _shared(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """The same with references to what the document says elsewhere."""
    if isinstance(schema, list):
        return [_shared(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    known = _said().get(json.dumps(schema, sort_keys=True))
    if known:
        return _ref(known)
    if "$ref" in schema:
        return _ref(schema["$ref"].rpartition("/")[2])
    return {name: _shared(value) for name, value in schema.items()}


def _name(event_type: EventType) -> str:
    return "".join(word.capitalize() for word in event_type.split("_"))


def _ref(schema: str) -> Schema:
    return {"$ref": f"{ROOT}/components/schemas/{schema}"}


def written() -> str:
    """The document as it stands in docs/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written())
    sys.stdout.write(f"{DOCUMENT.relative_to(HOME)}: {len(document()['paths'])} paths\n")
