"""What happens on the soak's devices: the same seven events on each, of two people."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from local.scenario import PHONE

DEVICES = 500
FIRST, SECOND = "a", "b"
LIFE = [
    ("open", ""),
    ("login", FIRST),
    ("push_token", FIRST),
    ("track", FIRST),
    ("open", FIRST),
    ("logout", FIRST),
    ("login", SECOND),
    ("open", SECOND),
    ("track", SECOND),
    ("push_token", SECOND),
]
"""What happens on every device, in this order; a third of them end with a logout in place of the last."""

LOGIN_OF_SECOND = LIFE.index(("login", SECOND))


@dataclass(frozen=True)
class Sent:
    """One event of the soak: on which device, what it is, who does it, and in which place of the device's life."""

    device: int
    place: int

    @property
    def event_id(self) -> str:
        """The event's id, which also says where it belongs."""
        return f"soak-{self.device:04d}-{self.place}"

    @property
    def kind(self) -> str:
        """The event's type."""
        return "logout" if self.place == len(LIFE) - 1 and self.device % 3 == 0 else LIFE[self.place][0]

    @property
    def person(self) -> str:
        """Who does it: nobody known yet, the first or the second person."""
        who = LIFE[self.place][1]
        return f"{who}-{self.device:04d}" if who else ""

    def body(self, sequence: int) -> dict[str, Any]:
        """The event as an app sends it in a batch."""
        digits = hashlib.sha256(f"device {self.device}".encode()).hexdigest()
        person = {"customerId": self.person} if self.person else {}
        visitor = UUID(digits[:31] + str(int(self.place >= LOGIN_OF_SECOND)))
        return {
            "type": self.kind,
            "eventId": self.event_id,
            "sequence": sequence,
            **person,
            "anonymousId": str(visitor),
            **({"name": "soaked"} if self.kind == "track" else {}),
            "properties": {"soak": self.event_id},
            "device": {**PHONE["device"], "id": f"device-{self.device:04d}", "pushToken": f"token-{self.device:04d}"},
            "ids": {
                "appsflyerId": f"1731923741208-{4410928837465000000 + self.device}",
                "gaAppInstanceId": digits[:32],
                "gaSessionId": "1795166098",
            },
        }
