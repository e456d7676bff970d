"""What all commands of the operator share: the region, hints that can be pasted, errors, the version, JSON."""

import ast
import json
import re
from pathlib import Path

import pytest

from ops.__main__ import relay
from ops.command import main
from ops.show import Show
from ops.stage import Stage, adopt_region

COMMAND = re.compile(r"\brelay (apps|agents|events|parked|send|status|tail|doctor|forget)\b")


def test_aws_region_alone_names_the_region_and_wins_over_the_default() -> None:
    environment = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    adopt_region(environment)
    assert environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    other = {"AWS_DEFAULT_REGION": "us-east-1"}
    adopt_region(other)
    assert other == {"AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (Stage("prod"), "relay apps rotate shop --stage prod"),
        (Stage("dev", "my-stack"), "relay apps rotate shop --stage dev --stack my-stack"),
        (Stage("a b"), "relay apps rotate shop --stage 'a b'"),
    ],
)
def test_a_hint_carries_the_stage_and_the_stack_that_were_named(stage: Stage, line: str) -> None:
    assert stage.relay("apps", "rotate", "shop") == line


def _texts(path: Path) -> list[str]:
    """The texts of a module that it may print: no docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _has_doc(node)}  # type: ignore[attr-defined]
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]


def _has_doc(node: ast.AST) -> bool:
    return ast.get_docstring(node) is not None  # type: ignore[arg-type]


def test_every_command_that_a_message_recommends_is_built_with_its_stage() -> None:
    modules = [path for path in Path("ops").glob("*.py") if path.name != "reference.py"]
    written = [(path.name, text) for path in modules for text in _texts(path) if COMMAND.search(text)]
    # The title of a picture is none.
    assert written == [("status.py", "relay status")]


def test_a_command_is_recommended_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    command = Stage("prod").relay("parked", "list", "emarsys", "--reason", "x" * 120)
    Show().error(1, "Nothing of that kind is parked.", [command])
    assert capsys.readouterr().err == f"Nothing of that kind is parked.\n    {command}\n"


def test_an_error_under_json_is_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Show(as_json=True).error(3, "AWS does not respond.", ["relay doctor --stage prod"])
    shown = capsys.readouterr()
    error = {"code": 3, "message": "AWS does not respond.", "commands": ["relay doctor --stage prod"]}
    assert (json.loads(shown.out), shown.err) == ({"error": error}, "")


@pytest.mark.parametrize("arguments", [["status", "--nothing"], ["nothing"], ["apps", "rotate"]])
def test_wrong_arguments_end_with_2_and_are_json_under_json(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(relay, [*arguments, "--json"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert (error["code"], bool(error["message"]), shown.err) == (2, True, "")


@pytest.mark.parametrize("arguments", [["--version"], ["-V"]])
def test_the_version_is_the_packages(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(relay, arguments)
    assert re.fullmatch(r"relay \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", [[], ["status"], ["apps"], ["apps", "create"], ["forget"]])
def test_h_is_help_for_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(relay, [*command, "-h"])
    assert "Usage: relay" in capsys.readouterr().out
