"""The prose of the tree keeps to plain words: no document, docstring, comment, text or name uses a word of the list."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WORDS = {
    "told": "sent, published, notified or reported",
    "mend": "fix",
    "ill": "failing, down",
    "afresh": "again",
    "whoever": "name the actor",
    "somebody": "a person, a caller: name the actor",
    "besides": "also",
    "crew": "chunk",
    "stranger": "unknown app, another person",
}
"""Each word that prose does without, in any inflection, with what to write instead."""

WORD = re.compile(rf"\b({'|'.join(WORDS)})(s|ed|ing)?\b", re.IGNORECASE)


def _files(pattern: str) -> list[Path]:
    """The files of the tree of that name; what tools have made lies in folders that begin with a dot."""
    folders = [folder for folder in Path().iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted([*Path().glob(pattern), *(path for folder in folders for path in folder.rglob(pattern))])


def _prose_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Lines without code, targets of links, and what `bench.docs` and `ops.reference` write from Python."""
    fence, generated = "", False
    for number, line in enumerate(text.splitlines(), 1):
        opening = re.match(r"\s*(```|~~~)", line)
        generated = line.startswith(("<!-- bench:", "<!-- cli:")) or (generated and not line.startswith("<!-- end"))
        if opening and fence in {"", opening[1]}:
            fence = "" if fence else opening[1]
        elif not fence and not generated:
            yield number, re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "", line))


def _prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Comments and docstrings, those of attributes included, line by line and without the code that they quote."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], re.sub(r"`[^`]*`", "", token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text = re.sub(r"`[^`]*`", lambda quoted: "\n" * quoted[0].count("\n"), node.value.value)
            yield from enumerate(text.splitlines(), node.lineno)


def _avoidable(prose: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"line {number}: {found[0]}: write {WORDS[found[1].lower()]}"
        for number, line in prose
        for found in WORD.finditer(line)
    ]


def _texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Strings of the code, parts of f-strings included: errors, what commands print, summaries of the API."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _names_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Functions, classes and what is assigned, as words: the name of a test is a sentence."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.replace("_", " ")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.replace("_", " ")
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg.replace("_", " ")


def _names_of_cases(contract: str) -> Iterator[tuple[int, str]]:
    """The sentences that a contract gives its cases, which name the tests made of them."""
    for number, line in enumerate(contract.splitlines(), 1):
        if found := re.match(r'\s*"name": "(.*)",$', line):
            yield number, found[1]


def _found(files: list[Path], prose: Callable[[str], Iterator[tuple[int, str]]]) -> dict[str, list[str]]:
    found = {str(path): _avoidable(prose(path.read_text())) for path in files}
    return {path: words for path, words in found.items() if words}


@pytest.mark.parametrize("document", _files("*.md"), ids=str)
def test_a_document_keeps_to_plain_words(document: Path) -> None:
    assert _avoidable(_prose_of_markdown(document.read_text())) == []


def test_docstrings_and_comments_keep_to_plain_words() -> None:
    assert _found(_files("*.py"), _prose_of_python) == {}


def test_what_the_program_says_keeps_to_plain_words() -> None:
    assert _found([path for path in _files("*.py") if path.parts[0] != "tests"], _texts_of_python) == {}


@pytest.mark.parametrize("file", ["template.yaml", "samconfig.toml", "pyproject.toml", "Makefile"])
def test_the_template_and_the_settings_keep_to_plain_words(file: str) -> None:
    assert _avoidable(iter(enumerate(Path(file).read_text().splitlines(), 1))) == []


def test_names_keep_to_plain_words() -> None:
    assert _found(_files("*.py"), _names_of_python) == {}
    assert _found(_files("contract.json"), _names_of_cases) == {}


def test_a_word_is_found_in_every_inflection_and_not_within_another() -> None:
    text = 'Nobody was Told; crews mended it, besides.\n\nStill: fill, will, a recommendation, a "stranger".\n'
    assert [line.split(": ")[1] for line in _avoidable(_prose_of_markdown(text))] == [
        *("Told", "crews", "mended", "besides"),
        "stranger",
    ]


def test_code_and_links_and_generated_tables_are_not_prose() -> None:
    text = "`told` and [this](told.md)\n```\ntold\n```\n<!-- bench: x -->\n| told |\n<!-- end -->\nplain\n"
    assert _avoidable(_prose_of_markdown(text)) == []


def test_errors_names_and_cases_are_found() -> None:
    source = 'def test_somebody_is_here(told: str) -> None:\n    crew = raises(f"{told} is ill")\n'
    assert [words.split(": ")[1] for words in _avoidable(_texts_of_python(source))] == ["ill"]
    assert sorted(words.split(": ")[1] for words in _avoidable(_names_of_python(source))) == [
        "crew",
        "somebody",
        "told",
    ]
    assert len(_avoidable(_names_of_cases('{\n  "name": "a stranger",\n  "other": "told"\n}'))) == 1


def test_docstrings_and_comments_are_prose_and_other_texts_are_not() -> None:
    source = 'X = "told"  # it is told\n"""Somebody."""\n\ndef f() -> None:\n    """Not `told`,\n    afresh."""\n'
    assert _avoidable(_prose_of_python(source)) == [
        f"line 1: told: write {WORDS['told']}",
        f"line 2: Somebody: write {WORDS['somebody']}",
        f"line 6: afresh: write {WORDS['afresh']}",
    ]
