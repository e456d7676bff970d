"""Questions to the person at the terminal; a script answers them on standard input, or by options."""

import sys
from getpass import getpass

import typer

from ops.errors import CommandError


def confirmed(question: str, *, yes: bool) -> None:
    """Goes on only with a yes, by the option or at the terminal.

    Raises:
        CommandError: the answer was no.
    """
    if not yes and not typer.confirm(question, err=True):
        raise CommandError("Nothing was changed.")


def hidden(label: str) -> str:
    """A secret, which the terminal does not show as it is typed.

    Raises:
        Abort: standard input has ended.
    """
    # Unlike Typer's own, this one asks only once the terminal shows nothing any more, and in a pipe warns of nothing.
    if sys.stdin.isatty():
        return getpass(f"{label}: ", sys.stderr).strip()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def typed(label: str, known: str) -> str:
    """A text; what is known already, where nothing is typed."""
    return str(typer.prompt(label, default=known, show_default=bool(known), err=True)).strip()
