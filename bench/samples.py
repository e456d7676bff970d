"""What the benchmarks are made of: realistic events, the contracts' cases, and the functions' events around them."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AGENTS = ("appsflyer", "facebook", "google", "eitri_push", "emarsys", "dashx")
ORDERED = frozenset({"eitri_push", "emarsys", "dashx"})
APP_ID = "shop"
SECRET_KEY = f"sk_{APP_ID}_" + "0123456789abcdef" * 2
PREFIX = "/session-relay/bench"

PHONE: dict[str, Any] = {
    "id": "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11",
    "platform": "android",
    "model": "Pixel 9",
    "manufacturer": "Google",
    "osVersion": "15",
    "appId": "com.example.shop",
    "appVersion": "4.12.0",
    "appBuild": "5120",
    "language": "pt-BR",
    "timezone": "America/Sao_Paulo",
    "pushToken": "d2c6xYq0T1mV7pR4:APA91bExampleOnlyExampleOnlyExampleOnlyExampleOnlyExampleOnlyExampleOnlyExample",
    "advertisingId": "38400000-8cf0-11bd-b23e-10b96e40000d",
    "adTracking": True,
    "screen": {"width": 1080, "height": 2424, "density": 2.6},
}
IDS = {"appsflyerId": "1700000000000-1234567890123456789", "gaAppInstanceId": "0123456789abcdef0123456789abcdef"}
LOGIN: dict[str, Any] = {
    "customerId": "usr_7f3a9c21",
    "anonymousId": "95c9bd22-4a4c-41c8-9548-ed07c5c8c145",
    "email": "nadia.okafor@example.com",
    "phone": "+442079460958",
    "method": "password",
    "device": PHONE,
    "ids": IDS,
    "consent": {"analytics": True, "advertising": True, "messaging": True, "gdprApplies": False},
    "properties": {"plan": "gold", "store": "centro", "visits": 12},
}
"""A login as a mobile app sends it: about a kilobyte."""

LOGOUT: dict[str, Any] = {"customerId": "usr_7f3a9c21", "device": PHONE, "ids": IDS}
OPEN: dict[str, Any] = {"anonymousId": LOGIN["anonymousId"], "device": PHONE, "ids": IDS}
REALISTIC = {"login": LOGIN, "logout": LOGOUT, "open": OPEN}

_STAMP = {
    "appId": APP_ID,
    "occurredAt": "2026-11-20T09:15:42.318Z",
    "receivedAt": "2026-11-20T09:15:42.318Z",
    "sequence": 1795166142318,
    "context": {"ip": "203.0.113.24", "userAgent": "Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile/15E148"},
}


def message(event_type: str = "login", number: int = 0, received_at: str | None = None) -> str:
    """An event's JSON text as the topic hands it to an agent's queue; each number is an event and device of its own."""
    fields = REALISTIC[event_type] | {"device": {**PHONE, "id": f"{number:08d}-7a1e-4d0c-9a35-0d1f6f2b7c11"}}
    at = {"receivedAt": received_at, "occurredAt": received_at} if received_at else {}
    return json.dumps(
        {
            "type": event_type,
            "eventId": f"019ab3c2-9d2e-7{number % 4096:03x}-8d27-{number:012x}",
            **_STAMP,
            **fields,
            **at,
        },
        separators=(",", ":"),
    )


@cache
def contract(agent: str) -> list[tuple[str, str, str]]:
    """The cases of an agent's contract that lead to requests: their name, event and settings, as JSON texts."""
    document = json.loads((ROOT / "functions/agents" / agent / "contract.json").read_text())
    return [
        (case["name"], json.dumps(case["event"]), json.dumps(case["settings"]))
        for case in document["cases"]
        if case.get("requests")
    ]


