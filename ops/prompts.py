"""Questions at the terminal; a script responds on standard input, or gives options instead."""

import sys
from getpass import getpass

import typer

from ops.errors import CommandError


def confirm(question: str, *, yes: bool) -> None:
    """Returns if the option `--yes` was given or the answer is yes.

    Raises:
        CommandError: the answer was no.
    """
    if not yes and not typer.confirm(question, err=True):
        raise CommandError("Nothing was changed.")


def ask_secret(label: str) -> str:
    """Asks for a secret, which the terminal does not show.

    Raises:
        Abort: standard input has ended.
    """
    # Unlike Typer's own, this prompts after the terminal's echo is off, and prints no warning in a pipe.
    if sys.stdin.isatty():
        return getpass(f"{label}: ", sys.stderr).strip()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def ask(label: str, default: str) -> str:
    """Asks for a text; returns the default if nothing is typed."""
    return str(typer.prompt(label, default=default, show_default=bool(default), err=True)).strip()
