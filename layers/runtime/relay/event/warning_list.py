"""The warnings of one event: which details were normalised, which were left out, and why."""

from relay.errors import FieldError, Warned
from relay.event.faults import to_pointer
from relay.event.model import EventInput
from relay.event.names import Path, known_part

MAX_WARNINGS = 25
"""How many details of one event are named, as with errors."""


class WarningList:
    """Warnings in the order of the fields; `sent` is a detail's place for the caller, `kept` in the schema's names."""

    def __init__(self) -> None:
        self._all: list[Warned] = []
        self.reasons: dict[str, FieldError] = {}
        """Why a field is not in the event, by its pointer in the schema's names."""

    def normalised(self, sent: Path, kept: Path, sentence: str) -> None:
        """Names a detail that has another form now."""
        self.add(sent, kept, f"was normalised: {sentence}")

    def left_out(self, sent: Path, kept: Path, sentence: str) -> None:
        """Names a detail that is not in the event."""
        pointer = to_pointer(sent)
        # How it was spelt does not matter any more.
        self._all = [warned for warned in self._all if warned.pointer != pointer]
        self.add(sent, kept, f"was left out: {sentence}")
        self.reasons.setdefault(to_pointer(kept), FieldError(pointer, sentence))

    def add(self, sent: Path, kept: Path, detail: str) -> Warned:
        """Names a detail in these words, which hold no value."""
        known = known_part(EventInput, kept)
        warned = Warned(to_pointer(sent), detail, to_pointer(known), is_within=known != kept)
        self._all.append(warned)
        return warned

    def first(self) -> tuple[Warned, ...]:
        """As many as are kept."""
        return tuple(self._all[:MAX_WARNINGS])
