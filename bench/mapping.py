"""Mapping: from the queue's JSON text to the encoded HTTP bodies, in processor time an event and agent.

Events come by ten at least, as an ordered queue hands them over: all are read, then all are mapped, by ours and by the
reference alike. The same one by one, as a quiet queue hands them over, costs more, since a processor's caches hold the
one or the other; that is measured as well, and is not what the target is held against.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from bench import baseline, samples
from bench.measure import Extent, Row, Say, in_turns
from local import settings as local_settings
from relay.agent.definition import Agent
from relay.errors import Skip
from relay.event.model import Event

TARGET = 4.0
BATCH = 10
"""Events that are read before the first of them is mapped."""


@dataclass(frozen=True)
class Case:
    """One event at one agent: the queue's text, the settings, and the documents that both become."""

    text: str
    settings_text: str
    settings: Any
    documents: list[object]


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """A row for each agent's contract and realistic events: ours, and the naive way."""
    for name in samples.AGENTS:
        say(f"mapping: {name}")
        agent: Agent[Any] = import_module(f"functions.agents.{name}.app").AGENT
        for kind, cases in (("realistic events", _realistic(agent)), ("contract", _contract(agent))):
            yield from _rows(agent, kind, cases, extent)


def _rows(agent: Agent[Any], kind: str, cases: list[Case], extent: Extent) -> Iterator[Row]:
    cases = cases * -(-BATCH // len(cases))
    works: dict[str, Callable[[], object]] = {
        "ours": partial(_ours, agent, cases),
        "one by one": lambda: [_ours(agent, [case]) for case in cases],
        "naive": lambda: [_naive(agent, case) for case in cases],
        "json": partial(_json, cases),
        "json one by one": lambda: [_json([case]) for case in cases],
    }
    taken = in_turns(works, extent.rounds)
    ratio = taken["ours"].ratio(taken["json"])
    each = {way: series.median / len(cases) for way, series in taken.items()}
    more = {
        "cases": len(cases),
        "json_us": each["json"],
        "one_by_one_us": each["one by one"],
        "one_by_one_ratio": taken["one by one"].ratio(taken["json one by one"]),
        "naive_us": each["naive"],
        "naive_ratio": taken["naive"].ratio(taken["json"]),
    }
    name = f"{agent.name}, {kind}"
    note = f"one by one {more['one_by_one_ratio']:.2f}, naive {more['naive_ratio']:.0f}"
    yield Row("mapping", name, each["ours"], "µs", "json", ratio, f"≤ {TARGET:g}", ratio <= TARGET, more, note)


def _ours(agent: Agent[Any], cases: list[Case]) -> list[bytes]:
    events = [Event.load(case.text) for case in cases]
    requests_of = [agent.build_requests(event, case.settings) for event, case in zip(events, cases, strict=True)]
    return [request.body for requests in requests_of for request in requests]


def _naive(agent: Agent[Any], case: Case) -> list[bytes]:
    return baseline.bodies(agent, case.text, case.settings_text)


def _json(cases: list[Case]) -> list[str]:
    """The reference: reads the queue's texts and writes the bodies, and does nothing in between."""
    for case in cases:
        json.loads(case.text)
    return [json.dumps(document) for case in cases for document in case.documents]


def _contract(agent: Agent[Any]) -> list[Case]:
    return [_case(agent, text, settings) for _, text, settings in samples.contract(agent.name)]


def _realistic(agent: Agent[Any]) -> list[Case]:
    settings = json.dumps(local_settings.agents("https://agents.example.com")[agent.name])
    return [case for kind in samples.REALISTIC for case in _mapped(agent, samples.message(kind), settings)]


def _mapped(agent: Agent[Any], text: str, settings: str) -> list[Case]:
    try:
        return [_case(agent, text, settings)]
    except Skip:
        return []


def _case(agent: Agent[Any], text: str, settings_text: str) -> Case:
    case = Case(Event.load(text).dump(), settings_text, agent.settings.model_validate_json(settings_text), [])
    case.documents.extend(json.loads(body) for body in _ours(agent, [case]))
    if [json.loads(body) for body in _naive(agent, case)] != case.documents:
        raise AssertionError(f"{agent.name}: the naive way makes other bodies")
    return case
