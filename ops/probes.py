"""What can be asked of each agent to learn whether its settings are right, without a trace at the agent."""

import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops import agent_modules
from relay.agent.http import Request, Response
from relay.agent.verdict import VerdictKind
from relay.encoding import encode
from relay.event.model import Event


@dataclass(frozen=True)
class Probe:
    """One request; if the answer is as expected it proves a thing, and there is something that it cannot prove."""

    what: str
    request: Request
    expected: Callable[[Response], bool]
    proves: str


@dataclass(frozen=True)
class Trial:
    """How an agent is tried: its probes by its settings (and a test event code, if given), and what stays unproven."""

    probes: Callable[[Any, str | None], Iterator[Probe]]
    unproven: str


def _event(kind: str, days_ago: int = 0, /, **more: Any) -> Event:  # noqa: ANN401 - an event's own fields
    """An event of nobody."""
    now = datetime.now(UTC)
    stamped = {
        "type": kind,
        "appId": "session-relay",
        "eventId": f"check-{secrets.token_hex(8)}",
        "occurredAt": (now - timedelta(days=days_ago)).isoformat(),
        "receivedAt": now.isoformat(),
        "sequence": int(now.timestamp() * 1000),
    }
    return Event.load(json.dumps({**stamped, **more}))


def _changed(request: Request, **fields: Any) -> Request:  # noqa: ANN401 - JSON values
    """The request with fields of its body changed, those that are None left out."""
    body = {**json.loads(request.body), **fields}
    return request._replace(body=encode({name: value for name, value in body.items() if value is not None}))


def _refused_as(agent: str, status: int) -> Callable[[Response], bool]:
    """Expects a refusal of what was sent, not of who sent it."""
    classify = agent_modules.agent(agent).classify
    return lambda answer: answer.status == status and classify(answer).kind is VerdictKind.REJECTED


