"""Google Analytics 4's Measurement Protocol as the sandbox plays it: 204 whatever is wrong, the truth at /debug."""

import re
from collections.abc import Iterator

from local.sandbox.exchange import (
    CheckResult,
    EventLog,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)
from local.sandbox.google_body import STRICT, Message, check_body

COLLECT = "/mp/collect"
DEBUG = "/debug/mp/collect"
LARGEST_BODY = 130_000
STREAMS = {
    "measurement_id": ("measurement_id",),
    "firebase_app_id": ("firebase_app_id_ios", "firebase_app_id_android"),
}
FIREBASE_APP = re.compile(r"\d+:\d+:[a-zA-Z]+:[a-zA-Z0-9]+", re.ASCII)


class Google:
    """Takes events for one web stream and two app streams."""

    name = "google"
    title = "Google Analytics"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events."""
        self.settings = settings
        self._events = EventLog()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one request; /mp/collect answers 204 to all of them."""
        if request.path not in {COLLECT, DEBUG} or request.method != "POST":
            return not_found(request)
        outside = [*transport_faults(request), *self._caller_faults(request)]
        body, messages = _read(request, now)
        violations = [*outside, *(f"{message.path or 'body'}: {message.description}" for message in messages)]
        if request.path == DEBUG:
            return CheckResult(violations, lambda: _validation(messages, body))
        lost = bool(outside) or any(message.code and not message.enforced for message in messages)
        return CheckResult(violations, lambda: self._collect({} if lost else body))

    def state(self) -> dict[str, Json]:
        """Show the events that were recorded."""
        return self._events.display()

    def reset(self) -> None:
        """Lose the events."""
        self._events.clear()

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return ", ".join(str(event["name"]) for event in request.json()["events"])

    def _caller_faults(self, request: Request) -> Iterator[str]:
        query = request.query
        for name in set(query) - {"api_secret", "measurement_id", "firebase_app_id"}:
            yield f"query: {name} is not expected"
        if not query.get("api_secret"):
            yield "query: api_secret is missing"
        elif self.settings and query["api_secret"] != self._secret(query.get("firebase_app_id")):
            yield "query: api_secret is wrong"
        if ("measurement_id" in query) == ("firebase_app_id" in query):
            yield "query: needs exactly one of measurement_id and firebase_app_id"
        for name, known in STREAMS.items():
            if name in query and self.settings and query[name] not in [self.settings.get(key) for key in known]:
                yield f"query: {name} is not one of the configured streams"
        app = query.get("firebase_app_id")
        if app is not None and (not FIREBASE_APP.fullmatch(app) or ":web:" in app):
            yield "query: firebase_app_id is not the id of an iOS or Android app"

    def _secret(self, app: str | None) -> Json:
        """Give the secret of an app's own stream if it has one, else that of all other streams."""
        for platform in ("ios", "android"):
            if app is not None and app == self.settings.get(f"firebase_app_id_{platform}"):
                return self.settings.get(f"api_secret_{platform}") or self.settings.get("api_secret")
        return self.settings.get("api_secret")

    def _collect(self, body: dict[str, Json]) -> VendorResponse:
        for event in body.get("events", []):
            parameters = event.get("params", {})
            self._events.add(
                {
                    "eventName": event["name"],
                    "userId": body.get("user_id"),
                    "clientId": body.get("client_id"),
                    "appInstanceId": body.get("app_instance_id"),
                    "eventId": parameters.get("event_id"),
                    "sessionId": parameters.get("session_id"),
                    "timestampMicros": body.get("timestamp_micros"),
                }
            )
        return VendorResponse(204)


def _read(request: Request, now: float) -> tuple[dict[str, Json], list[Message]]:
    fault = "It is not an object."
    try:
        body = request.json()
    except ValueError as error:
        body, fault = None, str(error)
    if not isinstance(body, dict):
        return {}, [Message("", f"Unable to parse Measurement Protocol JSON payload. {fault}", "VALUE_INVALID")]
    web = "measurement_id" in request.query or ("firebase_app_id" not in request.query and "client_id" in body)
    messages = list(check_body(body, now, web=web, debug=request.path == DEBUG))
    if len(request.body) >= LARGEST_BODY:
        too_long = f"The body has {len(request.body)} bytes, not below {LARGEST_BODY}."
        messages.insert(0, Message("", too_long, "EXCEEDED_MAX_ENTITIES"))
    return body, messages


def _validation(messages: list[Message], body: dict[str, Json]) -> VendorResponse:
    strict = body.get("validation_behavior") == STRICT
    shown = [message.display() for message in messages if message.code and (strict or not message.enforced)]
    return VendorResponse.json(200, {"validationMessages": shown})
