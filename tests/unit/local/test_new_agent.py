"""`make agent`: started in a copy of the tree, an agent passes what every agent must pass."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.new_agent import NotStartedError, start

ROOT = Path.cwd()
NAME, TITLE = "toy_hook", "ToyHook"
CONCERNED = [
    *("tests/unit/agents/test_contracts.py", "tests/unit/agents/test_privacy_table.py", "tests/unit/test_docs.py"),
    *("tests/unit/test_template.py", "tests/unit/test_monitoring.py", f"tests/unit/sandbox/test_sandbox_{NAME}.py"),
]
LINTERS = [["mypy"], ["cfnlint", "template.yaml"]]
"""What `make agent-check` asks as well."""
IS_WHOLE = os.environ.get("AGENT_CHECK") == "all"
CONSOLE = f"""
import json
from local.sandbox.server import Sandbox
from local.settings import enabled_agents
sandbox = Sandbox(enabled_agents("http://127.0.0.1", ["{TITLE}"]))
print(json.dumps([agent.title for agent in sandbox.agents.values()]))
"""


def _copy(to: Path) -> Path:
    """A copy of what git knows of this tree, and of what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - the developer's own git
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def _run(tree: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": "layers/runtime:.", "PYTHONDONTWRITEBYTECODE": "1"}
    own = {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", "COV_"))}
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *arguments], cwd=tree, env=own, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with one agent more."""
    copy = _copy(tmp_path_factory.mktemp("tree"))
    _run(copy, "-m", "local.new_agent", NAME)
    return copy


@pytest.mark.slow
def test_a_new_agent_is_formatted_and_typed_and_in_every_list(tree: Path) -> None:
    for check in (["format", "--check"], ["check"]):
        _run(tree, "-m", "ruff", *check, "functions", "local", "tests/unit/sandbox")
    assert TITLE in json.loads(_run(tree, "-c", CONSOLE))
    for document in ("README.md", "docs/concepts.md", "docs/privacy.md", "CHANGELOG.md", "template.yaml"):
        text = (tree / document).read_text()
        assert NAME in text or TITLE in text
    assert f"| {NAME} | analytics | nothing is sent |\n\n" in (tree / "docs/privacy.md").read_text()
    assert (tree / f"tests/unit/sandbox/test_sandbox_{NAME}.py").exists()


@pytest.mark.slow
def test_a_new_agent_passes_what_every_agent_must_pass(tree: Path) -> None:
    concerned = ["-n", "2", "tests/unit", "tests/integration"] if IS_WHOLE else CONCERNED
    for linter in LINTERS if IS_WHOLE else []:
        _run(tree, "-m", *linter)
    _run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", *concerned)


@pytest.mark.parametrize(
    "name", ["Example", "1st", "a-b", "a__b", "", "emarsys", "ingest", "faults", "x" * 25, "../up"]
)
def test_a_name_that_is_taken_or_none_starts_nothing(name: str) -> None:
    with pytest.raises(NotStartedError):
        start(name)
