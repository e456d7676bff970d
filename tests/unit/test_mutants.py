"""The mutation tester's own parts: the list of those that may survive, and the runs of tests in a copy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.modules import RELAY, TESTS
from tests.mutants.survivors import LIST, Mutant, diff, read_listed

KNOWN = "first = 1\n  if a == b:\nlast = 2\n"
MADE = {"path": f"{RELAY}/ledger/rows.py", "operator": "core/Eq_NotEq", "source": KNOWN.replace("==", "!=")}
MUTANT = Mutant("ledger/rows.py", "core/Eq_NotEq", "if a == b:", "if a != b:")
ENTRY = """[[survivor]]
module = "ledger/rows.py"
operator = "core/Eq_NotEq"
line = "if a == b:"
becomes = "if a != b:"
"""


def test_a_mutant_is_known_by_its_module_its_operator_and_its_line_wherever_it_stands() -> None:
    assert Mutant.of(KNOWN, MADE) == MUTANT
    assert Mutant.of(f"more = 0\n{KNOWN}", {**MADE, "source": f"more = 0\n{MADE['source']}"}) == MUTANT


def test_a_survivor_is_excused_by_a_reason_alone() -> None:
    assert read_listed(f'{ENTRY}reason = "a and b are both NaN"') == {MUTANT: "a and b are both NaN"}
    with pytest.raises(ValueError, match="no reason"):
        read_listed(ENTRY)


def test_a_survivor_is_shown_as_a_diff() -> None:
    assert diff(KNOWN, MADE["source"], "rows.py").splitlines()[-3:] == ["-  if a == b:", "+  if a != b:", " last = 2"]


def test_every_listed_survivor_still_stands_in_its_module() -> None:
    for mutant in read_listed(LIST.read_text()):
        lines = [line.strip() for line in Path(RELAY, mutant.module).read_text().splitlines()]
        assert mutant.line in lines, mutant


def test_every_module_and_every_file_of_tests_is_there() -> None:
    files = {file for stages in TESTS.values() for stage in stages for file in stage}
    assert [name for name in (*TESTS, *files) if not Path(name).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize(("value", "fails"), [(1, False), (2, True)])
def test_a_mutant_dies_by_its_tests_and_its_module_is_as_before(
    tmp_path: Path,
    value: int,
    fails: bool,  # noqa: FBT001
) -> None:
    module = tmp_path / "module.py"
    module.write_text("VALUE = 1\n")
    (tmp_path / "test_module.py").write_text("from module import VALUE\n\n\ndef test_it():\n    assert VALUE == 1\n")
    code = (
        "import sys; from pathlib import Path; from tests.mutants.runner import run;"
        f" sys.exit(run(Path('module.py'), 'VALUE = {value}', [['test_module.py']], 60)[0])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}:{tmp_path}"}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, check=False)  # noqa: S603 - our own module
    assert (ended.returncode != 0) is fails
    assert module.read_text() == "VALUE = 1\n"
