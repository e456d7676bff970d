"""The documents: lines that fit, links that lead somewhere, decisions that are numbered, recipes that work."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench import cost
from bench.template import deployed
from local.sandbox import exchange
from ops import reference
from relay.agent.definition import Agent
from relay.agent.http import Request, unmasked
from relay.errors import Skip
from relay.event.model import Event

AGENTS = sorted(app.parent.name for app in Path("functions/agents").glob("*/app.py"))
COLUMNS = 120
README_LINES = range(130, 201)

HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2$", re.MULTILINE | re.DOTALL)


def _documents() -> list[Path]:
    return sorted([*Path().glob("*.md"), *Path("docs").rglob("*.md"), *Path("functions").rglob("*.md")])


@cache
def _prose(document: Path) -> str:
    """A document with its code blocks emptied, so that line numbers stay."""
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), document.read_text())


@cache
def _anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(_prose(document)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


every_document = pytest.mark.parametrize("document", _documents(), ids=str)


@every_document
def test_prose_is_wrapped(document: Path) -> None:
    lines = enumerate(_prose(document).splitlines(), 1)
    assert [
        number
        for number, line in lines
        if len(line) > COLUMNS and not line.lstrip().startswith("|") and not LINK.search(line)
    ] == []


@every_document
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    broken = []
    for target in LINK.findall(_prose(document)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", [page for page in _documents() if page.stem != "CHANGELOG"], ids=str)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = re.findall(r"`((?:tests|docs|bench|local|ops|layers)/[\w./-]+\.\w+)`", _prose(document))
    named += [f"layers/runtime/{file}" for file in re.findall(r"`(relay/[\w/]+\.py)`", _prose(document))]
    example = {"tests/unit/sandbox/test_sandbox_example.py", "local/sandbox/example.py"}
    assert [file for file in named if not Path(file).exists() and file not in example] == []


def test_a_heading_leads_to_one_place() -> None:
    for document in _documents():
        headings = HEADING.findall(_prose(document))
        assert [
            heading for heading in set(headings) if headings.count(heading) > 1 and document.stem != "CHANGELOG"
        ] == []


def test_the_readme_is_short() -> None:
    assert len(Path("README.md").read_text().splitlines()) in README_LINES


def test_the_readme_leads_to_every_document() -> None:
    linked = {Path(target.partition("#")[0]) for target in LINK.findall(_prose(Path("README.md")))}
    pages = {page for page in Path("docs").rglob("*.md") if page.parent.name != "decisions" or page.stem == "README"}
    assert pages - linked == set()


@pytest.mark.parametrize("document", ["README.md", "docs/concepts.md"])
def test_every_agent_has_a_row_that_leads_to_its_readme(document: str) -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\((?:\.\./)?functions/agents/\1/README\.md\)", Path(document).read_text(), re.MULTILINE
    )
    assert sorted(rows) == AGENTS


def _decisions() -> list[tuple[str, str, str, str]]:
    """Number, title, status and area of each decision, in the order of their numbers."""
    entry = re.compile(r"^## (\d{4}) (.+)\n\n\d{4}-\d{2}-\d{2} · (.+)$", re.MULTILINE)
    areas = [area for area in Path("docs/decisions").glob("*.md") if area.stem != "README"]
    return sorted((*found, area.stem) for area in areas for found in entry.findall(area.read_text()))


def test_decisions_are_numbered_without_a_gap_in_five_files_by_area() -> None:
    decisions = _decisions()
    assert [number for number, *_ in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    assert len({area for *_, area in decisions}) == 5
    headings = sum(len(HEADING.findall(_prose(file))) - 1 for file in Path("docs/decisions").glob("[!R]*.md"))
    assert headings == len(decisions)


def test_the_index_has_every_decision_with_its_status() -> None:
    index = Path("docs/decisions/README.md").read_text()
    rows = re.findall(r"^\| \[(\d{4})\]\((\w+)\.md#.*?\) \| (.+?) \| .+? \| (.+) \|$", index, re.MULTILINE)
    assert [(number, title, status, area) for number, area, title, status in rows] == _decisions()


def test_a_decisions_status_is_one_that_there_is() -> None:
    known = re.compile(r"Accepted(; .+)?|Superseded by \d{4}")
    assert [number for number, _, status, _ in _decisions() if not known.fullmatch(status)] == []


def test_the_commands_in_the_document_are_those_of_the_help() -> None:
    # `make cli` writes the document anew.
    assert reference.DOCUMENT.read_text() == reference.written()


def test_every_command_has_its_task() -> None:
    tasks = reference.DOCUMENT.read_text().split("## Every command")[0]
    assert [name for name, _ in reference.commands() if f"`relay {name}" not in tasks] == []


def _recipe(file: str) -> str:
    """The last code block that the recipe for an agent gives for a file."""
    section = Path("docs/adding-an-agent.md").read_text().split(f"`{file}`")[1]
    found = re.search(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def _module(file: str) -> dict[str, Any]:
    """The names that a module of the recipe defines."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(_recipe(file), file, "exec"), names)  # noqa: S102 - our own document
    return names


