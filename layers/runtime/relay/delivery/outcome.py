"""The outcome of one look at a delivery."""

from datetime import datetime
from typing import NamedTuple

from relay.ledger.states import DeliveryState

MAX_REASON = 250
"""Characters of a reason that are kept."""


class Outcome(NamedTuple):
    """What has become of a delivery: settled, or to be looked at again in `wait` seconds.

    `attempts` were made so far and `done` of its requests need not be sent again; both are None where the ledger was
    not asked. `refused` is True if the agent refused the credentials; `status` is the last HTTP status; `withheld`
    counts the properties that are personal data; `remarks` name what the requests fill in, cut or leave out. `in_doubt`
    is True if it is not known whether the agent has the request; `failing_since` (epoch seconds) is the first of the
    failures in a row. `released` is True if the agent links nobody to the device any more; `late_by` is how many
    milliseconds older than the newest a superseded event is.
    """

    state: DeliveryState
    reason: str = ""
    wait: int | None = None
    attempts: int | None = None
    done: int | None = None
    status: int | None = None
    withheld: int = 0
    remarks: tuple[str, ...] = ()
    refused: bool = False
    in_doubt: bool = False
    failing_since: int = 0
    released: bool = False
    late_by: int | None = None

    def attributes(self, now: datetime) -> dict[str, str | int]:
        """What the ledger keeps of it; times in epoch milliseconds."""
        values = {
            "reason": self.reason[:MAX_REASON],
            "attempts": self.attempts,
            "done": self.done,
            "at": int(now.timestamp() * 1000),
            "status": self.status,
            # When a held delivery is looked at again is not its next attempt.
            "wait": None if self.state is DeliveryState.HELD else self.wait,
            "failing": self._failing(),
            "withheld": self.withheld or None,
            "remarks": "\n".join(self.remarks) or None,
            "released": int(self.released) or None,
            "late": self.late_by,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _failing(self) -> int | None:
        """The first of the failures in a row; a hold ends the row of failures, and writes 0 over it."""
        if not self.failing_since:
            return None
        return {DeliveryState.RETRYING: self.failing_since, DeliveryState.HELD: 0}.get(self.state)