def proxied(body: object, resource: str = "/login", method: str = "POST") -> dict[str, Any]:
    """A request as API Gateway's proxy integration hands it to a function, of a caller with a secret key."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {SECRET_KEY}", "host": "api.example.com"}
    return {
        "resource": resource,
        "path": f"/v1{resource}",
        "httpMethod": method,
        "headers": headers,
        "pathParameters": {"eventId": "e-00000000"},
        "requestContext": {
            "authorizer": {"appId": APP_ID, "kind": "secret", "identity": "optional", "principalId": APP_ID},
            "identity": {"sourceIp": "203.0.113.24", "userAgent": "okhttp/4.12.0"},
            "httpMethod": method,
            "stage": "v1",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def authorizing() -> dict[str, Any]:
    """What API Gateway asks a REQUEST authorizer."""
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:api/v1/POST/login",
        "headers": {"Authorization": f"Bearer {SECRET_KEY}"},
        "requestContext": {"stage": "v1"},
    }


def records(agent: str, messages: list[str], sent_at_ms: int) -> dict[str, Any]:
    """An SQS batch as the event source hands it to an agent's function, a device of its own for each message."""
    fifo = ".fifo" if agent in ORDERED else ""
    return {
        "Records": [
            {
                "messageId": f"m-{position}",
                "receiptHandle": f"r-{position}",
                "body": text,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(sent_at_ms),
                    "MessageGroupId": hashlib.sha256(str(position).encode()).hexdigest(),
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{agent}{fifo}",
            }
            for position, text in enumerate(messages)
        ]
    }


def stored(agents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The SSM parameters by name: an app, its identity key, the ledger's key, and these settings of the agents."""
    digest = hashlib.sha256(SECRET_KEY.encode()).hexdigest()
    app = {"name": "A shop", "identity": "optional", "keys": [{"kind": "secret", "sha256": digest}]}
    own = {f"apps/{APP_ID}": app, f"identity/{APP_ID}": {"keys": ["prv_example_of_at_least_32_bytes_length"]}}
    own["ledger-keys"] = {"keys": [urlsafe_b64encode(bytes(32)).decode()]}
    settings = {f"agents/{name}": each for name, each in agents.items()}
    return {f"{PREFIX}/{name}": json.dumps(value) for name, value in (own | settings).items()}


def environment(aws_url: str, agent: str = "") -> dict[str, str]:
    """What the template and Lambda tell a function by its environment."""
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "POWERTOOLS_SERVICE_NAME": "session-relay",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "PYTHONWARNINGS": "ignore:Unable to find acceptable character detection",
        **dict(_variables(agent)),
    }


def _variables(agent: str) -> Iterator[tuple[str, str]]:
    own: Mapping[str, str] = {
        "STAGE": "bench",
        "TABLE": "receipts",
        "TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:events.fifo",
        "APPS_PATH": f"{PREFIX}/apps",
        "IDENTITY_PATH": f"{PREFIX}/identity",
        "CATALOGUE_PATH": f"{PREFIX}/catalogue",
        "LEDGER_KEYS_PARAMETER": f"{PREFIX}/ledger-keys",
        "SETTINGS_PARAMETER": f"{PREFIX}/agents/{agent}",
        "QUEUE_URL": f"https://sqs.us-east-1.amazonaws.com/123456789012/{agent}",
        "DEAD_LETTER_QUEUE_URL": f"https://sqs.us-east-1.amazonaws.com/123456789012/{agent}-dead",
        "RETRY_SCHEDULE": "5,30,120,600,1800,3600,7200,14400,28800,28800",
        "RETRY_HORIZON_SECONDS": "86400",
        "HOLD_SECONDS": "900",
        "CIRCUIT_SECONDS": "30",
        "CLAIM_SECONDS": "60",
        "DEFAULT_CONSENT": "granted",
        "ALLOW_INSECURE_AGENTS": "true",
        "ALLOWED_ORIGINS": "",
        "USAGE_PLAN_STAGE": "bench",
    }
    yield from own.items()
