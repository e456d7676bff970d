"""`make agent NAME=example`: starts an agent, with all that belongs to it, from the page on adding one."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path("docs/adding-an-agent.md")
FOLDERS = Path("functions/agents")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 24
"""The names of an agent's queues and functions are made of it, and of the stack's."""

EXAMPLE = re.compile(r"(?<!\w)example(?!-only|\.com)|Example")
"""The agent of the page where it is named, in one of its two forms; `example.com` is a host."""


class NotStartedError(Exception):
    """The agent cannot be started; nothing was written."""


def main() -> int:
    """Starts the agent that the command line names; 1 if that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m local.new_agent", description=__doc__)
    parser.add_argument("name", help="lower-case letters, digits and _; the folder's name")
    name = parser.parse_args().name
    try:
        written = start(name)
    except NotStartedError as fault:
        print(fault, file=sys.stderr)
        return 1
    print(f"{name} is started. Make it yours, in this order:", *(f"  {path}" for path in written), sep="\n")
    print("Then: make check")
    return 0


def start(name: str) -> list[Path]:
    """Writes an agent's files and its entries in those of all agents; the paths, the agent's own first.

    Raises:
        NotStartedError: the name is none, or is taken.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise NotStartedError(f"{name} is no name: lower-case letters, digits and _, {LONGEST_NAME} at most.")
    taken = [*FOLDERS.glob("*"), *Path("local/sandbox").glob("*.py"), *Path("functions").glob("*")]
    if name in {path.stem for path in taken} or name == "relay":
        raise NotStartedError(f"{name} is taken.")
    page = PAGE.read_text(encoding="utf-8")
    files = {_named(path, name): _named(_block(page, f"`{path}`"), name) for path in _own_files()}
    changed = {Path(path): text for path, text in _entries(page, name).items()}
    for path, text in [*((Path(path), text) for path, text in files.items()), *changed.items()]:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    python = [path for path in [*files, *map(str, changed)] if path.endswith(".py")]
    _run("ruff", "check", "--quiet", "--fix", "--select", "I", *python)
    _run("ruff", "format", "--quiet", *python)
    _run("tests.unit.agents.test_privacy_table")
    return [*map(Path, files), *changed]


def _own_files() -> list[str]:
    folder, sandbox = FOLDERS / "example", "local/sandbox/example.py"
    own = [str(folder / file) for file in ("app.py", "contract.json", "README.md")]
    return [*own, sandbox, "tests/unit/sandbox/test_sandbox_example.py"]


ROWS = re.compile(r"(?:^\| \[\w+\]\([./]*functions/agents/.*\n)+", re.MULTILINE)
PURPOSES = re.compile(r"(?:^\| \w+ \| (?:advertising|analytics|messaging|by its settings) \| .+ \|\n)+", re.MULTILINE)
ADDED = re.compile(r"## \[Unreleased\]\n\n### Added\n\n")
MAPPINGS = re.compile(r"(?=\nGlobals:\n)")
NAMES = re.compile(r"^OPTIONAL = \{[^}]*?(?=,?\s*\}$)", re.MULTILINE)
SETTINGS = re.compile(r"^def optional_agents.*?\n    return \{\n", re.MULTILINE | re.DOTALL)
IMPORTS = re.compile(r"^from local\.sandbox\.\w+ import \w+\n(?=\nAGENTS)", re.MULTILINE)
PLAYERS = re.compile(r"^OPTIONAL = \([^)]*?(?=,?\s*\)$)", re.MULTILINE)
"""The places of an agent in the files that speak of all; its entry goes right behind a match."""


def _entries(page: str, name: str) -> dict[str, str]:
    """The files that speak of all agents, each with an entry for this one."""

    def shown(place: str) -> str:
        return _named(_block(page, place), name)

    title = _title(name)
    entry = f"\n    # Not deployed unless EnabledAgents names it.\n{shown('`template.yaml`')}"
    imported = f"from local.sandbox.{name} import {title}\n"
    additions = {
        "template.yaml": [(MAPPINGS, entry)],
        "local/settings.py": [(NAMES, f', "{title}": "{name}"'), (SETTINGS, shown("`local/settings.py`"))],
        "local/sandbox/server.py": [(IMPORTS, imported), (PLAYERS, f", {title}")],
        "README.md": [(ROWS, shown("A row in the README's"))],
        "docs/concepts.md": [(ROWS, shown("One in [Concepts]"))],
        "docs/privacy.md": [(PURPOSES, f"| {name} | analytics | nothing is sent |\n")],
        "CHANGELOG.md": [(ADDED, f"- **{title}.** A new agent, not enabled by default.\n")],
    }
    return {path: _with_entries(path, wanted) for path, wanted in additions.items()}


def _with_entries(path: str, additions: list[tuple[re.Pattern[str], str]]) -> str:
    """The text of a file with each addition right behind the first match of its pattern."""
    text = Path(path).read_text(encoding="utf-8")
    for pattern, addition in additions:
        found = pattern.search(text)
        if found is None:
            raise NotStartedError(f"{path} has no place for an agent: {pattern.pattern} is not there.")
        text = text[: found.end()] + addition + text[found.end() :]
    return text


def _block(page: str, place: str) -> str:
    """The first code block of the page behind a place in its text."""
    found = re.search(r"^```\w+\n(.*?)^```$", page.partition(place)[2], re.MULTILINE | re.DOTALL)
    if found is None:
        raise NotStartedError(f"{PAGE} shows nothing behind {place}.")
    return found[1]


def _named(text: str, name: str) -> str:
    """A text of the page with the agent's name in place of the example's; `test_sandbox_example` has it, too."""
    text = EXAMPLE.sub(lambda found: _title(name) if found[0] == "Example" else name, text)
    return text.replace("test_sandbox_example", f"test_sandbox_{name}")


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
