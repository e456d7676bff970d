"""How a command is declared: what all of them have in common, and what becomes of their errors."""

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import INTERRUPTED, NO_AWS, WRONG, CommandError, sentence
from ops.show import Show
from ops.stage import Stage
from relay.errors import RelayError

EPILOG = (
    "Exit codes: 0 fine; 1 something is wrong, or not as asked; 2 the command was called wrongly; "
    "3 AWS cannot be reached or does not allow it; 130 interrupted."
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
            help="The stack, if it is named neither session-relay-STAGE nor session-relay.",
            rich_help_panel="Everywhere",
        ),
    ],
    "_json": Annotated[bool, typer.Option("--json", help="Answer with JSON.", rich_help_panel="Everywhere")],
}
_DEFAULTS = {"_stage": "prod", "_stack": None, "_json": False}

Function = Callable[..., None]


def group(summary: str) -> typer.Typer:
    """A set of commands; its help says what the exit codes mean."""
    return typer.Typer(
        help=summary,
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def command(commands: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Adds a command whose function takes the stage and where to show, then its own arguments and options.

    `--stage`, `--stack` and `--json` come with it; an error ends it with one sentence and an exit code.
    """

    def add(function: Function) -> Function:
        @wraps(function)
        def run(**given: Any) -> None:  # noqa: ANN401 - whatever the command declares
            show = Show(given.pop("_json"))
            stage = Stage(given.pop("_stage"), given.pop("_stack"))
            try:
                function(stage, show, **given)
            except CommandError as wrong:
                _end(show, str(wrong), wrong.code)
            except (BotoCoreError, ClientError) as fault:
                _end(show, sentence(fault), NO_AWS)
            except RelayError as fault:
                _end(show, str(fault), WRONG)
            except typer.Abort:
                _end(show, "Nobody answered, so nothing was done: give what was asked for as an option.", WRONG)
            except KeyboardInterrupt:
                _end(show, "Interrupted.", INTERRUPTED)
            except (typer.Exit, BrokenPipeError):
                raise
            except Exception as bug:  # noqa: BLE001 - nobody at a terminal is helped by a traceback
                _end(show, f"relay has a fault of its own, which should be reported: {_place(bug)}.", WRONG)

        own = list(inspect.signature(function).parameters.values())[2:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[key], annotation=annotation)
            for key, annotation in _COMMON.items()
        ]
        named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        run.__signature__ = inspect.Signature([*named, *common])  # type: ignore[attr-defined]
        commands.command(name, epilog=EPILOG)(run)
        return function

    return add


def _place(bug: Exception) -> str:
    """The kind and place of an exception, without its text, which may quote a secret."""
    last = traceback.extract_tb(bug.__traceback__)[-1]
    return f"{type(bug).__name__} at {Path(last.filename).name}:{last.lineno}"


def _end(show: Show, text: str, code: int) -> NoReturn:
    show.say(text, style="red")
    raise typer.Exit(code) from None
