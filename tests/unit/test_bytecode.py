"""The layer's bytecode: the modules that their sources say, without docstrings."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("bytecode", "layers/runtime/bytecode.py")
assert _SPEC
assert _SPEC.loader
bytecode = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(bytecode)

SOURCE = '''"""A module."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Point:
    """A point."""

    x: int
    """Its abscissa."""


def nothing():
    """Does nothing."""


async def checked(value):
    """Checks a value."""
    assert value, "no value"
    return value


def fails():
    """Fails."""
    raise LookupError
'''


def _said_by(folder: Path, statement: str) -> str:
    command = [sys.executable, "-B", "-c", f"import sample; {statement}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our Python
    return ran.stdout.strip() or ran.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the compiled module, whose source has since changed: what is loaded is the bytecode."""
    (tmp_path / "sample.py").write_text(SOURCE)
    bytecode.compile_folder(tmp_path)
    (tmp_path / "sample.py").write_text("raise SystemExit('the source was loaded')" + "\n" * 40)
    return tmp_path


def test_modules_and_functions_have_no_docstrings(folder: Path) -> None:
    assert _said_by(folder, "print(sample.__doc__, sample.nothing.__doc__, sample.checked.__doc__)") == "None None None"


def test_a_class_keeps_the_docstring_of_a_dot_so_that_dataclasses_make_none(folder: Path) -> None:
    assert _said_by(folder, "print(sample.Point.__doc__, sample.Point(3))") == ". Point(x=3)"


def test_the_compiler_of_python_3_13_leaves_that_docstring_as_it_is() -> None:
    """It cleans each docstring as `inspect.cleandoc` does: of a blank, nothing is left."""
    assert inspect.cleandoc(bytecode.PLACEHOLDER) == bytecode.PLACEHOLDER


def test_a_function_that_is_its_docstring_alone_returns_none(folder: Path) -> None:
    assert _said_by(folder, "print(sample.nothing())") == "None"


def test_assertions_still_hold(folder: Path) -> None:
    said = _said_by(folder, "import asyncio; asyncio.run(sample.checked(0))")
    assert said.endswith("AssertionError: no value\n")


def test_a_traceback_names_the_line_of_the_source(folder: Path) -> None:
    line = SOURCE.splitlines().index("    raise LookupError") + 1
    assert f'sample.py", line {line}, in fails' in _said_by(folder, "sample.fails()")


def test_the_bytecode_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(SOURCE)
    compiled = []
    for _ in range(2):
        bytecode.compile_folder(tmp_path)
        (file,) = tmp_path.rglob("*.pyc")
        compiled.append(file.read_bytes())
    assert compiled[0] == compiled[1]
