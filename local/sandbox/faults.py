"""The faults that make an agent fail, and the requests to which each applies."""

import random
from dataclasses import dataclass, field

from local.sandbox.exchange import Json, Request, VendorResponse

_KINDS: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "retryAfter": (int, str),
    "delaySeconds": (int, float),
    "times": (int,),
    "reset": (bool,),
    "body": (str,),
    "headers": (dict,),
    "location": (str,),
    "afterWork": (bool,),
    "match": (str,),
    "chance": (int, float),
}
_NEED_STATUS = ("retryAfter", "body", "headers", "location")


class BadFaultError(ValueError):
    """A fault that contradicts itself; the text says why."""


@dataclass
class Fault:
    """One way to fail, as requested; `left` counts down the requests to which it still applies, None is no end."""

    asked: dict[str, Json]
    left: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Check the fault; raises BadFaultError."""
        _check(self.asked)
        self.left = self.asked.get("times")

    @property
    def delay(self) -> float:
        """Say how many seconds to wait before anything else."""
        return float(self.asked.get("delaySeconds", 0))

    @property
    def after_work(self) -> bool:
        """Whether the work is done before the failure."""
        return bool(self.asked.get("afterWork", False))

    @property
    def reset(self) -> bool:
        """Whether the connection is cut instead of answered."""
        return bool(self.asked.get("reset", False))

    def answer(self) -> VendorResponse | None:
        """Give the failure, or None when the fault is only a delay."""
        if "status" not in self.asked:
            return None
        headers = {str(name).lower(): str(value) for name, value in self.asked.get("headers", {}).items()}
        for name, header in (("retryAfter", "retry-after"), ("location", "location")):
            if name in self.asked:
                headers[header] = str(self.asked[name])
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        return VendorResponse(self.asked["status"], self.asked.get("body", ""), headers)

    def concerns(self, request: Request, drawn: float) -> bool:
        """Whether it applies to a request, for which a number from 0 to 1 was drawn."""
        wanted = self.asked.get("match")
        named = wanted is None or wanted in request.path or wanted in request.body.decode(errors="replace")
        return self.left != 0 and named and drawn < self.asked.get("chance", 1)

    def display(self) -> dict[str, Json]:
        """Give the fault, and how often it still applies."""
        return {**self.asked, "left": self.left}


class Faults:
    """The active faults: for each agent the one, or the list, that was requested last."""

    def __init__(self) -> None:
        """Begin with none; chance is drawn from one seed, so that two runs of the same requests fail alike."""
        self._active: dict[str, list[Fault]] = {}
        self._draw = random.Random(0)  # noqa: S311 - not for secrets

    def put(self, agent: str, asked: Json) -> None:
        """Let an agent fail in the given way, or ways, from now on; raises BadFaultError."""
        several = asked if isinstance(asked, list) else [asked]
        if not several or not all(isinstance(one, dict) for one in several):
            message = "a fault is a JSON object, or a list of them"
            raise BadFaultError(message)
        self._active[agent] = [Fault(one) for one in several]

    def clear(self, agent: str | None = None) -> None:
        """Let one agent, or all of them, work again."""
        for name in [agent] if agent else list(self._active):
            self._active.pop(name, None)

    def take(self, agent: str, request: Request) -> Fault | None:
        """Use up the fault that applies to a request, if there is one."""
        several = self._active.get(agent, [])
        fault = next((one for one in several if one.concerns(request, self._draw.random())), None)
        if fault is not None and fault.left is not None:
            fault.left -= 1
            if not any(one.left != 0 for one in several):
                del self._active[agent]
        return fault

    def display(self) -> dict[str, Json]:
        """Give all active faults by agent."""
        shown = {agent: [fault.display() for fault in several] for agent, several in self._active.items()}
        return {agent: several[0] if len(several) == 1 else several for agent, several in shown.items()}


def _check(asked: dict[str, Json]) -> None:
    problem = ""
    for name, value in asked.items():
        kinds = _KINDS.get(name)
        if kinds is None:
            problem = f"unknown key {name}; known are {', '.join(_KINDS)}"
        elif not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            problem = f"{name} must be of type {' or '.join(kind.__name__ for kind in kinds)}"
    problem = problem or _contradiction(asked)
    if problem:
        raise BadFaultError(problem)


def _contradiction(asked: dict[str, Json]) -> str:
    status = asked.get("status", 0)
    lonely = [name for name in _NEED_STATUS if name in asked and not status]
    rules = {
        "status must be from 200 to 599": "status" in asked and status not in range(200, 600),
        "delaySeconds must not be negative": asked.get("delaySeconds", 0) < 0,
        "times must be at least 1": asked.get("times", 1) < 1,
        "chance must be more than 0 and at most 1": not 0 < asked.get("chance", 1) <= 1,
        "reset and status exclude each other": bool(asked.get("reset")) and "status" in asked,
        f"{', '.join(lonely)} needs a status": bool(lonely),
        "location needs a status from 300 to 399": "location" in asked and status not in range(300, 400),
        "a fault needs status, reset or delaySeconds": not (
            asked.get("reset") or "status" in asked or "delaySeconds" in asked
        ),
    }
    return next((text for text, broken in rules.items() if broken), "")
