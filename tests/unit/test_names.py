"""Names that were retired for the field's own do not come back as definitions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("functions", "layers/runtime/relay")

RETIRED = frozenset({
    "Acquaintance", "Call", "Fault", "Form", "Line", "Meaning", "MomentText", "OwnId", "Part", "Patience", "Record",
    "Runtime", "Settlement", "Standing", "Together", "Turn", "_NOBODYS", "_Long", "_Twice", "_Unclear", "_clear",
    "_examined", "_is_half", "_leaves_another", "_marked", "_own_id", "_parts", "BYTES_AT_ONCE", "CREW", "CREWS",
    "ENTRIES_AT_ONCE", "FINAL", "HELD_AT_MOST", "KEPT", "LOOKS_A_SECOND", "MARGIN_MILLISECONDS", "MAX_ANSWER_BYTES",
    "MAX_SENDERS", "NO_TIME", "PATIENCE_SECONDS", "READ_AT_ONCE", "REFUSALS", "STRANGERS_KEPT", "TOLD",
    "WRITTEN_AT_ONCE", "acquaintance", "faults_in_words", "faults_of", "handler_of", "has_address", "is_anothers",
    "is_contact", "is_ill", "is_personal", "listed", "may_hold_address", "may_look", "missed", "moved_on", "must_prove",
    "newest_person", "no_contact", "one_after_the_other", "overtaken", "own_address", "postpone", "proven", "remark",
    "remarked", "revealed", "send_anywhere", "snapshotted", "strangers", "tell_together", "without_addresses",
    "without_name",
})  # fmt: skip


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


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_retired_name_is_defined(folder: str) -> None:
    defined = {
        (name, str(module))
        for module in Path(folder).rglob("*.py")
        for name in _definitions(ast.parse(module.read_text()))
    }
    assert len(defined) > 30
    assert sorted(found for found in defined if found[0] in RETIRED) == []
