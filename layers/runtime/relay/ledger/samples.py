"""One request of an agent at a time whose status is asked later, and whose turn it is to ask."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from relay.ledger import rows
from relay.ledger.rows import Row, number, string

ASK_SECONDS = 1_800
"""The first question comes half an hour after the request, and no two come sooner: 48 a day at most."""

MAX_ASK_SECONDS = 3_600
LAPSE_SECONDS = 86_400
"""After a day without a last word a sample is given up. Source: Data Manager API, diagnostics (2026)."""

_GROWTH = 1.3


class Sample(NamedTuple):
    """A request that an agent took: the vendor's id of it, and the scope of the settings that sent it.

    `taken` is when it was sent, `due` when its status may be asked next (epoch seconds); `wait` the pause before that.
    """

    reference: str
    scope: str
    taken: int
    due: int
    wait: int

    @property
    def is_over(self) -> bool:
        """Whether it is given up at its next question."""
        return self.due - self.taken >= LAPSE_SECONDS


class Samples:
    """The row of an agent's sample; it holds nothing of a person, and no function waits for another because of it."""

    def __init__(self, table: str, agent: str, now: Callable[[], datetime]) -> None:
        self.table, self.agent, self.now = table, agent, now

    def due(self, scope: str, reference: str) -> Sample | None:
        """The sample to ask for now, which no other function asks for; None where there is none.

        Where there is no sample, or one of settings that have sent nothing for a day, the request of this reference
        becomes it.

        Raises:
            LedgerUnavailable: it is not known.
        """
        now = int(self.now().timestamp())
        known = _sample(rows.get(self.table, self._key))
        if known is None or (known.scope != scope and now - known.due > LAPSE_SECONDS):
            self._replace(known, _new(reference, scope, now))
            return None
        if known.scope != scope or now < known.due:
            return None
        wait = min(MAX_ASK_SECONDS, int(known.wait * _GROWTH))
        claimed = known._replace(due=now + wait, wait=wait)
        return claimed if self._replace(known, claimed) else None

    def follow(self, asked: Sample, reference: str) -> None:
        """Puts the request of this reference in the place of a sample whose last word is known.

        Raises:
            LedgerUnavailable: it may not have been put there.
        """
        self._replace(asked, _new(reference, asked.scope, int(self.now().timestamp())))

    @property
    def _key(self) -> Row:
        # An event's partition has its app before the sign, and no app has an empty id.
        return {"event": string("#sample"), "agent": string(self.agent)}

    def _replace(self, known: Sample | None, sample: Sample) -> bool:
        """Whether the sample was written: another function may have been first."""
        values = {
            "reference": string(sample.reference),
            "scope": string(sample.scope),
            "taken": number(sample.taken),
            "due": number(sample.due),
            "wait": number(sample.wait),
            "expires": number(sample.due + 2 * LAPSE_SECONDS),
        }
        condition = "attribute_not_exists(#due)" if known is None else "#due = :known"
        changed = rows.update(
            self.table,
            Key=self._key,
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={
                **{f":{name}": value for name, value in values.items()},
                **({} if known is None else {":known": number(known.due)}),
            },
        )
        return changed is not None


def _new(reference: str, scope: str, now: int) -> Sample:
    return Sample(reference, scope, now, now + ASK_SECONDS, ASK_SECONDS)


def _sample(row: Row) -> Sample | None:
    """The sample of a row; None for a row that is not there."""
    if not row:
        return None
    taken, due, wait = (int(row[name]["N"]) for name in ("taken", "due", "wait"))
    return Sample(row["reference"]["S"], row["scope"]["S"], taken, due, wait)
