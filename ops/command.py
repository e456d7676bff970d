"""How a command is declared: the options that all commands share, and how an error ends one."""

import inspect
import os
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import FAILED, INTERRUPTED, NO_AWS, USAGE, CommandError, sentence
from ops.show import Show
from ops.stage import Stage, adopt_region
from relay import __version__
from relay.errors import RelayError

EPILOG = (
    "Exit codes: 0 fine; 1 something is wrong, or the command failed; 2 wrong arguments; "
    "3 AWS or the API cannot be reached, or refuses; 130 interrupted."
)

_COMMON = {
    "_stage": Annotated[
        str,
        typer.Option("--stage", envvar="RELAY_STAGE", help="The deployment's stage.", rich_help_panel="Everywhere"),
    ],
    "_stack": Annotated[
        str | None,
        typer.Option(
            "--stack",
            envvar="RELAY_STACK",
            help="The stack, if its name is neither session-relay-STAGE nor session-relay.",
            rich_help_panel="Everywhere",
        ),
    ],
    "_json": Annotated[bool, typer.Option("--json", help="Print JSON, errors included.", rich_help_panel="Everywhere")],
}
_DEFAULTS = {"_stage": "prod", "_stack": None, "_json": False}

Function = Callable[..., None]


def group(summary: str) -> typer.Typer:
    """Makes a set of commands; its help explains the exit codes."""
    return typer.Typer(
        help=summary,
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def command(commands: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Adds a command whose function takes the stage and the output, then its own arguments and options.

    The command also takes `--stage`, `--stack` and `--json`. An error ends it with one sentence and an exit code.
    """

    def add(function: Function) -> Function:
        @wraps(function)
        def run(**values: Any) -> None:  # noqa: ANN401 - whatever the command declares
            show = Show(values.pop("_json"))
            adopt_region(os.environ)
            stage = Stage(values.pop("_stage"), values.pop("_stack"))
            try:
                function(stage, show, **values)
            except (typer.Exit, BrokenPipeError):
                raise
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a traceback helps no operator
                end(show, *_explained(error))

        own = list(inspect.signature(function).parameters.values())[2:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[key], annotation=annotation)
            for key, annotation in _COMMON.items()
        ]
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature([*keywords, *common])  # type: ignore[attr-defined]
        commands.command(name, epilog=EPILOG)(run)
        return function

    return add


def _explained(error: BaseException) -> tuple[int, str, Sequence[str]]:
    """The exit code, the sentence and the commands for an error."""
    match error:
        case CommandError():
            return error.code, str(error), error.commands
        case BotoCoreError() | ClientError():
            return NO_AWS, sentence(error), ()
        case RelayError():
            return FAILED, str(error), ()
        case typer.Abort():
            return FAILED, "Standard input ended before all questions had an answer; nothing was changed.", ()
        case KeyboardInterrupt():
            return INTERRUPTED, "Interrupted.", ()
        case _:
            return FAILED, f"relay has a bug; please report it: {_place(error)}.", ()


def _place(bug: BaseException) -> str:
    """The kind and place of an exception, without its text, which may quote a secret."""
    last = traceback.extract_tb(bug.__traceback__)[-1]
    return f"{type(bug).__name__} at {Path(last.filename).name}:{last.lineno}"


def end(show: Show, code: int, message: str, commands: Sequence[str] = ()) -> NoReturn:
    """Ends the command with an error on standard error; under `--json` with a document on standard output."""
    show.error(code, message, commands)
    raise typer.Exit(code) from None


def _print_version(value: bool) -> None:  # noqa: FBT001 - Typer's callback
    if value:
        typer.echo(f"relay {__version__}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Takes the options that stand before the command."""


def main(commands: typer.Typer, arguments: Sequence[str]) -> int:
    """Runs a command line and returns its exit code; under `--json` wrong arguments are reported as JSON, too."""
    commands.callback()(_root)
    show = Show(as_json="--json" in arguments)
    try:
        return int(commands(list(arguments), prog_name="relay", standalone_mode=not show.as_json) or 0)
    except typer.Abort:
        show.error(FAILED, "Aborted.")
        return FAILED
    except typer.TyperException as error:
        show.error(USAGE, error.format_message())
        return USAGE
