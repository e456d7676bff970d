"""Meta's Conversions API as the sandbox plays it: up to 1000 events a request, all or nothing."""

import re
from datetime import UTC, datetime

from local.sandbox.exchange import (
    Answer,
    CheckResult,
    EventLog,
    Findings,
    Json,
    Request,
    Settings,
    not_found,
    transport_faults,
)
from local.sandbox.facebook_event import check_event, error, invalid, trace
from local.sandbox.formats import Check, anything, misfits, text

PATH = re.compile(r"/(?P<version>[^/]+)/(?P<dataset>[^/]+)/events")
# Meta's changelog: the day on which each version ends; v26.0 is the newest and has none yet.
LAST_DAYS = {
    "v21.0": "2027-01-21",
    "v22.0": "2027-05-20",
    "v23.0": "2027-10-08",
    "v24.0": "2028-02-18",
    "v25.0": "2028-07-29",
    "v26.0": "9999-12-31",
}
MOST_EVENTS = 1000
BODY: dict[str, Check] = {
    "data": anything,
    **dict.fromkeys(("test_event_code", "partner_agent", "namespace_id", "upload_tag"), text()),
}


class Facebook:
    """Takes events for one dataset."""

    name = "facebook"
    title = "Facebook"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events."""
        self.settings = settings
        self._events = EventLog()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one batch of events."""
        match = PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return not_found(request)
        findings = Findings()
        self._check_version(match["version"], now, findings)
        self._check_caller(request, match["dataset"], findings)
        findings.note(*transport_faults(request))
        events = _parse(request, findings)
        for at, event in enumerate(events):
            check_event(event, f"data[{at}]", now, findings)
        return findings.result(lambda: self._record(events))

    def state(self) -> dict[str, Json]:
        """Show the events that were taken, and how many of them Meta would take for duplicates."""
        shown = self._events.display()
        pairs = {(event["eventName"], event["eventId"]) for event in shown["events"]}
        return {**shown, "duplicates": shown["count"] - len(pairs)}

    def reset(self) -> None:
        """Lose the events."""
        self._events.clear()

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return ", ".join(str(event["event_name"]) for event in request.json()["data"])

    def _check_version(self, version: str, now: float, findings: Findings) -> None:
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        if LAST_DAYS.get(version, "") < today:
            findings.refuse(
                f"path: {version} is not a living version",
                error(400, 2635, "You are calling a deprecated version of the Ads API."),
            )
        elif self.settings and version != self.settings.get("api_version", version):
            findings.note(f"path: {version} is not the configured version")

    def _check_caller(self, request: Request, dataset: str, findings: Findings) -> None:
        for name in request.query:
            leak = name in {"access_token", "appsecret_proof"}
            findings.note(f"query: {name} " + ("is a secret and must not be in a URL" if leak else "is not expected"))
        token = request.bearer()
        if not token or (self.settings and token != self.settings.get("access_token")):
            findings.refuse(
                "authorization: not a Bearer header with the access token",
                error(400, 190, "Error validating access token: Session has expired.", 463),
            )
        if self.settings and dataset != str(self.settings.get("dataset_id")):
            message = f"Unsupported post request. Object with ID '{dataset}' does not exist."
            findings.refuse(f"path: {dataset} is not the dataset", error(400, 100, message, 33))

    def _record(self, events: list[Json]) -> Answer:
        for event in events:
            people = event["user_data"]
            self._events.add(
                {
                    "eventName": event["event_name"],
                    "eventId": event.get("event_id"),
                    "actionSource": event["action_source"],
                    "externalId": people.get("external_id"),
                    "userDataKeys": sorted(people),
                }
            )
        return Answer.json(200, {"events_received": len(events), "messages": [], "fbtrace_id": trace()})


def _parse(request: Request, findings: Findings) -> list[Json]:
    body = findings.read(request, invalid())
    if body is None:
        return []
    findings.refuse_each(misfits(body, "", BODY), invalid())
    events = body.get("data")
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        findings.refuse(f"data is not a list of 1 to {MOST_EVENTS} events", invalid())
        return []
    return events
