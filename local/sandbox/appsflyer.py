"""AppsFlyer as the sandbox plays it: server-to-server in-app events, one at a time, in plain-text answers."""

import json
import re

from local.sandbox.appsflyer_event import json_as_text, refused, swallowed
from local.sandbox.exchange import (
    CheckResult,
    EventLog,
    Findings,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)

LARGEST_BODY = 1024
PATH = re.compile(r"/inappevent/([^/]+)")
UNNOTICED = "the vendor answers 200 and records nothing"


class AppsFlyer:
    """Takes in-app events for one Android and one iOS app."""

    name = "appsflyer"
    title = "AppsFlyer"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events."""
        self.settings = settings
        self._events = EventLog()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one in-app event."""
        match = PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return not_found(request)
        app_id = match[1]
        findings = Findings()
        self._check_caller(request, app_id, findings)
        findings.note(*transport_faults(request))
        event = _parse(request, findings)
        if event is not None:
            ios = app_id.removeprefix("id").isdigit()
            findings.note(*swallowed(event, now, ios=ios))
            findings.refuse_each(refused(event), VendorResponse.text(400, "Bad request"))
        return findings.result(lambda: self._record(event or {}, app_id))

    def state(self) -> dict[str, Json]:
        """Show the events that were recorded."""
        return self._events.display()

    def reset(self) -> None:
        """Lose the events."""
        self._events.clear()

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return str(request.json()["eventName"])

    def _check_caller(self, request: Request, app_id: str, findings: Findings) -> None:
        key = request.headers.get("authentication")
        if "authorization" in request.headers:
            findings.note("authorization: AppsFlyer reads its key from the header authentication")
        if request.query:
            findings.note(f"the query has {', '.join(request.query)}: this endpoint takes none")
        if not key:
            findings.refuse("authentication: the header is missing", VendorResponse.text(400, "Failed to Authenticate"))
        elif self.settings and key != self.settings.get("s2s_key"):
            findings.refuse("authentication: not this app's S2S key", VendorResponse.text(401, "Unauthorized"))
        if app_id.isdigit():
            findings.note(f"path: the iOS app id {app_id} has no leading id; {UNNOTICED}")
        elif self.settings and app_id not in self._app_ids():
            findings.refuse(
                f"path: the key belongs to another app than {app_id}", VendorResponse.text(400, "app_id mismatch")
            )

    def _app_ids(self) -> list[Json]:
        return [self.settings.get("android_app_id"), self.settings.get("ios_app_id")]

    def _record(self, event: dict[str, Json], app_id: str) -> VendorResponse:
        if not app_id.isdigit():
            value = event.get("eventValue")
            parameters = json.loads(value) if value and not json_as_text(value) else {}
            self._events.add(
                {
                    "eventName": str(event["eventName"]),
                    "appId": app_id,
                    "customerUserId": event.get("customer_user_id"),
                    "appsflyerId": event.get("appsflyer_id"),
                    "eventId": parameters.get("event_id"),
                }
            )
        return VendorResponse.text(200, "OK")


def _parse(request: Request, findings: Findings) -> dict[str, Json] | None:
    if len(request.body) > LARGEST_BODY:
        findings.refuse(
            f"body: {len(request.body)} bytes, more than {LARGEST_BODY}", VendorResponse.text(400, "Bad request")
        )
    event = findings.read(request, VendorResponse.text(400, "Payload is missing or failed to parse"))
    if event is None:
        return None
    if not event.get("appsflyer_id"):
        findings.refuse("appsflyer_id is missing", VendorResponse.text(400, "appsflyer_id is a mandatory field"))
    if not isinstance(event.get("eventName"), str) or not event["eventName"].strip():
        findings.refuse("eventName is missing or no text", VendorResponse.text(400, "Bad request"))
    return event
