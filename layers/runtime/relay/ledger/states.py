"""The states of a delivery, as receipts, metrics and the log name them; the values stand in stored rows."""

from enum import StrEnum


class DeliveryState(StrEnum):
    """What has become of one event at one agent.

    A row of the ledger holds one of the first eight. The others are a worker's own: `PENDING` before the attempt,
    `REPEATED` where the delivery was settled before, `BUSY` where another worker has it, `WAITING` where the ledger did
    not answer before the attempt, `UNSETTLED` where it did not take the outcome.
    """

    SENDING = "sending"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    PARKED = "parked"
    RETRYING = "retrying"
    HELD = "held"

    PENDING = "pending"
    REPEATED = "repeated"
    BUSY = "busy"
    WAITING = "waiting"
    UNSETTLED = "unsettled"


SENT = frozenset({DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED})
"""The agent has the request, as far as can be known."""

NOT_REDRIVABLE = SENT | {DeliveryState.SKIPPED, DeliveryState.EXPIRED}
"""Nothing more is sent, whatever arrives. A parked delivery is sent again: its message can only come from a redrive."""

TERMINAL = NOT_REDRIVABLE | {DeliveryState.PARKED}
"""The delivery has ended."""
