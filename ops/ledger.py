"""`relay ledger`: the keys that digest and seal what the ledger keeps of people."""

from typing import Annotated

import typer

from ops.command import command, group
from ops.errors import CommandError
from ops.prompts import confirm
from ops.show import Show
from ops.stage import Stage
from relay.errors import SettingsUnavailable
from relay.ledger.keys import LedgerKeys, LedgerKeysRecord, make_key

commands = group("The ledger's keys.")

PARAMETER = "ledger-keys"


@command(commands, "rotate")
def rotate(
    stage: Stage,
    show: Show,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Makes a new key the current one, and keeps the one before; the one before that ends.

    What only the ended key opens is unknown from then on. Rotate again after 25 days at the earliest.
    """
    record = _stored(stage)
    if record and len(record.keys) > 1:
        confirm("The previous key ends: rows that only it opens count as unknown. Rotate?", yes=yes)
    kept = [record.keys[0].get_secret_value()] if record else []
    name = stage.store({"keys": [make_key(), *kept]}, PARAMETER)
    show.done(
        {"parameter": name, "keys": 1 + len(kept)},
        f"Stored as {name}: a new key{' and the one before' if kept else ''}. Functions use it within five minutes.",
    )


def keys(stage: Stage) -> LedgerKeys:
    """The stage's keys, for the ledger as an operator reads it.

    Raises:
        SettingsUnavailable: there are none yet.
    """
    known = keys_or_none(stage)
    if known is None:
        raise SettingsUnavailable(f"{stage.path(PARAMETER)} does not exist", missing=True)
    return known


def keys_or_none(stage: Stage) -> LedgerKeys | None:
    """The stage's keys; None before the first function has made them."""
    record = _stored(stage)
    return LedgerKeys(record) if record else None


def _stored(stage: Stage) -> LedgerKeysRecord | None:
    text = stage.read(PARAMETER)
    if text is None:
        return None
    try:
        return LedgerKeysRecord.model_validate_json(text)
    except ValueError:
        raise CommandError(f"{stage.path(PARAMETER)} does not validate, so nothing was changed.") from None
