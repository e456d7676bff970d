"""What the deployed door answers to whatever is no event: a problem that says what to do, never a 5xx."""

import gzip
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Caller

CALLS = ("/login", "/batch", "/identity-tokens", "/dry-run")
EVIL: dict[str, tuple[bytes, dict[str, str], int]] = {
    "a form, as curl -d sends it": (b'{"customerId":"1"}', {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "text": (b'{"customerId":"1"}', {"Content-Type": "text/plain"}, 415),
    "gzip": (gzip.compress(b'{"customerId":"1"}'), {"Content-Encoding": "gzip"}, 415),
    "gzip unannounced": (gzip.compress(b'{"customerId":"1"}'), {}, 400),
    "a name twice": (b'{"customerId":"1","customerId":"2"}', {}, 400),
    "half a character": (b'{"customerId":"\\ud800"}', {}, 400),
    "not a number": (b'{"customerId":NaN}', {}, 400),
    "a huge number": (b'{"customerId":' + b"9" * 4000 + b"}", {}, 400),
    "a number beyond floats": (b'{"customerId":1e999}', {}, 400),
    "deep": (b'{"a":' * 600 + b"1" + b"}" * 600, {}, 400),
    "no JSON": (b"{", {}, 400),
    "nothing": (b"", {}, 400),
    "a list": (b"[]", {}, 400),
    "a megabyte": (b'{"customerId":"' + b"x" * 1_000_000 + b'"}', {}, 413),
}


def _send(app: Caller, path: str, body: bytes, key: str | None, **headers: str) -> requests.Response:
    authorization = {} if key is None else {"Authorization": key}
    return requests.post(
        app.stack.api_url + path,
        data=body,
        headers={"Content-Type": "application/json", **headers, **authorization},
        timeout=60,
    )


def _problem(answer: requests.Response, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["detail"]
    return problem


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("case", sorted(EVIL))
def test_whatever_is_no_event_is_a_problem(app: Caller, path: str, case: str) -> None:
    body, headers, status = EVIL[case]
    problem = _problem(_send(app, path, body, f"Bearer {app.stack.secret_key}", **headers), status)
    assert problem["status"] == status
    if status == 400:
        assert all(fault["pointer"].startswith("#") and fault["detail"] for fault in problem["errors"])


def test_every_key_that_is_none_is_answered_alike(app: Caller) -> None:
    good = app.stack.public_key
    keys = (None, "", "Bearer", "Bearer x", f"Basic {good}", f"Bearer {good}x", f"Bearer {good.replace('pk_', 'sk_')}")
    unknown = f"Bearer pk_nobody_{'x' * 32}"
    problems = [_problem(_send(app, "/login", b"{}", key), 401) for key in (*keys, unknown)]
    assert all(problem == problems[0] for problem in problems)


@pytest.mark.parametrize("path", ["/identity-tokens", "/dry-run"])
def test_a_public_key_reaches_no_call_for_secret_keys(app: Caller, path: str) -> None:
    assert "secret key" in _problem(app.call(path, {"uid": "1"}, key="public"), 403)["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/login"), ("DELETE", "/batch"), ("POST", "/nothing"), ("POST", "/")]
)
def test_a_call_that_is_not_there_is_404(app: Caller, method: str, path: str) -> None:
    _problem(app.call(path, method=method), 404)


def test_no_page_may_call_unless_its_origin_is_named(app: Caller) -> None:
    asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
    answer = app.call("/login", key=None, method="OPTIONS", headers=asked)
    _problem(answer, 403)
    assert "access-control-allow-origin" not in answer.headers
