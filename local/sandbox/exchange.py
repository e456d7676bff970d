"""A request to a sandboxed agent, the result of its checks, and the agent's answer."""

import base64
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
Settings: TypeAlias = Mapping[str, Json]

KEPT = 50_000


@dataclass(frozen=True)
class Request:
    """One HTTP request as it arrived: `path` is the vendor's, still percent-encoded, header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """Parse the body as strict JSON; raises ValueError for all else, as for double keys, NaN, lone surrogates."""
        try:
            parsed = json.loads(self.body.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
            if b"\\ud" in self.body.lower():
                # Half of a surrogate pair has no UTF-8 form; encoding it raises UnicodeEncodeError.
                json.dumps(parsed, ensure_ascii=False).encode()
        except RecursionError:
            message = "nested too deeply"
            raise ValueError(message) from None
        return parsed

    def basic(self) -> tuple[str, str]:
        """Give the user and the password of a Basic authorization; both are empty if there is none."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True).decode() if scheme == "Basic" else ""
        except ValueError:
            decoded = ""
        user, _, password = decoded.partition(":")
        return user, password

    def bearer(self) -> str:
        """Give the token of a Bearer authorization; it is empty if there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else ""

    def display(self) -> Json:
        """Give the body for display: parsed JSON if it is JSON, else text."""
        try:
            return self.json()
        except ValueError:
            return self.body.decode(errors="replace")


@dataclass(frozen=True)
class VendorResponse:
    """The vendor's response."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def text(cls, status: int, body: str) -> "VendorResponse":
        """A response in plain text."""
        return cls(status, body, {"content-type": "text/plain; charset=utf-8"})

    @classmethod
    def json(cls, status: int, body: Json) -> "VendorResponse":
        """A response in JSON."""
        return cls(status, json.dumps(body), {"content-type": "application/json"})


@dataclass(frozen=True)
class CheckResult:
    """The violations of a request, and the work that it requests.

    `work` changes the agent's state and returns the answer. It is separate so that a fault can come before it.
    """

    violations: Sequence[str]
    work: Callable[[], VendorResponse]


@dataclass
class Findings:
    """The violations of one request: a vendor refuses some of them and silently accepts the others."""

    violations: list[str] = field(default_factory=list)
    refusal: VendorResponse | None = None

    def note(self, *texts: str) -> None:
        """Keep violations that the vendor accepts silently."""
        self.violations.extend(texts)

    def refuse(self, text: str, answer: VendorResponse) -> None:
        """Keep a violation that the vendor refuses; the first refusal is the answer."""
        self.violations.append(text)
        self.refusal = self.refusal or answer

    def refuse_each(self, faults: Iterable[tuple[str, str]], answer: VendorResponse) -> None:
        """Refuse each pair of a place and its violation."""
        for where, wrong in faults:
            self.refuse(f"{where} {wrong}", answer)

    def read(self, request: Request, refusal: VendorResponse) -> dict[str, Json] | None:
        """Parse a body that must be a JSON object; any other is refused and gives None."""
        try:
            parsed = request.json()
        except ValueError as error:
            self.refuse(f"body: not JSON: {error}", refusal)
            return None
        if not isinstance(parsed, dict):
            self.refuse("body: not a JSON object", refusal)
            return None
        return parsed

    def result(self, work: Callable[[], VendorResponse]) -> CheckResult:
        """Conclude: the agent does the work unless it refuses the request."""
        refusal = self.refusal
        return CheckResult(self.violations, work if refusal is None else lambda: refusal)


class EventLog:
    """The events that an agent recorded, the newest 50,000, each with its `eventName`."""

    def __init__(self) -> None:
        """Begin with no events."""
        self._events: deque[dict[str, Json]] = deque(maxlen=KEPT)

    def add(self, event: dict[str, Json]) -> None:
        """Record an event."""
        self._events.append(event)

    def display(self) -> dict[str, Json]:
        """Give the events, their number and how many there are of each name."""
        names = Counter(event["eventName"] for event in self._events)
        return {"count": len(self._events), "byName": dict(names), "events": list(self._events)}

    def clear(self) -> None:
        """Delete the events."""
        self._events.clear()


class Agent(Protocol):
    """One external system as the sandbox plays it; `title` is what people call it."""

    name: str
    title: str
    settings: Settings

    def check(self, request: Request, now: float) -> CheckResult:
        """Check a request that came at `now` (Unix seconds) without changing anything."""

    def state(self) -> dict[str, Json]:
        """Show what a real agent would keep: under `devices`, if it keeps them, who gets the pushes of each."""

    def reset(self) -> None:
        """Delete the state."""

    def subject(self, request: Request) -> str:
        """Name what a request is about, in the vendor's own word; any exception means that it cannot be read."""


def not_found(request: Request) -> CheckResult:
    """Refuse a request for a path or method that the vendor does not have."""
    return CheckResult(
        [f"{request.method} {request.path} is not part of the contract"],
        lambda: VendorResponse.json(404, {"error": "not found"}),
    )


def transport_faults(request: Request) -> list[str]:
    """List the violations of the headers of a JSON body."""
    faults = []
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        faults.append(f"content-type is {kind.strip() or 'missing'}, not application/json")
    elif parameters.strip().lower() not in {"", "charset=utf-8"}:
        faults.append(f"content-type has the parameters {parameters.strip()}")
    if request.headers.get("content-encoding", "identity") != "identity":
        faults.append("content-encoding: the body must not be compressed")
    return faults


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "an object has the same key twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> Json:
    message = f"{name} is not JSON"
    raise ValueError(message)
