"""No personal data and no secret in what is kept or said: every kind of event, every fault, then a search."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import requests

from local import settings
from local.cloud import Stack
from local.deploy import STAGE, Cloud, wait_for
from local.scenario import PHONE
from tests.e2e.conftest import SETTLED, Caller, empty_dead_letters, kill, store_app
from tests.e2e.marks import Search
from tests.e2e.test_identity_tokens import signed

pytestmark = pytest.mark.slow

LONG_SECONDS = 300.0
AGENTS = tuple(settings.agents(""))
FEWEST_PLACES = 2000
IDENTITY_KEY = "prv_marked_" + secrets.token_hex(16)
RUN = secrets.token_hex(4)

MARKS = {
    "email": f"zq.mail.{RUN}@example.com",
    "phone": f"+5511{secrets.randbelow(10**9):09}",
    "first name": f"Zqfirst{RUN.translate(str.maketrans('0123456789', 'ghijklmnop'))}",
    "last name": f"Zqlast{RUN.translate(str.maketrans('0123456789', 'ghijklmnop'))}",
    "whole name": f"Zqwhole {RUN.translate(str.maketrans('0123456789', 'ghijklmnop'))}",
    "customer": f"zq-customer-{RUN}",
    "visitor": f"{RUN}-5a1e-4c0d-9a35-0d1f6f2b7c11",
    "device": f"zq-device-{RUN}",
    "push token": f"zq-push-{RUN}:APA91b",
    "previous push token": f"zq-pushed-{RUN}:APA91b",
    "advertising id": f"{RUN}-d5de-4cd1-90c3-527441c11828",
    "vendor id": f"{RUN}-d5de-4cd1-90c3-000041c11828",
    "appsflyer id": f"1731923741208-{secrets.randbelow(10**18):018}",
    "google instance": secrets.token_hex(16),
    "google client": f"{secrets.randbelow(10**10):010}.1795100001",
    "facebook anonymous id": f"zq-anon-{RUN}",
    "facebook browser": f"fb.1.1795100000000.7{secrets.randbelow(10**9):09}",
    "facebook click": f"fb.1.1795100000000.zqclick{RUN}",
    "ip": "203.0.113.197",
    "user agent": f"zq-agent/{RUN}",
    "url": f"https://shop.example.com/zq/{RUN}",
    "property name": f"zqproperty_{RUN}",
    "property value": f"zq-value-{RUN}",
    "model": f"zq-model-{RUN}",
    "tcf": f"CPzq{RUN}AAAA",
    "identity key": IDENTITY_KEY,
    "wrong key": f"pk_zq{RUN}_{secrets.token_hex(16)}",
    "wrong token": f"zqtoken{RUN}.{secrets.token_hex(8)}.{secrets.token_hex(8)}",
    "path": f"zq-path-{RUN}",
    "appsflyer secret": f"ZQ-S2S-{RUN}",
    "facebook secret": f"ZQTOKEN{RUN}",
    "google secret": f"ZQGOOGLE{RUN}",
    "emarsys secret": f"zq-password-{RUN}",
    "emarsys contact key": f"zq contact key {RUN}",
    "dashx secret": f"prv_zq_{RUN}_of_at_least_32_bytes_length",
}
"""All that must stay where it belongs, each value found nowhere else."""


def _phone(**more: Any) -> dict[str, Any]:
    """A whole event's worth of marked values, on the marked phone."""
    device = {
        **PHONE["device"],
        "id": MARKS["device"],
        "model": MARKS["model"],
        "pushToken": MARKS["push token"],
        "previousPushToken": MARKS["previous push token"],
        "advertisingId": MARKS["advertising id"],
        "vendorId": MARKS["vendor id"],
        "timezone": "America/Sao_Paulo",
    }
    return {
        "eventId": f"e2e-{secrets.token_hex(8)}",
        "customerId": MARKS["customer"],
        "anonymousId": MARKS["visitor"],
        "email": MARKS["email"],
        "phone": MARKS["phone"],
        "method": MARKS["property value"],
        "traits": {"firstName": MARKS["first name"], "lastName": MARKS["last name"], "name": MARKS["whole name"]},
        "properties": {MARKS["property name"]: MARKS["property value"], "email": MARKS["email"]},
        "device": device,
        "ids": {
            "appsflyerId": MARKS["appsflyer id"],
            "gaAppInstanceId": MARKS["google instance"],
            "fbAnonId": MARKS["facebook anonymous id"],
        },
        "consent": {"tcf": {"policyVersion": 4, "cmpSdkId": 5, "cmpSdkVersion": 6, "tcString": MARKS["tcf"]}},
        "context": {"ip": MARKS["ip"], "userAgent": MARKS["user agent"], "url": MARKS["url"]},
        **more,
    }