def _requests(agent: Agent[Any], case: dict[str, Any]) -> list[Request]:
    event, settings = Event.load(json.dumps(case["event"])), agent.settings.model_validate(case["settings"])
    return agent.build_requests(event, settings)


APP, CONTRACT, SANDBOX = (
    *("functions/agents/example/app.py", "functions/agents/example/contract.json"),
    "local/sandbox/example.py",
)


def test_the_agent_of_the_recipe_does_what_its_contract_says() -> None:
    agent, contract = _module(APP)["AGENT"], json.loads(_recipe(CONTRACT))
    for case in contract["cases"]:
        if "skip" in case:
            with pytest.raises(Skip, match=case["skip"]):
                _requests(agent, case)
        else:
            built = [(request.url, json.loads(request.body)) for request in _requests(agent, case)]
            assert built == [(request["url"], request["body"]) for request in case["requests"]]
    assert contract.keys() == json.loads(Path("functions/agents/emarsys/contract.json").read_text()).keys()


def test_the_sandbox_of_the_recipe_accepts_what_its_agent_sends() -> None:
    agent, case = _module(APP)["AGENT"], json.loads(_recipe(CONTRACT))["cases"][0]
    sandboxed: exchange.Agent = _module(SANDBOX)["Example"](case["settings"])
    (request,) = _requests(agent, case)
    headers = unmasked(request.headers)
    result = sandboxed.check(exchange.Request(request.method, "/hook", {}, headers, request.body), 0.0)
    assert (list(result.violations), result.work().status) == ([], 200)
    sandboxed.reset()
    assert sandboxed.state()


def test_the_cost_while_idle_is_one_number_everywhere_with_what_it_is_made_of() -> None:
    template = deployed()
    parts = cost.idle(template)
    polling, alarms = (parts[name] for name in ("SQS, receivers that wait", "Alarms"))
    free_alarms = min(template.alarm_metrics, 10) * 0.10
    listed = sum(parts.values())
    paid = listed - cost.given(template, polling)
    alone = {"polling": paid - (alarms - free_alarms), "alarms": alarms - free_alarms, "all": paid, "listed": listed}
    for document in ("README.md", "docs/deploying.md"):
        text = Path(document).read_text()
        assert [name for name, usd in alone.items() if f"{usd:.2f}" not in text] == []
        assert "about 3 USD" not in text


def test_the_number_of_alarms_and_what_they_cost_is_that_of_the_template() -> None:
    template = deployed()
    alarms, metrics = template.resources["AWS::CloudWatch::Alarm"], template.alarm_metrics
    paid = f"10 are free, {metrics - 10} cost 0.10 USD each"
    said = {
        "docs/deploying.md": [f"| {alarms} alarms over {metrics} metrics |", paid],
        "docs/runbook.md": [f"The alarms watch {metrics} metrics with all {len(template.batches)} agents", paid],
        "CHANGELOG.md": [f"{alarms} alarms"],
    }
    for document, sentences in said.items():
        text = Path(document).read_text()
        assert [sentence for sentence in sentences if sentence not in text] == [], document
