"""An agent as a value: what the runtime must know of one external system, and the requests that an event makes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.agent import verdict
from relay.agent.auth import Attempt
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict
from relay.event.contact import Contact
from relay.event.model import Event, Purpose

S = TypeVar("S", bound=BaseModel)


class RequestStatus(NamedTuple):
    """What a vendor says later of a request that it took: whether that is its last word, and events by fault's code."""

    is_final: bool
    events: int = 0
    faults: Mapping[str, int] = MappingProxyType({})


class StatusQuestion(NamedTuple):
    """How a vendor that takes a request now and works on it later is asked what became of it.

    `build` makes the request for the status, of the reference that a verdict named and the agent's settings; `read`
    gives None where the response does not say.
    """

    build: Callable[[str, Any], Request]
    read: Callable[[Response], RequestStatus | None]


class BatchSpec(NamedTuple):
    """How one request sends many events: at most so many, their requests joined, and the response read.

    `classify` gets the response and how many events the request holds. Only requests of one URL and with the same
    headers are joined. `status` where the vendor can be asked later what became of a request.
    """

    max_events: int
    merge: Callable[[Sequence[Request]], Request]
    classify: Callable[[Response, int], Verdict]
    status: StatusQuestion | None = None


@dataclass(frozen=True, slots=True)
class Agent(Generic[S]):
    """All that the runtime must know of one external system.

    `max_age` is how old an event the agent accepts, counted from when it happened; `authorize` adds to a request what
    cannot be built from the event alone, such as a signature over the time of sending. `ordered` where the agent keeps
    state per device, so that an older event must not follow a newer one; `repeatable` where sending the same event
    twice does no lasting harm, so that a delivery in doubt is sent again. `batching` where one request can hold many
    events; `count_withheld` counts the properties of an event that are personal data among those that the settings let
    through. `remarks` names, in fixed sentences without values, what the requests fill in, cut or leave out; it is
    called only where `build_requests` gives requests. `may_be_ordered` where the template decides by the type of the
    queue whether the agent is ordered; `purpose_of` where the settings name the purpose, and `purpose` is None.

    `build_release` builds the requests after which the agent links no person to the event's device; none where the
    agent is not meant for the device's app. `contact` where the agent knows persons and push tokens, not devices: the
    contact that an event makes there. The ledger then keeps a device's contacts, `build_release` is given those that
    must end, and a logout ends the pushes of the person whom it names and of nobody else.
    """

    name: str
    purpose: Purpose | None
    settings: type[S]
    build_requests: Callable[[Event, S], list[Request]]
    classify: Callable[[Response], Verdict] = verdict.by_status
    authorize: Callable[[Request, S, Attempt], Request] | None = None
    max_age: timedelta | None = None
    ordered: bool = False
    repeatable: bool = True
    batching: BatchSpec | None = None
    count_withheld: Callable[[Event, S], int] | None = None
    may_be_ordered: bool = False
    purpose_of: Callable[[S], Purpose] | None = None
    remarks: Callable[[Event, S], tuple[str, ...]] | None = None
    build_release: Callable[[Event, S, Sequence[Contact]], list[Request]] | None = None
    contact: Callable[[Event], Contact | None] | None = None

    def __post_init__(self) -> None:
        """Checks what the runtime relies on.

        Raises:
            ValueError: it has no purpose or two; an ordered agent is not repeatable, is sent many events at once, or
                cannot release a device.
        """
        if (self.purpose is None) == (self.purpose_of is None):
            raise ValueError("an agent has a purpose, or its settings name one")
        ordered = self.ordered or self.may_be_ordered
        if ordered and (self.batching or not self.repeatable):
            raise ValueError("an ordered agent is sent one event at a time, and again when in doubt")
        if ordered and not self.build_release:
            raise ValueError("an ordered agent can release a device")