def _site(**more: Any) -> dict[str, Any]:
    return _phone(
        device={"id": MARKS["device"], "platform": "web", "language": "pt-BR"},
        ids={
            "gaClientId": MARKS["google client"],
            "fbp": MARKS["facebook browser"],
            "fbc": MARKS["facebook click"],
        },
        **more,
    )


@pytest.fixture(scope="module")
def marked(stack: Stack) -> Iterator[Caller]:
    """An app whose identity key is marked, and agents whose secrets are."""
    known = settings.agents(stack.sandbox_url)
    _tell(stack, _with_marked_secrets(known))
    caller = store_app(stack, f"zqapp{RUN}", [IDENTITY_KEY])
    yield caller
    caller.clear_faults()
    _tell(stack, known)
    # Or they would use the marked secrets until they are refused, and Google refuses none.
    for agent in AGENTS:
        kill(agent.title().replace("_", ""))
    empty_dead_letters(stack)


def _with_marked_secrets(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    applications = {
        platform: {**application, "password": MARKS["emarsys secret"]}
        for platform, application in known["emarsys"]["applications"].items()
    }
    return {
        **known,
        "appsflyer": {**known["appsflyer"], "s2s_key": MARKS["appsflyer secret"]},
        "facebook": {**known["facebook"], "access_token": MARKS["facebook secret"]},
        "google": {**known["google"], "api_secret": MARKS["google secret"]},
        "emarsys": {**known["emarsys"], "applications": applications, "contact_key": MARKS["emarsys contact key"]},
        "dashx": {**known["dashx"], "private_key": MARKS["dashx secret"]},
    }


def _tell(stack: Stack, agents: dict[str, dict[str, Any]]) -> None:
    """Changes the agents' credentials at the agents and in SSM: a function's own are refused once, and read again."""
    ssm = Cloud(stack.aws_endpoint, stack.region).client("ssm")
    for name, agent in agents.items():
        requests.put(f"{stack.sandbox_url}/_credentials/{name}", json=agent, timeout=10).raise_for_status()
        ssm.put_parameter(
            Name=f"/session-relay/{STAGE}/agents/{name}", Value=json.dumps(agent), Type="SecureString", Overwrite=True
        )


def _every_kind_of_event(app: Caller) -> list[str]:
    token = {
        "headers": {
            "X-Identity-Token": signed({"kind": "USER", "uid": MARKS["customer"], "exp": 4102444800}, IDENTITY_KEY)
        }
    }
    declined = _phone()
    declined["device"]["pushToken"] = False
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/signup", _phone()),
        ("/login", _phone()),
        ("/open", _phone()),
        ("/identify", _phone()),
        ("/track", _phone(name="zq_checkout")),
        ("/track", _phone(name=f"bought by {MARKS['email']}")),
        ("/push-token", _phone()),
        ("/login", _site()),
        ("/track", _site(name="zq_checkout")),
        ("/login", _phone(consent={"advertising": False, "analytics": False, "messaging": False})),
        ("/push-token", declined),
        ("/logout", _phone()),
        ("/logout", _site()),
        ("/track", _phone(name="zq_late", occurredAt=(datetime.now(UTC) - timedelta(days=10)).isoformat())),
        ("/track", _site(name="zq_late", occurredAt=(datetime.now(UTC) - timedelta(days=10)).isoformat())),
    ]
    accepted = [app.accepted(path, body, **token) for path, body in calls]
    accepted += [
        app.accepted(path, {**body, "eventId": f"e2e-{secrets.token_hex(8)}"}, key="secret") for path, body in calls
    ]
    batch = {
        "events": [{**_phone(), "type": "login"}, {**_phone(), "type": "logout"}, {**_phone(email=7), "type": "open"}]
    }
    results = app.call("/batch", batch, key="secret").json()["results"]
    return accepted + [result["eventId"] for result in results if "eventId" in result]