def _appsflyer(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401 - the agent's own model
    for platform in ("android", "ios"):
        if getattr(settings, f"{platform}_app_id"):
            event = _event("logout", device={"platform": platform}, ids={"appsflyerId": "1000000000000-1000000"})
            (request,) = agent_modules.agent("appsflyer").build_requests(event, settings)
            yield Probe(
                f"{platform}: an event of no installation",
                _changed(request, appsflyer_id=None),
                lambda answer: _refused_as("appsflyer", 400)(answer) and "appsflyer_id" in answer.text,
                "AppsFlyer reads our requests and does not object to key and app id",
            )


def _facebook(settings: Any, code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    agent = agent_modules.agent("facebook")
    who = {"customerId": "session-relay-check", "device": {"id": "session-relay-check"}}
    if code:
        (request,) = agent.build_requests(_event("login", **who), settings)
        yield Probe(
            f"a test event under {code}",
            _changed(request, test_event_code=code),
            lambda answer: agent.classify(answer).kind is VerdictKind.DELIVERED,
            "Meta takes events with this token for this dataset; see Events Manager, Test events",
        )
        return
    (request,) = agent.build_requests(_event("login", 8, **who), settings)
    yield Probe(
        "an event of eight days ago, which Meta refuses after it has looked at the token",
        request,
        lambda answer: _refused_as("facebook", 400)(answer) and "2804003" in answer.text,
        "the token is good for the dataset, and the API version lives",
    )


def _to_streams(agent: str, settings: Any) -> Iterator[tuple[str, Request]]:  # noqa: ANN401
    """Yields the request of a visitor's login for each stream of a Google Analytics property."""
    streams = {
        "web": settings.measurement_id,
        "ios": settings.firebase_app_id_ios,
        "android": settings.firebase_app_id_android,
    }
    ids = {"gaClientId": "1000000000.1000000000", "gaAppInstanceId": "0123456789abcdef0123456789abcdef"}
    for platform in (name for name, stream in streams.items() if stream):
        event = _event("login", device={"platform": platform}, ids=ids, method="check")
        (request,) = agent_modules.agent(agent).build_requests(event, settings)
        yield platform, request


def _google(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    for platform, request in _to_streams("google", settings):
        debug = request._replace(url=request.url.replace("/mp/collect", "/debug/mp/collect"))
        yield Probe(
            f"{platform}: an event at /debug/mp/collect",
            _changed(debug, validation_behavior="ENFORCE_RECOMMENDATIONS"),
            lambda answer: answer.status == 200 and answer.json() == {"validationMessages": []},  # noqa: PLR2004
            "Google finds no fault in the form of our events",
        )


def _google_data_manager(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    for platform, request in _to_streams("google_data_manager", settings):
        yield Probe(
            f"{platform}: an event that Google only validates",
            _changed(request, validateOnly=True),
            lambda answer: answer.ok,
            "Google takes the account for this property and stream, and finds no fault in our events",
        )


def _eitri_push(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    event = _event("logout", device={"id": "session-relay-check", "platform": "android"})
    (request,) = agent_modules.agent("eitri_push").build_requests(event, settings)
    yield Probe(
        "a message of a type that does not exist",
        _changed(request, type="session-relay.check"),
        _refused_as("eitri_push", 400),
        f"the receiver takes our credentials ({settings.auth_mode}) and reads our messages",
    )


def _emarsys(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    for platform in ("android", "ios"):
        if getattr(settings.applications, platform):
            event = _event("logout", device={"id": "session-relay-check", "platform": platform})
            (request,) = agent_modules.agent("emarsys").build_requests(event, settings)
            yield Probe(
                f"{platform}: a logout of no device",
                _changed(request, hardware_id=None),
                _refused_as("emarsys", 400),
                "Emarsys takes the application's code and password",
            )


def _dashx(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    agent = agent_modules.agent("dashx")
    nobody = {"anonymousId": str(uuid.uuid4()), "device": {"pushToken": f"session-relay-check-{secrets.token_hex(8)}"}}
    request = agent.build_requests(_event("logout", **nobody), settings)[0]
    yield Probe(
        "unsubscribing a token that nobody has",
        request,
        lambda answer: agent.classify(answer).kind is VerdictKind.DELIVERED,
        "DashX takes the key pair for this environment, and our mutations",
    )


def _webhook(settings: Any, _code: str | None) -> Iterator[Probe]:  # noqa: ANN401
    (request,) = agent_modules.agent("webhook").build_requests(_event("logout"), settings)
    yield Probe(
        "an event of a type that does not exist",
        _changed(request, type="session-relay.check"),
        _refused_as("webhook", 400),
        "the endpoint takes our signature and reads our documents",
    )


TRIALS = {
    "appsflyer": Trial(
        _appsflyer,
        "that the key is this app's: AppsFlyer may look at the event before the key. Send a test event with a test "
        "device's appsflyerId and look for it in AppsFlyer's raw data",
    ),
    "facebook": Trial(
        _facebook,
        "that events match anybody; Meta's Events Manager shows the quality of the match. A test event "
        "(--test-event-code) still counts in the dataset",
    ),
    "google": Trial(
        _google,
        "secret and stream: Google does not look at them here, and answers 204 to wrong ones as well. Send a test "
        "event with debug_mode and look at DebugView",
    ),
    "google_data_manager": Trial(
        _google_data_manager,
        "that the agent's role is admitted: with workload_identity this command has signed in with your own AWS "
        "credentials, which the provider must admit as well; and what reports make of the events",
    ),
    "eitri_push": Trial(_eitri_push, "that the store's account and environment are the ones that the receiver knows"),
    "emarsys": Trial(
        _emarsys,
        "that contact_field_id and contact_key are those of the data feed: log in on a test device, and look at the "
        "contact",
    ),
    "webhook": Trial(_webhook, "what the endpoint does with events; one that takes any type does not refuse the probe"),
    "dashx": Trial(_dashx, "that pushes arrive: log in on a test device and send it one"),
}
"""By agent; one that is not here has its settings validated, and nothing is sent."""
