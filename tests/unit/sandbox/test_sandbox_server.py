"""The sandbox' server records every request, applies faults and can be watched and reset."""

import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from local.sandbox.exchange import Request
from local.sandbox.faults import BadFaultError, Faults
from local.sandbox.journal import Journal
from local.sandbox.server import Sandbox

SETTINGS: dict[str, Any] = {
    "emarsys": {"applications": {"android": {"code": "4F7AC-90B1D", "password": "example-only"}}}
}
BASIC = (b"authorization", b"Basic NEY3QUMtOTBCMUQ6ZXhhbXBsZS1vbmx5")
LOGOUT = {"application_id": "4F7AC-90B1D", "hardware_id": "6b1f0a52"}
LOGOUT_PATH = "/emarsys/api/mobileengage/v2/users/logout"


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run what never really waits, without an event loop and so without sockets."""
    with pytest.raises(StopIteration):
        work.send(None)


def call(sandbox: Sandbox, method: str, target: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
    path, _, query = target.partition("?")
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1:8400"), (b"content-type", b"application/json"), BASIC],
        "extensions": {"sandbox.abort": lambda: sent.append({"type": "abort"})},
    }
    incoming = [{"type": "http.request", "body": raw, "more_body": False}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    finish(sandbox(scope, receive, send))
    if sent[0]["type"] == "abort":
        return 0, None, {}
    text = b"".join(part.get("body", b"") for part in sent[1:]).decode()
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    is_json = headers.get("content-type") == "application/json"
    return sent[0]["status"], json.loads(text) if is_json else text, headers


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(SETTINGS)


def test_is_healthy_and_shows_a_page(sandbox: Sandbox) -> None:
    assert call(sandbox, "GET", "/_health")[:2] == (200, {"status": "ok"})
    status, page, _ = call(sandbox, "GET", "/")
    assert status == 200
    assert "<title>" in page
    files = [page, *(file.read_text() for file in Path("local/sandbox/page").glob("*.[jc]s*"))]
    about = call(sandbox, "GET", "/_console")[1]
    assert [agent["name"] for agent in about["agents"]] == list(sandbox.agents)
    assert (about["ready"], about["curl"]) == (False, "")
    # Nothing is fetched from elsewhere.
    assert not any(re.search(r"https?://(?!www\.w3\.org/2000/svg)", file) for file in files)


def test_records_what_came_and_what_was_answered(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", LOGOUT_PATH, LOGOUT)[0] == 202
    call(sandbox, "POST", "/google/mp/collect?api_secret=SECRET", b"{")
    first, second = call(sandbox, "GET", "/_requests")[1]["requests"]
    assert first["receivedAt"].endswith("Z")
    assert {key: first[key] for key in ("number", "agent", "method", "path", "body", "status", "violations")} == {
        "number": 1,
        "agent": "emarsys",
        "method": "POST",
        "path": "/api/mobileengage/v2/users/logout",
        "body": LOGOUT,
        "status": 202,
        "violations": [],
    }
    assert (second["query"], second["body"], second["status"]) == ({"api_secret": "SECRET"}, "{", 204)
    assert second["violations"]
    assert [one["agent"] for one in call(sandbox, "GET", "/_requests?agent=google")[1]["requests"]] == ["google"]
    assert [one["number"] for one in call(sandbox, "GET", "/_requests?wrong=true")[1]["requests"]] == [2]
    assert call(sandbox, "GET", "/_summary")[1]["google"] == {"requests": 1, "withViolations": 1}


def test_forgets_requests_and_state_apart_from_each_other(sandbox: Sandbox) -> None:
    call(sandbox, "POST", LOGOUT_PATH, LOGOUT)
    assert call(sandbox, "DELETE", "/_requests")[0] == 204
    assert call(sandbox, "GET", "/_requests")[1] == {"requests": []}
    assert "6b1f0a52" in call(sandbox, "GET", "/_state/emarsys")[1]["devices"]
    assert call(sandbox, "DELETE", "/_state")[0] == 204
    assert call(sandbox, "GET", "/_state/emarsys")[1]["devices"] == {}
    call(sandbox, "POST", LOGOUT_PATH, LOGOUT)
    assert call(sandbox, "GET", "/_requests")[1]["requests"][0]["number"] == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_under_an_agent_is_404_and_recorded(sandbox: Sandbox, method: str) -> None:
    assert call(sandbox, method, "/dashx/elsewhere")[0] == 404
    [entry] = call(sandbox, "GET", "/_requests?agent=dashx")[1]["requests"]
    assert (entry["status"], len(entry["violations"])) == (404, 1)


def test_dashx_is_also_at_the_one_path_of_its_own_host(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "/graphql", {"query": "{"})[0] == 200
    [entry] = call(sandbox, "GET", "/_requests?agent=dashx")[1]["requests"]
    assert entry["path"] == "/graphql"


def test_a_fault_comes_before_the_work_and_ends_after_its_times(sandbox: Sandbox) -> None:
    fault = {"status": 503, "retryAfter": 7, "times": 1, "body": "down"}
    assert call(sandbox, "PUT", "/_faults/emarsys", fault)[1] == fault | {"left": 1}
    status, body, headers = call(sandbox, "POST", LOGOUT_PATH, LOGOUT)
    assert (status, body, headers["retry-after"]) == (503, "down", "7")
    assert call(sandbox, "GET", "/_state/emarsys")[1]["devices"] == {}
    assert call(sandbox, "POST", LOGOUT_PATH, LOGOUT)[0] == 202
    entries = call(sandbox, "GET", "/_requests")[1]["requests"]
    assert [(entry["status"], entry["fault"]) for entry in entries] == [(503, fault), (202, None)]


def test_a_fault_may_come_after_the_work(sandbox: Sandbox) -> None:
    call(sandbox, "PUT", "/_faults/emarsys", {"reset": True, "afterWork": True})
    assert call(sandbox, "POST", LOGOUT_PATH, LOGOUT)[0] == 0
    assert "6b1f0a52" in call(sandbox, "GET", "/_state/emarsys")[1]["devices"]
    assert call(sandbox, "GET", "/_requests")[1]["requests"][0]["status"] is None
    assert call(sandbox, "DELETE", "/_faults")[0] == 204
    assert call(sandbox, "GET", "/_faults")[1] == {"faults": {}}


def test_new_credentials_hold_from_the_next_request_on(sandbox: Sandbox) -> None:
    rotated = {"applications": {"android": {"code": "4F7AC-90B1D", "password": "rotated"}}}
    assert call(sandbox, "PUT", "/_credentials/emarsys", rotated)[0] == 200
    assert call(sandbox, "POST", LOGOUT_PATH, LOGOUT)[0] == 401
    call(sandbox, "PUT", "/_credentials/emarsys", SETTINGS["emarsys"])
    assert call(sandbox, "POST", LOGOUT_PATH, LOGOUT)[0] == 202


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("PUT", "/_faults/nobody", {"status": 500}, 404),
        ("PUT", "/_faults/emarsys", {"statuz": 500}, 400),
        ("PUT", "/_faults/emarsys", b"{", 400),
        ("PUT", "/_credentials/emarsys", [], 400),
        ("GET", "/_state/nobody", None, 404),
        ("GET", "/_requests?agent=nobody", None, 404),
        ("GET", "/_requests?agnet=emarsys", None, 400),
        ("GET", "/_requests?limit=all", None, 400),
        ("GET", "/_requests?wrong=no", None, 400),
    ],
)
def test_the_control_api_is_strict(sandbox: Sandbox, method: str, target: str, body: Any, status: int) -> None:
    answered, problem, _ = call(sandbox, method, target, body)
    assert answered == status
    assert problem["error"]


@pytest.mark.parametrize(
    "asked",
    [
        [],
        {},
        {"times": 1},
        {"status": "500"},
        {"status": True},
        {"status": 99},
        {"status": 500, "times": 0},
        {"status": 500, "reset": True},
        {"delaySeconds": -1},
        {"retryAfter": 1},
        {"status": 200, "location": "https://example.com/"},
        {"status": 500, "headers": []},
        {"status": 500, "delay": 1},
    ],
)
def test_refuses_faults_that_make_no_sense(asked: Any) -> None:
    with pytest.raises(BadFaultError):
        Faults().put("google", asked)


def test_a_fault_concerns_only_what_it_matches() -> None:
    faults = Faults()
    faults.put("emarsys", {"status": 500, "match": "evt_7"})
    assert faults.take("emarsys", Request("POST", "/users/login", {}, {}, b'{"id":"evt_8"}')) is None
    assert faults.take("emarsys", Request("POST", "/users/login", {}, {}, b'{"id":"evt_7"}')) is not None
    assert faults.take("emarsys", Request("POST", "/events/evt_7", {}, {}, b"")) is not None
    assert faults.take("dashx", Request("POST", "/events/evt_7", {}, {}, b"")) is None


def test_the_journal_keeps_the_newest_only() -> None:
    journal = Journal(kept=2)
    for path in ("/1", "/2", "/3"):
        journal.add("google", Request("POST", path, {}, {}, b""), 0)
    assert [entry["path"] for entry in journal.display()] == ["/2", "/3"]
    assert [entry["number"] for entry in journal.display(after=2)] == [3]
    assert [entry["number"] for entry in journal.display(limit=1)] == [3]
    assert journal.display(limit=0) == []
