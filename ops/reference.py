"""The reference of the command line, made from its help: `python -m ops.reference` writes docs/cli.md."""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from ops.__main__ import relay

HOME = Path(__file__).resolve().parent.parent
DOCUMENT = HOME / "docs/cli.md"
GENERATED = re.compile(r"(?<=<!-- cli: commands -->\n).*?(?=<!-- end -->)", re.DOTALL)

COLUMNS = 120
EVERYWHERE = "Everywhere"
"""The panel of the options that every command has, which are listed once."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, `apps create`, in the order of the help."""
    return _below(typer.main.get_command(relay), "")


def _below(node: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer types no group of its own
    if not hasattr(node, "commands"):
        yield name, node
        return
    for own, command in node.commands.items():
        yield from _below(command, f"{name} {own}".strip())


def written() -> str:
    """The document, with its list of commands as the help has it now."""
    found = list(commands())
    common = [parameter for parameter in found[0][1].params if _is_common(parameter)]
    sections = [_section(name, command) for name, command in found]
    text = "\n".join([*sections, "### Options of every command\n", *_options(common)])
    return GENERATED.sub(lambda _: f"\n{text}\n", DOCUMENT.read_text(encoding="utf-8"))


def _section(name: str, command: Any) -> str:  # noqa: ANN401 - as above
    own = [parameter for parameter in command.params if not _is_common(parameter)]
    arguments = [parameter for parameter in own if not _flags(parameter)]
    usage = " ".join(["relay", name, *(_operand(argument) for argument in arguments)])
    lines = [f"### relay {name}\n", f"`{usage}`\n", f"{textwrap.fill(_sentence(command.help), COLUMNS)}\n"]
    return "\n".join([*lines, *(_options(own) if own else [])])


def _options(parameters: list[Any]) -> list[str]:
    rows = [f"| {_name(parameter)} | {_meaning(parameter)} |" for parameter in parameters]
    return ["| argument or option | what it is |", "|---|---|", *rows, ""]


def _is_common(parameter: Any) -> bool:  # noqa: ANN401 - as above
    return getattr(parameter, "rich_help_panel", None) == EVERYWHERE


def _flags(parameter: Any) -> list[str]:  # noqa: ANN401 - as above
    return [name for name in parameter.opts if name.startswith("-")]


def _operand(argument: Any) -> str:  # noqa: ANN401 - as above
    name = str(argument.metavar or argument.name.upper()).strip("[]")
    many = "…" if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}]{many}"


def _name(parameter: Any) -> str:  # noqa: ANN401 - as above
    flags = _flags(parameter)
    if not flags:
        return f"`{_operand(parameter)}`"
    value = "" if parameter.is_flag else f" {_value(parameter)}"
    return ", ".join(f"`{flag}{value}`" for flag in flags)


def _value(parameter: Any) -> str:  # noqa: ANN401 - as above
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "/".join(map(str, get_args(annotation)))
    return str(parameter.metavar or parameter.name.strip("_").upper())


def _meaning(parameter: Any) -> str:  # noqa: ANN401 - as above
    facts = [
        *(["may be repeated"] if getattr(parameter, "multiple", False) else []),
        *([f"`{parameter.envvar}`"] if getattr(parameter, "envvar", None) else []),
        *([f"default `{parameter.default}`"] if parameter.default else []),
    ]
    return f"{_sentence(parameter.help)} ({'; '.join(facts)})" if facts else _sentence(parameter.help)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(written(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.relative_to(HOME)}: {len(list(commands()))} commands\n")
