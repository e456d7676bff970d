"""Every agent against the cases of its contract.json: events in, requests out; responses in, verdicts out."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.errors import Skip
from relay.event.model import Event

FOLDERS = sorted(Path("functions/agents").glob("*/contract.json"))


def _each(kind: str) -> list[Any]:
    return [
        pytest.param(folder.parent.name, case, id=f"{folder.parent.name}: {case['name']}")
        for folder in FOLDERS
        for case in json.loads(folder.read_text())[kind]
    ]


def _agent(name: str) -> Agent[Any]:
    agent: Agent[Any] = importlib.import_module(f"functions.agents.{name}.app").AGENT
    return agent


def _shown(request: Request) -> dict[str, Any]:
    def clear(values: Any) -> dict[str, str]:
        return {name: v.get_secret_value() if isinstance(v, SecretStr) else v for name, v in values.items()}

    masked: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": clear(request.headers),
        "body": json.loads(request.body),
    }
    return masked | ({"query": clear(request.query)} if request.query else {})


@pytest.mark.parametrize(("name", "case"), _each("cases"))
def test_an_event_becomes_the_requests_of_the_contract(name: str, case: dict[str, Any]) -> None:
    agent = _agent(name)
    event = Event.load(json.dumps(case["event"]))
    settings = agent.settings.model_validate_json(json.dumps(case["settings"]))
    if "skip" in case:
        with pytest.raises(Skip) as skipped:
            agent.build_requests(event, settings)
        assert skipped.value.reason == case["skip"]
    else:
        assert [_shown(request) for request in agent.build_requests(event, settings)] == case["requests"]
        assert list(agent.remarks(event, settings) if agent.remarks else ()) == case.get("remarks", [])


@pytest.mark.parametrize(("name", "case"), _each("responses"))
def test_a_response_means_what_the_contract_says(name: str, case: dict[str, Any]) -> None:
    given = case["response"]
    body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"])
    response = Response(given["status"], body.encode(), given.get("headers", {}))
    verdict = _agent(name).classify(response)
    assert verdict.kind == case["verdict"]
    assert verdict.wait == case.get("wait")