ECHO = " ".join(MARKS.values())
ERROR = {
    "message": ECHO,
    "type": MARKS["email"],
    "code": MARKS["first name"],
    "error_subcode": MARKS["phone"],
    "fbtrace_id": MARKS["email"],
    "error_user_msg": ECHO,
}
ECHOES: dict[str, dict[str, Any]] = {
    "a refusal that quotes the request": {"status": 400, "body": ECHO},
    "Meta's error": {"status": 400, "body": json.dumps({"error": ERROR})},
    "Meta's error, for good": {"status": 400, "body": json.dumps({"error": {**ERROR, "code": 100}})},
    "an error of GraphQL": {
        "status": 200,
        "body": json.dumps({"errors": [{"message": ECHO, "extensions": {"code": MARKS["first name"].upper()}}]}),
    },
    "thanks that quote the request": {
        "status": 200,
        "body": json.dumps({"events_received": 1, "fbtrace_id": MARKS["email"], "data": {"x": ECHO}}),
    },
    "a redirect to a marked place": {"status": 302, "location": f"https://shop.example.com/?{MARKS['email']}"},
    "headers that quote the request": {
        "status": 429,
        "retryAfter": MARKS["email"],
        "headers": {"x-business-use-case-usage": ECHO, "content-type": MARKS["email"], "server": ECHO},
    },
    "busy, with the request in the body": {"status": 503, "body": ECHO},
    "credentials refused, quoting them": {"status": 401, "body": ECHO},
    "a cut connection": {"reset": True},
    "a cut connection after the work": {"reset": True, "afterWork": True},
    "silence": {"delaySeconds": 6},
}


def _faults(app: Caller) -> list[str]:
    """Every fault at every agent, for a login on a phone and an open on a site each; then all refuse, then are down."""
    named = {f"zqfault{number}x": fault for number, fault in enumerate(ECHOES.values())}
    for agent in AGENTS:
        faults = [{"times": 4, **fault, "match": mark} for mark, fault in named.items()]
        requests.put(f"{app.stack.sandbox_url}/_faults/{agent}", json=faults, timeout=10).raise_for_status()
    accepted = []
    for mark in named:
        content = {"properties": {"mark": mark, MARKS["property name"]: MARKS["property value"]}}
        login = _phone(eventId=f"e2e-{mark}-{secrets.token_hex(8)}", **content)
        login["device"]["id"] += mark
        accepted.append(app.accepted("/login", login, key="secret"))
        accepted.append(
            app.accepted("/open", _site(eventId=f"e2e-{mark}-{secrets.token_hex(8)}", **content), key="secret")
        )
    _wait_until_settled(app, accepted)
    # Refusing for longer than the horizon: retried, and parked in the end.
    for agent in AGENTS:
        app.fault(agent, status=429, body=ECHO)
    late = app.accepted("/track", _phone(name="zq_late"), key="secret")
    _wait_for_a_state(app, late, "parked")
    app.clear_faults()
    # Down: the circuit opens, and holds what comes.
    for agent in AGENTS:
        app.fault(agent, status=503, body=ECHO)
    down = [app.accepted("/track", _phone(name="zq_down"), key="secret") for _ in range(8)]
    _wait_for_a_state(app, down[-1], "held")
    app.clear_faults()
    return [*accepted, late, *down]


def _wait_for_a_state(app: Caller, event_id: str, state: str) -> None:
    """Waits until one delivery of the event is in that state."""
    assert wait_for(
        lambda: any(receipt["state"] == state for receipt in app.receipts(event_id).values()), LONG_SECONDS
    ), app.receipts(event_id)


def _poison(app: Caller, cloud: Cloud) -> None:
    """Messages that are no events, with marked values and names, straight into every queue."""
    sqs = cloud.client("sqs")
    poison = {
        "email": MARKS["email"],
        "properties": {MARKS["email"]: {}},
        "device": {"id": [MARKS["device"]], MARKS["phone"]: 1},
    }
    for url in sqs.list_queues()["QueueUrls"]:
        if "DeadLetterQueue" not in url:
            fifo = (
                {"MessageGroupId": "poison", "MessageDeduplicationId": secrets.token_hex(8)}
                if url.endswith(".fifo")
                else {}
            )
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(poison), **fifo)
            sqs.send_message(QueueUrl=url, MessageBody=ECHO, **{name: f"{text}2" for name, text in fifo.items()})
    assert app


def _broken() -> list[Any]:
    """Bodies with a detail that is not usable, or with nothing that is."""
    return [
        _phone(email=f"{MARKS['email']} "),
        _phone(phone=MARKS["phone"].removeprefix("+")),
        _phone(customerId=[MARKS["customer"]]),
        _phone(device={"id": {MARKS["device"]: 1}, MARKS["email"]: 1}),
        _phone(properties={MARKS["email"]: [[[[[MARKS["phone"]]]]]]}),
        _phone(consent={"advertising": MARKS["email"]}),
        _phone(occurredAt=MARKS["email"]),
        {MARKS["email"]: {"x": ECHO}},
        [ECHO],
        ECHO,
    ]


