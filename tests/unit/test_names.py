"""Names that were retired for the field's own do not come back as definitions."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

RELAY = ("functions", "layers/runtime/relay")
TOOLS = ("ops", "local", "bench")

RETIRED = frozenset({
    "_alone", "_Answer", "_ask", "_claimed", "_clear", "_crew", "_current", "_ends", "_examined", "_ill",
    "_is_half", "_is_quiet", "_keep", "_leaves_another", "_Long", "_marked", "_NOBODY", "_NOBODYS", "_note",
    "_opened", "_own_id", "_parts", "_placed", "_Planned", "_planned", "_seen_well", "_spread", "_together",
    "_told", "_Twice", "_Unclear", "_Until", "_written", "Acquaintance", "acquaintance", "admit", "Answer",
    "answered", "answers", "asked", "before", "begin", "below", "beside", "bind", "BYTES_AT_ONCE", "Call",
    "catalogue", "Change", "Count", "count", "CREDENTIALS", "CREW", "CREWS", "deployed", "draw", "end",
    "ENTRIES_AT_ONCE", "Entry", "exchange", "Fault", "faults_in_words", "faults_of", "Field", "FINAL", "Form",
    "fresh", "guard", "handler_of", "has_address", "hears", "HELD_AT_MOST", "holder", "in_order", "in_time",
    "is_anothers", "is_contact", "is_ill", "is_personal", "judge", "Judgement", "KEPT", "kept", "lane", "lanes",
    "later", "Letter", "Line", "line", "listed", "LOOKS_A_SECOND", "MARGIN_MILLISECONDS", "MAX_ANSWER_BYTES",
    "MAX_SENDERS", "may_hold_address", "may_look", "Meaning", "measured", "met", "misdirected", "missed", "Misused",
    "Moment", "MomentText", "moved_on", "must_prove", "naive", "named", "newest_person", "no_contact", "NO_TIME",
    "notes", "one_after_the_other", "order", "origin", "outside", "overtaken", "own_address", "OwnId", "park",
    "Part", "parted", "Parts", "Patience", "PATIENCE_SECONDS", "person", "place", "postpone", "problem", "product",
    "proven", "READ_AT_ONCE", "Record", "refusal", "REFUSALS", "remark", "remarked", "revealed", "rows", "Runtime",
    "seen", "send_anywhere", "sending", "sentence", "SETTLED", "Settlement", "shared", "Show", "shown",
    "snapshotted", "sound", "Standing", "starts", "steps", "story", "strangers", "STRANGERS_KEPT", "tell",
    "tell_together", "Together", "together", "TOLD", "told", "Turn", "typed", "unasked", "under", "usual", "Whole",
    "whole", "without_addresses", "without_name", "WRITTEN_AT_ONCE", "Wrong",
})  # fmt: skip
"""Names of functions, classes and constants of the product.

Words that have come to stand for another thing are not of the list: `note` and `look` of a ledger, `read`, `text`.
"""

RETIRED_TOOLS = frozenset({
    "Answer", "judge", "Judgement", "Letter", "letters", "misdirected", "Misused", "naive", "product", "story",
    "unasked", "Wrong",
})  # fmt: skip

RETIRED_EVENTS = {
    f"Ask{call}" for call in ("Login", "Logout", "Open", "Signup", "Identify", "Track", "PushToken", "Batch")
}

EXCHANGES = {"cases", "responses"}
"""What a contract holds next to facts: events with their requests, responses with their verdicts."""


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def _definitions(tree: ast.Module) -> Iterator[str]:
    """Functions and classes anywhere, and the names that modules and classes assign."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from (target.id for child in node.body for target in _targets(child) if isinstance(target, ast.Name))


def _defined(folder: str) -> set[tuple[str, str]]:
    return {
        (name, str(module))
        for module in Path(folder).rglob("*.py")
        for name in _definitions(ast.parse(module.read_text()))
    }


@pytest.mark.parametrize(
    ("folder", "retired"), [*((folder, RETIRED) for folder in RELAY), *((folder, RETIRED_TOOLS) for folder in TOOLS)]
)
def test_no_retired_name_is_defined(folder: str, retired: frozenset[str]) -> None:
    defined = _defined(folder)
    assert len(defined) > 30
    assert sorted(found for found in defined if found[0] in retired) == []


def test_no_module_has_a_retired_name() -> None:
    gone = {"exchange", "sending", "origin", "catalogue", "story", "product"}
    assert [str(path) for path in Path("layers/runtime/relay").rglob("*.py") if path.stem in gone] == []
    assert [path for path in ("local/story.py", "ops/product.py", "bench/naive.py") if Path(path).exists()] == []


def test_a_preflight_is_named_for_what_it_is() -> None:
    template = Path("template.yaml").read_text()
    assert sorted(name for name in RETIRED_EVENTS if f"{name}:" in template) == []
    assert template.count("Preflight:") == len(RETIRED_EVENTS)


def test_contracts_hold_cases_and_responses() -> None:
    for contract in Path("functions/agents").glob("*/contract.json"):
        assert json.loads(contract.read_text()).keys() >= EXCHANGES, contract
        assert "answers" not in json.loads(contract.read_text()), contract


def test_a_retired_name_is_found_as_function_class_constant_and_attribute() -> None:
    source = "TELL = 1\nclass Line:\n    tell: int = 1\n    def guard(self, told: int) -> None:\n        note = told\n"
    assert set(_definitions(ast.parse(source))) == {"TELL", "Line", "tell", "guard"}
