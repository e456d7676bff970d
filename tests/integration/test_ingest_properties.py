"""Whatever comes in, by chance: 202 or a problem, never more; and what is 202 is in the topic as it was sent."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.dry_run.app import handler as dry_run
from functions.identity.app import handler as mint
from functions.ingest.app import CALLS, handler
from relay.api import registry
from relay.api.event_tokens import is_token_name
from relay.aws import clients
from relay.event.model import Event, EventInput
from relay.event.names import paths
from relay.event.stand_ins import fold
from relay.ledger.ledger import Ledger
from tests.examples import examples

pytestmark = pytest.mark.slow

DEVICE = {"id": "d", "pushToken": "t", "screen": {"density": 2}}
LEAST: dict[str, dict[str, Any]] = {
    "login": {"customerId": "1"},
    "signup": {"customerId": "1"},
    "identify": {"anonymousId": "v"},
    "track": {"name": "x"},
    "push-token": {"device": DEVICE},
}
NAMES = ["customerId", "anonymousId", "device", "properties", "name", "events", "type", "sequence", "consent", "x", "é"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text()
    | st.sampled_from(["1", "null", "login", "open", "2026-11-20T09:15:42Z", "\ud800", "\uffff", "9" * 5000])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner), max_leaves=20
)
BATCHES = st.lists(
    JSON | st.fixed_dictionaries({"type": st.sampled_from([*CALLS.values(), "x"])}, optional={"name": JSON})
)
BODIES = (
    st.binary(max_size=400)
    | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | JSON.map(lambda value: json.dumps(value).encode())
    | BATCHES.map(lambda events: json.dumps({"events": events}).encode())
    | st.tuples(st.sampled_from([b'{"a":', b"[", b'{"events":[{"a":']), st.integers(0, 3000)).map(lambda n: n[0] * n[1])
)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "content-encoding", "X-Identity-Token", "Origin", "X"]),
    st.text(max_size=30) | st.sampled_from(["application/json", "identity", "application/json; charset=utf-8"]),
    max_size=3,
)
WORDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=40
)
NAME = WORDS.filter(lambda name: name.strip(" ") != "" and not is_token_name(name))
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
PROPERTIES = st.dictionaries(NAME, WORDS | st.booleans() | WHOLE | st.floats(-(2.0**53) + 1, 2.0**53 - 1), max_size=5)


class Topic:
    """SNS as a list of what was published."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> dict[str, Any]:
        self.messages.append(message)
        return {}

    def publish_batch(self, **batch: Any) -> dict[str, Any]:
        self.messages += batch["PublishBatchRequestEntries"]
        return {}


@contextmanager
def _published() -> Iterator[list[Event]]:
    """The events that a block publishes, as an agent reads them."""
    sns, heard = Topic(), list[Event]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "sns", lambda: sns)
        patch.setattr(Ledger, "accept", lambda _ledger, _events: None)
        patch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:events.fifo")
        patch.setenv("TABLE", "receipts")
        yield heard
    heard += [Event.load(message["Message"]) for message in sns.messages]


def _request(path: str, body: bytes | str, **more: Any) -> dict[str, Any]:
    raw = isinstance(body, bytes)
    return {
        "resource": path,
        "httpMethod": "POST",
        "headers": {},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": raw,
        "requestContext": {"authorizer": {"appId": "shop", "kind": "secret", "identity": "required"}},
        **more,
    }


def _is_problem(document: Any) -> bool:
    return (
        document.keys() <= {"type", "title", "status", "detail", "errors"}
        and 400 <= document["status"] < 500
        and bool(document["detail"])
        and all(fault["pointer"].startswith("#") and fault["detail"] for fault in document.get("errors", []))
    )


@pytest.mark.parametrize("path", [*(f"/{call}" for call in CALLS), "/batch"])
@settings(max_examples=examples(150), deadline=None)
@given(body=BODIES, headers=HEADERS)
@example(body=b"", headers={})
@example(body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})
@example(body=b'{"events":[' + b"[" * 900 + b"]" * 900 + b"]}", headers={})
@example(body=b'{"a":' * 400 + b"1" + b"}" * 400, headers={})
def test_any_bytes_are_taken_or_a_problem(path: str, body: bytes, headers: dict[str, str]) -> None:
    with _published() as heard:
        answer = handler(_request(path, body, headers=headers), None)
    document = json.loads(answer["body"])
    if answer["statusCode"] == 202:
        assert [event.event_id for event in heard] == [document["eventId"]]
    elif answer["statusCode"] == 207:
        accepted = [result["eventId"] for result in document["results"] if result["status"] == 202]
        assert [event.event_id for event in heard] == accepted
        assert all(_is_problem(result) for result in document["results"] if result["status"] != 202)
    else:
        assert answer["headers"]["Content-Type"] == "application/problem+json"
        assert _is_problem(document)
        assert answer["statusCode"] == document["status"]
        assert heard == []


@settings(max_examples=examples(150), deadline=None)
@given(body=BODIES, headers=HEADERS)
def test_any_bytes_are_a_dry_run_or_a_problem(body: bytes, headers: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.dry_run.app.deployed_agents", dict[str, registry.DeployedAgent])
        answer = dry_run(_request("/dry-run", body, headers=headers), None)
    assert answer["statusCode"] == 200 or _is_problem(json.loads(answer["body"]))


@settings(max_examples=examples(150), deadline=None)
@given(body=BODIES, headers=HEADERS)
def test_any_bytes_are_no_token(body: bytes, headers: dict[str, str]) -> None:
    assert _is_problem(json.loads(mint(_request("/identity-tokens", body, headers=headers), None)["body"]))


@pytest.mark.parametrize("call", sorted(CALLS))
@settings(max_examples=examples(60), deadline=None)
@given(
    properties=PROPERTIES,
    loose=st.dictionaries(NAME, WORDS, max_size=3),
    sequence=st.integers(1, 1_700_000_000_000),
    occurred=st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    method=WORDS.filter(str.strip),
    in_batch=st.booleans(),
)
def test_what_is_taken_is_in_the_topic_as_it_was_sent(  # noqa: PLR0913 - each by its own chance
    *,
    call: str,
    properties: dict[str, Any],
    loose: dict[str, str],
    sequence: int,
    occurred: datetime,
    method: str,
    in_batch: bool,
) -> None:
    known = {"eventId": "e", "sequence": sequence, "occurredAt": occurred.isoformat(), "method": method}
    sent = {**LEAST.get(call, {}), **known, "properties": properties}
    # A name that differs from a known one by its spelling alone is read as that one.
    spellings = {fold(name) for name in (*properties, *sent, *NAMES)} | paths(EventInput).keys()
    loose = {name: text for name, text in loose.items() if fold(name) not in spellings}
    body: Any = {**sent, **loose}
    if in_batch:
        body = {"events": [{"type": CALLS[call], **body}]}
    with _published() as heard:
        answer = handler(_request("/batch" if in_batch else f"/{call}", json.dumps(body, ensure_ascii=False)), None)
    assert answer["statusCode"] in {202, 207}, answer["body"]
    (event,) = heard
    dumped = json.loads(event.dump())
    assert dumped.pop("properties", {}) == {**properties, **loose}
    assert datetime.fromisoformat(dumped.pop("occurredAt")) == occurred
    stamped = {"type": CALLS[call], "appId": "shop", "trusted": True}
    made = {"receivedAt", "scope", "orderedBy"}
    assert {name: value for name, value in dumped.items() if name not in made} == {
        **{name: value for name, value in sent.items() if name not in {"properties", "occurredAt"}},
        **stamped,
    }
