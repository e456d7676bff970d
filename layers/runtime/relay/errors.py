"""What can go wrong that is not an agent's answer.

RelayError
├── InvalidEvent        a caller's event has faults: 400 at ingest, parked at an agent
├── Forbidden           the caller may not say this: 403
├── TooLarge            a caller's body is larger than an event may be: 413
├── UnsupportedMedia    a caller's body is sent as something other than JSON: 415
├── IncorrectToken      an identity token that ingest does not believe: 401
├── NotAccepted         an event could not be accepted and is to be sent again: 503
├── Skip                the event has nothing for this agent: settled as skipped
├── SettingsUnavailable an agent's settings cannot be read or do not validate: the delivery is held
│   └── AddressRefused  they lead to an address that nothing may be sent to: held as well, nothing was sent
├── CircuitOpen         the agent is known to be down: the delivery is held, unsent
├── OutOfTime           the function is about to end: nothing was sent, and the delivery is tried again
├── LedgerUnavailable   DynamoDB does not answer: the delivery waits, unsent
├── QueueUnavailable    SQS does not take a message: the delivery stays in its queue
├── CredentialsRefused  a token could not be had for our credentials: read as a CREDENTIALS answer
└── Unreachable         no answer from an agent: connection, TLS or time-out
"""

from typing import NamedTuple

MAX_ERRORS = 25
"""How many faults of one event are named."""


class RelayError(Exception):
    """Anything that session-relay itself raises."""


class FieldError(NamedTuple):
    """One thing wrong with a caller's event: where (JSON Pointer, `#/device/platform`) and what to do about it."""

    pointer: str
    detail: str


class Warned(NamedTuple):
    """One detail of an accepted event that was normalised or left out; `known` is its place in the schema's own names.

    `pointer` may hold names that the caller made up, so it goes to the caller alone; no part holds a value.
    """

    pointer: str
    detail: str
    known: str
    is_within: bool = False
    """Whether the detail is within `known`, under a name that the caller made up."""

    @property
    def kept_detail(self) -> str:
        """The detail as it stands beside `known`, outside the HTTP response."""
        return f"a part of it {self.detail}" if self.is_within else self.detail


class InvalidEvent(RelayError):
    """A caller's event has faults; none of them quotes what the caller sent."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors[:MAX_ERRORS]
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in self.errors))


class Forbidden(RelayError):
    """The caller may not say this."""


class TooLarge(RelayError):
    """A caller's body is larger than an event may be."""


class UnsupportedMedia(RelayError):
    """A caller's body is sent as something other than JSON, or compressed; the text says how to send it."""


class IncorrectToken(RelayError):
    """An identity token proves nothing; the text is DashX's wording, `Incorrect Identity Token: Expired`."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"Incorrect Identity Token: {fault}")


class NotAccepted(RelayError):
    """A sound event could not be accepted: the topic did not take it, or SSM does not answer.

    Sent again with this `event_id` and `sequence` it comes to the place that it has now.
    """

    def __init__(self, reason: str, event_id: str, sequence: int) -> None:
        self.event_id, self.sequence = event_id, sequence
        super().__init__(reason)


class Skip(RelayError):
    """The event has nothing for this agent, or may not be sent to it; the reason is one of a few fixed sentences."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class SettingsUnavailable(RelayError):
    """A record in SSM cannot be read or does not validate; `missing` where there is none of that name."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        self.missing = missing
        super().__init__(reason)


class AddressRefused(SettingsUnavailable):
    """An agent's settings lead to an address that nothing may be sent to; the text never holds the URL."""


class CircuitOpen(RelayError):
    """The agent has failed again and again just now; nothing was sent to it. `down_for` is in seconds."""

    def __init__(self, reason: str, *, down_for: int = 0) -> None:
        self.down_for = down_for
        super().__init__(reason)


class OutOfTime(RelayError):
    """The function is about to end, so that no request could end before it; nothing was sent."""


class LedgerUnavailable(RelayError):
    """DynamoDB does not answer; the text is its error code. `claim` names a claim that may have been written."""

    def __init__(self, reason: str, *, claim: str = "") -> None:
        self.claim = claim
        super().__init__(reason)


class QueueUnavailable(RelayError):
    """SQS does not take a message; the text is its error code."""


class Unreachable(RelayError):
    """An agent gave no answer; the text never holds the URL, which may hold a secret.

    `sent` where the request may have reached the agent all the same: its answer was lost, or came too late.
    """

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        self.sent = sent
        super().__init__(reason)


class CredentialsRefused(RelayError):
    """An agent's token endpoint does not accept our client credentials."""