def _read_liberally(app: Caller) -> list[requests.Response]:
    """The broken bodies as a released app sends them: what is not usable is left out with a warning."""
    return [app.call("/login", body, key="secret") for body in _broken()]


def _refused(app: Caller) -> Iterator[requests.Response]:
    """Calls that are not accepted: broken bodies, wrong tokens, wrong keys, wrong places."""
    # The digest of an event id of another form is what its answer and its row name: an id must not be a contact.
    for body in (*_broken(), _phone(eventId=MARKS["email"])):
        yield app.call("/login", body, key="secret", headers={"Prefer": "handling=strict"})
    for raw in (ECHO, json.dumps(_phone())[:-1], f'{{"email": "{MARKS["email"]}", "email": "{MARKS["email"]}"}}'):
        yield app.call("/login", key="secret", data=raw.encode())
    yield app.call("/login", _phone(properties={"long": ECHO * 40}), key="secret")
    yield app.call("/batch", {"events": ECHO}, key="secret")
    yield app.call("/identity-tokens", {"uid": MARKS["customer"], "email": MARKS["email"]}, key="secret")
    user = {"kind": "USER", "uid": MARKS["customer"], "exp": 4102444800}
    tokens = [
        MARKS["wrong token"],
        signed({**user, "exp": 1}, IDENTITY_KEY),
        signed(user, "prv_the_key_of_somebody_else_32_bytes"),
        signed({**user, "uid": MARKS["email"]}, IDENTITY_KEY),
        signed({**user, "kind": MARKS["email"]}, IDENTITY_KEY),
    ]
    for token in tokens:
        yield app.call("/login", _phone(), headers={"X-Identity-Token": token})
    for key in (MARKS["wrong key"], f"{app.stack.secret_key}x", MARKS["email"], None):
        yield app.call("/login", _phone(), key=key)
    for path in (f"/{MARKS['path']}", f"/events/{MARKS['email']}", f"/login?email={MARKS['email']}"):
        yield app.call(path, _phone(), key="secret")
        yield app.call(path, key="secret", method="GET")


def _minted(app: Caller) -> str:
    """A token that the API itself mints; the caller's to keep, and nobody else's."""
    return app.mint(MARKS["customer"])


