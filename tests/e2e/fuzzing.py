"""What schemathesis needs beside docs/openapi.json, cases by chance, and a judge of every answer.

The judge compares what the API took with what the document allows. Of a request that prefers strict handling nothing is
taken which the schema forbids, and nothing refused which it allows. Of any other, what the schema allows is taken
without a warning, what `x-lenient-schema` allows is taken, and what the schema forbids is taken with a warning or
refused. As schemathesis' hooks (SCHEMATHESIS_HOOKS) it writes what it saw to the file at FUZZ_TALLY.
"""

import atexit
import json
import os
import re
import threading
import unicodedata
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import schemathesis
from email_validator import EmailNotValidError, validate_email
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs/openapi.json"
SHOWN = 20
ALL = list(HealthCheck)

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_own_id(text: str) -> bool:
    """The document's format `own-id`: visible characters in NFKC, and plain spaces."""
    seen = all(c == " " or unicodedata.category(c)[0] in "LMNPS" for c in text) and not _UNSEEN.search(text)
    return seen and unicodedata.is_normalized("NFKC", text)


def is_email(text: str) -> bool:
    """The document's format `own-email`, by the library that the document names RFC 5321 for."""
    try:
        validate_email(
            text, check_deliverability=False, globally_deliverable=False, allow_quoted_local=True, strict=True
        )
    except EmailNotValidError:
        return False
    return True


FORMATS = {"own-id": is_own_id, "own-email": is_email}

schemathesis.openapi.format("own-email", st.emails().filter(is_email))
schemathesis.openapi.format(
    "own-id", st.text(st.characters(categories=("Ll", "Lu", "Nd", "Po")), min_size=1, max_size=40).filter(is_own_id)
)
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(2000, 1, 1)).map(lambda at: f"{at.isoformat(timespec='milliseconds')}Z"),  # noqa: DTZ001,
)


