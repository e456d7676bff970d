"""Each agent as the checkout describes it: its module, and the tables of its README."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ops.errors import UsageError
from ops.stage import Stage
from relay.agent.definition import Agent

ROOT = Path(__file__).resolve().parent.parent
AGENTS = ROOT / "functions/agents"


def agent_names() -> list[str]:
    """Lists every agent of the product, deployed or not."""
    return sorted(found.parent.name for found in AGENTS.glob("*/app.py"))


@cache
def agent(name: str) -> Agent[Any]:
    """Returns an agent as its module defines it.

    Raises:
        UsageError: there is no such agent.
    """
    if name not in agent_names():
        raise UsageError(f"There is no agent {name!r}; there are {', '.join(agent_names())}.")
    found: Agent[Any] = import_module(f"functions.agents.{name}.app").AGENT
    return found


def code_of(stage: Stage, name: str) -> str:
    """Returns the name of the folder that an agent is deployed from: its own name, unless the template says otherwise.

    Raises:
        UsageError: no agent of that name is deployed, and there is no such folder.
    """
    code = name if name in agent_names() else stage.agents[name].code if name in stage.agents else ""
    if not code:
        raise UsageError(f"There is no agent {name!r}; there are {', '.join(sorted({*agent_names(), *stage.agents}))}.")
    return code


def deployed(stage: Stage, name: str) -> Agent[Any]:
    """Returns an agent as it is deployed: under this name, and ordered by its code or by the type of its queue.

    Raises:
        UsageError: there is no such agent.
    """
    code = agent(code_of(stage, name))
    may_be_fifo = code.may_be_ordered and name in stage.agents
    is_ordered = code.ordered or (may_be_fifo and stage.agents[name].resource("Queue").endswith(".fifo"))
    return replace(code, name=name, ordered=is_ordered)


@cache
def facts(name: str) -> dict[str, str]:
    """Reads each setting's meaning, and where its vendor shows it, from an agent's README."""
    text = (AGENTS / name / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {field: _fact(cells) for cells in rows for field in _fields(cells[0])}


@cache
def erasure(name: str) -> list[dict[str, str]]:
    """Reads from an agent's README how its vendor erases a person: rows of `identity`, `request`, `api`."""
    text = (AGENTS / name / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Erasing a person")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    return [dict(zip(("identity", "request", "api"), (_plain(cell) for cell in cells), strict=True)) for cells in rows]


def _plain(cell: str) -> str:
    return re.sub(r"[`*<>]", "", cell).strip()


def _fields(cell: str) -> Iterator[str]:
    """Yields the settings that a row is about: `a`, `b`; or `part.a`, `.b` of one part."""
    part = ""
    for field in re.findall(r"`([^`]+)`", cell):
        part = field.rpartition(".")[0] or part
        yield f"{part}{field}" if field.startswith(".") else field


def _fact(cells: list[str]) -> str:
    meaning, where = cells[1].strip(), cells[-1].strip()
    fact = meaning if where in {"\N{EN DASH}", ""} else f"{meaning} ({where})"
    return re.sub(r"[`*]", "", fact)