def _pages(client: Any, call: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(call).paginate(**query):
        yield from page[key]


def _search(search: Search, cloud: Cloud, answers: list[requests.Response], secret: set[str]) -> None:
    """Looks at everything that the cloud keeps but the bodies of queued messages, which are the events themselves."""
    logs, metrics, lambdas = cloud.client("logs"), cloud.client("cloudwatch"), cloud.client("lambda")
    for group in _pages(logs, "describe_log_groups", "logGroups"):
        name = group["logGroupName"]
        search.look("log group", name, name)
        for stream in _pages(logs, "describe_log_streams", "logStreams", logGroupName=name):
            search.look("log stream", name, stream["logStreamName"])
        lines = _pages(logs, "filter_log_events", "events", logGroupName=name)
        search.look_at_all("log line", ((name, line["message"]) for line in lines))
    dynamodb = cloud.client("dynamodb")
    for table in dynamodb.list_tables()["TableNames"]:
        search.look_at_all("row", ((table, row) for row in _pages(dynamodb, "scan", "Items", TableName=table)))
    search.look_at_all("metric", (("cloudwatch", metric) for metric in _pages(metrics, "list_metrics", "Metrics")))
    search.look_at_all("alarm", (("cloudwatch", one) for one in _pages(metrics, "describe_alarms", "MetricAlarms")))
    search.look_at_all(
        "function", ((one["FunctionName"], one) for one in _pages(lambdas, "list_functions", "Functions"))
    )
    search.look_at_all("answer", ((one.request.path_url.split("?")[0][:20], _said(one)) for one in answers))
    _search_queues(search, cloud)
    _search_parameters(search, cloud, secret)


def _said(answer: requests.Response) -> dict[str, Any]:
    """An answer but for the pointers to faults and left out details, which name the caller's own fields."""
    is_json = "json" in answer.headers.get("content-type", "")
    document = answer.json() if is_json else answer.text
    shown = (
        {name: value for name, value in document.items() if name not in {"detail", "errors", "warnings"}}
        if isinstance(document, dict)
        else document
    )
    return {"status": answer.status_code, "headers": dict(answer.headers), "body": shown}


def _search_queues(search: Search, cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        search.look(
            "queue", url, json.dumps(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])
        )
        seen: set[str] = set()
        while True:
            received = sqs.receive_message(
                QueueUrl=url,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=5,
            ).get("Messages", [])
            for message in received:
                seen.add(message["MessageId"])
                attributes = {name: message.get(name) for name in ("Attributes", "MessageAttributes")}
                search.look("message's attributes", url, json.dumps(attributes))
            if not received:
                break
    sns = cloud.client("sns")
    for topic in sns.list_topics()["Topics"]:
        search.look(
            "topic", topic["TopicArn"], json.dumps(sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"])
        )


def _search_parameters(search: Search, cloud: Cloud, secret: set[str]) -> None:
    """Secrets, and the digests of keys, may stand in the encrypted parameters made for them; people's data in none."""
    ssm = cloud.client("ssm")
    people = Search({name: value for name, value in search.marks.items() if name not in secret})
    for parameter in _pages(ssm, "describe_parameters", "Parameters"):
        name = parameter["Name"]
        search.look("parameter", name, json.dumps(parameter, default=str))
        versions = ssm.get_parameter_history(Name=name, WithDecryption=True)["Parameters"]
        keeps = parameter["Type"] == "SecureString" and name.split("/")[3] in {"agents", "apps", "identity"}
        (people if keeps else search).look_at_all("parameter's version", ((name, one) for one in versions))
    search.places += people.places
    search.letters += people.letters
    search.hits += people.hits


SECRET = {
    "public key",
    "secret key",
    *(name for name in MARKS if name.endswith(("secret", "contact key", "identity key"))),
}


def test_no_marked_value_is_found_anywhere_whatever_happens(
    marked: Caller, record_property: Callable[[str, object], None]
) -> None:
    cloud = Cloud(marked.stack.aws_endpoint, marked.stack.region)
    marks = {
        **MARKS,
        "public key": marked.stack.public_key,
        "secret key": marked.stack.secret_key,
        "minted token": _minted(marked),
    }
    answers = list(_refused(marked))
    assert not [
        (one.request.path_url, one.status_code)
        for one in answers
        if not 400 <= one.status_code < 500 and "?" not in one.request.path_url
    ]
    liberal = _read_liberally(marked)
    assert {one.status_code for one in liberal} == {202, 400}
    assert any(one.json().get("warnings") for one in liberal)
    answers += liberal
    read = [one.json()["eventId"] for one in liberal if one.status_code == 202]
    events = [*read, *_every_kind_of_event(marked), *_faults(marked)]
    _poison(marked, cloud)
    _wait_until_settled(marked, events)
    states = {receipt["state"] for event in events for receipt in marked.receipts(event).values()}
    assert states == SETTLED

    search = Search(marks)
    _search(search, cloud, answers, SECRET)
    record_property("report", search.report())
    assert search.hits == []
    assert sum(search.places.values()) > FEWEST_PLACES
    assert search.places.keys() >= {
        "log line",
        "row",
        "message's attributes",
        "parameter's version",
        "function",
        "answer",
    }


def _wait_until_settled(app: Caller, events: list[str]) -> None:
    waiting = list(events)

    def look() -> bool:
        while waiting and _is_settled(app, waiting[0]):
            waiting.pop(0)
        return not waiting

    assert wait_for(look, LONG_SECONDS), {event: app.receipts(event) for event in waiting[:3]}


def _is_settled(app: Caller, event_id: str) -> bool:
    return all(receipt["state"] in SETTLED for receipt in app.receipts(event_id).values())


@pytest.mark.parametrize("form", ["clear", "upper", "sha256", "base64", "url", "json"])
def test_the_search_finds_a_value_that_was_planted(stack: Stack, form: str) -> None:
    value = f"zq.planted+{secrets.token_hex(4)}@example.com"
    written = {
        "clear": value, "upper": value.upper(), "sha256": hashlib.sha256(value.encode()).hexdigest(),
        "base64": base64.b64encode(f"x{value}yz".encode()).decode(), "url": quote(value), "json": json.dumps([value]),
    }[form]  # fmt: skip
    cloud = Cloud(stack.aws_endpoint, stack.region)
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/planted")
    try:
        logs.create_log_stream(logGroupName="/planted", logStreamName="one")
        logs.put_log_events(
            logGroupName="/planted", logStreamName="one",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": f"before {written} after"}],
        )  # fmt: skip
        search = Search({"planted": value})
        _search(search, cloud, [], set())
        assert len(search.hits) == 1
        assert "/planted" in search.hits[0]
    finally:
        logs.delete_log_group(logGroupName="/planted")