class Tally:
    """What the fuzzer's requests came to."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._lock, self._answers = threading.Lock(), Counter[str]()
        self._wrong: dict[str, list[str]] = {"server errors": [], "accepted": [], "refused": []}
        self._judges = {path: _judge(document, path) for path in document["paths"]}

    def count(self, path: str, response: Any) -> None:
        """One request and its answer."""
        wrong = self._wrong_with(path, response)
        with self._lock:
            self._answers[f"{response.request.method} {path} {response.status_code}"] += 1
            if wrong:
                self._wrong[wrong].append(f"{path} {response.status_code} {_shown(response)}")

    def seen(self) -> dict[str, Any]:
        """How many requests, how many of each answer, and the first few of what was wrong."""
        with self._lock:
            wrong = {kind: found[:SHOWN] for kind, found in self._wrong.items()}
            counts = {kind: len(found) for kind, found in self._wrong.items()}
            return {"requests": self._answers.total(), "answers": dict(self._answers), "counts": counts, "wrong": wrong}

    def _wrong_with(self, path: str, response: Any) -> str | None:
        if response.status_code >= 500:
            return "server errors"
        body = _json(response.request)
        judge = self._judges.get(path)
        if judge is None or body is None or response.status_code not in {200, 202, 207, 400}:
            return None
        found: str | None = judge(body[0], response)
        return found


def _judge(document: dict[str, Any], path: str) -> Any:
    content = document["paths"][path].get("post", {}).get("requestBody", {}).get("content")
    if not content:
        return None

    def allows(schema: dict[str, Any]) -> Any:
        known = {**schema, "components": document["components"]}
        return jsonschema_rs.Draft202012Validator(known, validate_formats=True, formats=FORMATS).is_valid

    whole, event = allows(content["application/json"]["schema"]), allows({"$ref": "#/components/schemas/Event"})
    lenient = {
        event_type: allows({"$ref": f"#/components/schemas/Lenient{''.join(map(str.title, event_type.split('_')))}"})
        for event_type in document["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    }
    single = path.strip("/").replace("-", "_")

    def verdict(item: Any, result: Any, *, sound: bool, taken: bool, strict: bool, typed: bool) -> str | None:  # noqa: PLR0913
        sound = sound and not _given_twice(item, typed=typed) and not _misspelt(item)
        if strict or single not in {*lenient, "dry_run", "batch"}:
            return None if sound is taken else ("accepted" if taken else "refused")
        event_type = item.get("type") if typed and isinstance(item, dict) else single
        bearable = isinstance(event_type, str) and event_type in lenient and lenient[event_type](item)
        if not taken:
            return "refused" if sound or bearable else None
        return None if sound is not ("warnings" in result) else ("refused" if sound else "accepted")

    def judge(body: Any, response: Any) -> str | None:
        # Schemathesis has headers in lower case, each with all its values.
        strict = "handling=strict" in response.headers.get("preference-applied", [])
        if response.status_code != 207:
            taken = response.status_code != 400
            return verdict(
                body, response.json(), sound=whole(body), taken=taken, strict=strict, typed=single == "dry_run"
            )
        results = response.json()["results"]
        found = [
            verdict(item, result, sound=event(item), taken=result["status"] == 202, strict=strict, typed=True)
            for item, result in zip(body["events"], results, strict=True)
        ]
        return next(filter(None, found), None)

    return judge


def _given_twice(event: Any, *, typed: bool) -> bool:
    """What JSON Schema cannot forbid: one name at the top level and in the properties."""
    if not isinstance(event, dict) or not isinstance(event.get("properties"), dict):
        return False
    return bool(event.keys() & event["properties"].keys() - _FIELDS - ({"type"} if typed else set()))


def _misspelt(event: Any) -> bool:
    """Nor this: a name that differs from a known one by case, `_` or `-` alone."""
    if not isinstance(event, dict):
        return False
    traits = event.get("traits")
    names = traits.keys() - _TRAITS if isinstance(traits, dict) else set()
    return any(_folded(name) in _SPELLINGS for name in event.keys() - _FIELDS) or any(
        _folded(name) in map(_folded, _TRAITS) for name in names
    )


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _json(request: Any) -> tuple[Any] | None:
    if not request.body or "json" not in request.headers.get("content-type", "json"):
        return None
    try:
        return (json.loads(request.body),)
    except ValueError:
        return None


def _shown(response: Any) -> str:
    body = response.request.body or b""
    sent = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return f"sent {sent[:600]} heard {response.text[:600]}"


_SCHEMA = json.loads(DOCUMENT.read_text())
_SCHEMAS = _SCHEMA["components"]["schemas"]
_FIELDS = _SCHEMAS["LogoutCall"]["properties"].keys()
_TRAITS = _SCHEMAS["Traits"]["properties"].keys()
_SPELLINGS = {_folded(name) for name in _FIELDS} | {
    _folded(part + name)
    for part in ("Device", "Ids", "Consent", "Context", "Traits")
    for name in _SCHEMAS[part]["properties"]
}
TALLY = Tally(_SCHEMA)
_GUARDED: set[str] = set()


def cases(operation: Any, mode: schemathesis.GenerationMode, number: int) -> list[Any]:
    """Cases of one call by chance, as the document allows or as it forbids."""
    found: list[Any] = []
    if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
        return found  # there is no way to do it wrong

    @settings(max_examples=number, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=ALL)
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def sent(case: Any, key: str) -> None:
    """Sends a case, counts and judges its answer, and lets schemathesis check it."""
    headers = {"Authorization": f"Bearer {key}"}
    response = case.call(headers=headers)
    # Schemathesis asks again without a key for every answer; once for each call is enough, as its own command does it.
    guarded = case.operation.label in _GUARDED
    if response.status_code < 300:
        _GUARDED.add(case.operation.label)
    case.validate_response(response, headers=headers, excluded_checks=[ignored_auth] if guarded else [])


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leaves out what the document forbids in words alone."""
    events = body.get("events") if isinstance(body, dict) else None
    return not any(_given_twice(event, typed=False) for event in (events if isinstance(events, list) else [body]))


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Takes identity tokens away: made up by chance they prove nothing, and the rest of their events is never seen."""
    events = body.get("events") if isinstance(body, dict) else None
    for event in events if isinstance(events, list) else [body]:
        if isinstance(event, dict) and isinstance(event.get("identityToken"), str):
            del event["identityToken"]
    return body


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Counts and judges each answer."""
    TALLY.count(case.operation.path, response)


if "FUZZ_TALLY" in os.environ:
    atexit.register(lambda: Path(os.environ["FUZZ_TALLY"]).write_text(json.dumps(TALLY.seen())))


@schemathesis.check
def unknown_methods_are_404(_context: Any, response: Any, case: Any) -> bool | None:
    """API Gateway answers a method that a path does not have as it answers a path that is not there."""
    if response.request.method.lower() not in {case.operation.method.lower(), "options"}:
        assert response.status_code == 404, f"{response.request.method} was answered {response.status_code}"
    return None
