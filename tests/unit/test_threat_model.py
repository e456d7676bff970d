"""docs/threat-model.md and docs/privacy.md name tests as their proof: they exist."""

import ast
import re
from pathlib import Path

import pytest

DOCUMENTS = ["docs/threat-model.md", "docs/privacy.md"]


def _tests() -> set[str]:
    return {
        node.name
        for module in Path("tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_and_file_that_a_document_names_exists(document: str) -> None:
    text = Path(document).read_text()
    assert set(re.findall(r"`(test_\w+)`", text)) - _tests() == set()
    assert [
        file for file in re.findall(r"`((?:tests|docs|functions)/[\w./-]+)`", text) if not Path(file).exists()
    ] == []


def test_every_risk_of_the_top_ten_and_every_threat_has_its_test() -> None:
    text = Path(DOCUMENTS[0]).read_text()
    rows = re.findall(
        r"^\| (?!---|risk|threat)(.+) \|$", text.split("## OWASP")[1].split("## What is not")[0], re.MULTILINE
    )
    assert [row.split()[0] for row in rows[:10]] == [f"API{number}" for number in range(1, 11)]
    assert [row for row in rows if "`test_" not in row.rsplit("|", 1)[1]] == []
