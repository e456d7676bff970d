"""The prose of the tree keeps to plain words: no document, docstring or comment uses a word of the list."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
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

NOT_YET: set[str] = {"functions", "layers", "tests"}
"""Directories, `ops` or `local/sandbox`, whose Python is still to be rewritten; each leaves the list once it is."""

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


def _python() -> list[Path]:
    return [path for path in _files("*.py") if not any(path.is_relative_to(directory) for directory in NOT_YET)]


@pytest.mark.parametrize("document", _files("*.md"), ids=str)
def test_a_document_keeps_to_plain_words(document: Path) -> None:
    assert _avoidable(_prose_of_markdown(document.read_text())) == []


def test_docstrings_and_comments_keep_to_plain_words() -> None:
    found = {str(path): _avoidable(_prose_of_python(path.read_text())) for path in _python()}
    assert {path: words for path, words in found.items() if words} == {}


def test_a_directory_that_is_not_yet_rewritten_exists_and_needs_it() -> None:
    # An entry that is no longer needed leaves the list, so that the list cannot hide what comes later.
    def needs(directory: str) -> bool:
        return any(_avoidable(_prose_of_python(path.read_text())) for path in Path(directory).rglob("*.py"))

    assert {directory for directory in NOT_YET if not needs(directory)} == set()


def test_a_word_is_found_in_every_inflection_and_not_within_another() -> None:
    text = 'Nobody was Told; crews mended it, besides.\n\nStill: fill, will, a recommendation, a "stranger".\n'
    assert [line.split(": ")[1] for line in _avoidable(_prose_of_markdown(text))] == [
        *("Told", "crews", "mended", "besides"),
        "stranger",
    ]


def test_code_and_links_and_generated_tables_are_not_prose() -> None:
    text = "`told` and [this](told.md)\n```\ntold\n```\n<!-- bench: x -->\n| told |\n<!-- end -->\nplain\n"
    assert _avoidable(_prose_of_markdown(text)) == []


def test_docstrings_and_comments_are_prose_and_other_texts_are_not() -> None:
    source = 'X = "told"  # it is told\n"""Somebody."""\n\ndef f() -> None:\n    """Not `told`,\n    afresh."""\n'
    assert _avoidable(_prose_of_python(source)) == [
        f"line 1: told: write {WORDS['told']}",
        f"line 2: Somebody: write {WORDS['somebody']}",
        f"line 6: afresh: write {WORDS['afresh']}",
    ]
