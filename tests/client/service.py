"""A relay of a few lines that fails as it is asked to, for tests of the client: what it accepts, and in which order."""

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).resolve().parents[2] / "clients/javascript/session-relay.js"
KEY = "pk_demo_example"
PATIENCE_SECONDS = 20.0

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>An app</title>
<script type="module">
import { createSessionRelay } from "/session-relay.js";
Object.assign(window, { reported: [], warned: [], asked: [], create: createSessionRelay });
window.start = (options) => {
  window.relay = createSessionRelay({ url: "/generation/v1", key: "pk_demo_example",
    onError: (one) => reported.push(one), onWarning: (one) => warned.push(one), ...options });
};
</script>"""

WORKER = """import { createSessionRelay } from "/session-relay.js";
Object.assign(self, { create: createSessionRelay, url: "/generation/v1", reported: [] });
self.onmessage = async ({ data }) => postMessage(await eval(data));
self.onunhandledrejection = ({ reason }) => setTimeout(() => { throw reason; });"""

_NUMBERS = itertools.count()

Event = dict[str, Any]
Result = dict[str, Any]


@dataclass
class Fault:
    """How the relay fails: with this status, or by closing the connection; `works` if it takes the events before."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    works: bool = False


def token(uid: str, expires_in: float = 3600.0) -> str:
    """An identity token as far as a client can read it; nobody checks its signature here."""
    claims = {"kind": "USER", "uid": uid, "exp": int(time.time() + expires_in), "jti": next(_NUMBERS)}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in [*parts, b"signature"])


def spoken_for(jwt: str) -> Event:
    """The claims of a token."""
    part = jwt.split(".")[1]
    claims: Event = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


class Relay:
    """What was received and accepted, and how the next calls fail."""

    def __init__(self) -> None:
        """Works, and has received nothing."""
        self._news = threading.Condition()
        self.reset()

    def reset(self) -> None:
        """Works again, and forgets what it has received."""
        with self._news:
            # A page that was closed may still send: what it sends is of an earlier generation, and not looked at.
            self.generation = f"/{next(_NUMBERS)}"
            self.calls: list[list[Event]] = []
            self.accepted: list[Event] = []
            self.moments: list[float] = []
            self.keys = {KEY}
            self.faults: list[Fault] = []
            self.always: Fault | None = None
            self.refused_tokens: set[str] = set()
            self.must_prove = False
            self.clock_ahead = 0.0
            self.judge: Callable[[Event], Result | None] = lambda _event: None
            self.pages_may_call = True
            self.poison: tuple[str, Fault] | None = None
            self.sizes: list[int] = []
            self.paths: set[str] = set()
            self.most_at_once = self._at_once = 0
            self.gate = threading.Event()
            self.gate.set()

    def fails(self, *faults: Fault) -> None:
        """Fails the next calls so, one after the other."""
        with self._news:
            self.faults += faults

    def names(self) -> list[str]:
        """What was accepted, in short: a track by its name, anything else by its type and customer."""
        return [short(event) for event in self.accepted]

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Waits until something is so."""
        with self._news:
            assert self._news.wait_for(done, PATIENCE_SECONDS), f"accepted: {self.names()}, calls: {len(self.calls)}"

    def wait_for(self, *names: str) -> None:
        """Waits until exactly these were accepted, in this order."""
        self.wait_until(lambda: len(self.names()) >= len(names))
        assert self.names() == list(names), f"accepted: {self.names()}"

    def answer(self, path: str, key: str, text: bytes) -> Fault | None:
        """Takes a call; None where the connection is to be closed without an answer."""
        self.gate.wait(PATIENCE_SECONDS)
        with self._news:
            # Once more: another test may have begun while the call waited.
            if not path.startswith(f"{self.generation}/"):
                return Fault(404)
            self.moments.append(time.monotonic())
            self.paths.add(path)
            self.sizes.append(len(text))
            events: list[Event] = json.loads(text)["events"]
            self.calls.append(events)
            try:
                return self._answer(key, events)
            finally:
                self._news.notify_all()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A call that is under way."""
        with self._news:
            generation = self.generation
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._news.notify_all()
        time.sleep(0.005)
        yield
        with self._news:
            self._at_once -= int(generation == self.generation)

    def _answer(self, key: str, events: list[Event]) -> Fault | None:
        fault = self.faults.pop(0) if self.faults else self.always
        if fault is not None and not fault.works:
            return fault if fault.status else None
        if key not in self.keys:
            return Fault(401, body=json.dumps({"title": "UNAUTHORIZED", "detail": "No valid key."}))
        if self.poison is not None and self.poison[0] in map(short, events):
            return self.poison[1]
        results = [self._take(event) for event in events]
        if fault is not None:
            return fault if fault.status else None
        return Fault(207, body=json.dumps({"results": results}))

    def _take(self, event: Event) -> Result:
        wrong = self.judge(event) or self._identity(event)
        if wrong is not None and wrong["status"] != 202:
            return wrong
        if all(known["eventId"] != event["eventId"] for known in self.accepted):
            self.accepted.append(event)
        return {"status": 202, "eventId": event["eventId"], **(wrong or {})}

    def _identity(self, event: Event) -> Result | None:
        jwt, customer = event.get("identityToken"), event.get("customerId")
        if jwt is None:
            return _unauthorized("Missing") if customer and self.must_prove else None
        if jwt in self.refused_tokens or spoken_for(jwt)["exp"] <= time.time():
            return _unauthorized("Expired")
        return None if spoken_for(jwt)["uid"] == customer else {"status": 403, "title": "Forbidden"}


def _unauthorized(why: str) -> Result:
    return {"status": 401, "title": "Unauthorized", "detail": f"Incorrect Identity Token: {why}"}


def short(event: Event) -> str:
    """An event in a word or two."""
    if event["type"] == "track":
        return str(event["name"])
    return " ".join(filter(None, [event["type"], event.get("customerId")]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    relay: Relay

    def do_GET(self) -> None:
        """The app's page, its worker, the client; and the relay's health."""
        files = {
            "/": ("text/html", PAGE.replace("/generation", self.relay.generation)),
            "/worker.js": ("text/javascript", WORKER.replace("/generation", self.relay.generation)),
            "/session-relay.js": ("text/javascript", CLIENT.read_text(encoding="utf-8")),
        }
        kind, text = files.get(self.path.partition("?")[0], ("application/json", '{"status":"ok"}'))
        self._send(Fault(200, {"Content-Type": kind}, text))

    def do_OPTIONS(self) -> None:
        """A preflight."""
        allowed = {"Access-Control-Allow-Headers": "authorization, content-type"}
        self._send(Fault(204 if self.relay.pages_may_call else 403, allowed if self.relay.pages_may_call else {}))

    def do_POST(self) -> None:
        """A batch."""
        text = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.path.startswith(f"{self.relay.generation}/"):
            self._send(Fault(404))
            return
        with self.relay.counted():
            answer = self.relay.answer(self.path, key, text)
        if answer is None:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Fault) -> None:
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body.encode())),
            **answer.headers,
        }
        if self.relay.pages_may_call and "Origin" in self.headers:
            headers |= {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Date, Retry-After"}
        self.send_response_only(answer.status)
        self.send_header("Date", formatdate(time.time() + self.relay.clock_ahead, usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A page that is closed cuts its connections."""


@contextmanager
def serving(relay: Relay) -> Iterator[str]:
    """The relay on a port of this machine; yields its address."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"relay": relay}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
