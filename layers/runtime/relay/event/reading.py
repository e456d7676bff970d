"""Reads a caller's JSON text as an event: strictly where it can be, else liberally and with warnings."""

from typing import NamedTuple

from relay.errors import FieldError, InvalidEvent, Warned
from relay.event.faults import NOT_AN_OBJECT, NOT_JSON, ROOT, TOO_DEEP
from relay.event.model import Event, EventInput, EventType


class Reading(NamedTuple):
    """What a caller's text says, and which of its details were normalised or left out."""

    call: EventInput
    warnings: tuple[Warned, ...] = ()
    device_unusable: bool = False
    """The caller named a device, in a form that names none."""

    def mark(self, event: Event) -> Event:
        """The event that was stamped of it, with its warnings."""
        if not self.warnings:
            return event
        return event.model_copy(update={"warnings": self.warnings, "device_unusable": self.device_unusable})


class Terms(NamedTuple):
    """How a caller's text is read: strictly if it prefers so; national phone numbers are those of the app's region."""

    strict: bool = False
    region: str | None = None


def _of_root(invalid: InvalidEvent) -> list[FieldError]:
    return [fault for fault in invalid.errors if fault.pointer == ROOT]


def read_event(text: str | bytes, event_type: EventType, terms: Terms = Terms()) -> Reading:  # noqa: B008 - a constant
    """The event that a JSON text is.

    Raises:
        InvalidEvent: it is none, lacks what its type requires, or has a wrong detail where the terms are strict.
    """
    try:
        return Reading(EventInput.parse(text, event_type))
    except InvalidEvent as invalid:
        # A pointer that would be too long is its ancestor's: that it is the root says nothing.
        if terms.strict or any(fault.detail in (NOT_AN_OBJECT, NOT_JSON, TOO_DEEP) for fault in _of_root(invalid)):
            raise
    # Most events are right: what reads the others is loaded with the first of them.
    from relay.event.lenient import read  # noqa: PLC0415

    return read(text, event_type, terms)
