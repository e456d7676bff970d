"""The clock of a simulated month, in the place of every clock that the runtime reads."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base as breaker_state
from aws_lambda_powertools.utilities.circuit_breaker.persistence import base as breaker_store
from aws_lambda_powertools.utilities.circuit_breaker.persistence import dynamodb as breaker_table

from relay.aws import clients, parameters
from relay.delivery import batch, breaker, circuit, refused
from relay.ledger import rows

START = datetime(2026, 11, 1, tzinfo=UTC)
In = TypeVar("In")
Out = TypeVar("Out")


class Clock:
    """The time of everything; it moves only when it is moved."""

    def __init__(self) -> None:
        self.now = START

    def pass_(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)

    def time(self) -> float:
        """Seconds since the epoch; the monotonic clock as well."""
        return self.now.timestamp()

    def read(self) -> datetime:
        """The time."""
        return self.now


def _one_by_one(_kind: str, _workers: int, function: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    # Threads would take their turns differently each time.
    return [function(item) for item in items]


@contextmanager
def simulated(clock: Clock, dynamodb: object, sqs: object, ssm: object) -> Iterator[None]:
    """The runtime by this clock and these clients, in one thread, without a log."""
    clocks: dict[Any, tuple[str, ...]] = {
        circuit: ("time", "monotonic"),
        breaker: ("time",),
        refused: ("monotonic",),
        parameters: ("monotonic",),
    }
    logging.disable(logging.CRITICAL)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for module, names in clocks.items():
                for name in names:
                    patch.setattr(module, name, clock.time)
            for module in (breaker_state, breaker_store, breaker_table):
                patch.setattr(module, "dt", SimpleNamespace(datetime=SimpleNamespace(now=clock.read)))
            patch.setattr(rows, "time", SimpleNamespace(sleep=clock.pass_))
            patch.setattr(batch, "in_parallel", _one_by_one)
            patch.setattr(breaker, "emit_metric", lambda *_, **__: None)
            patch.setattr(clients, "dynamodb", lambda: dynamodb)
            patch.setattr(clients, "sqs", lambda: sqs)
            patch.setattr(clients, "ssm", lambda: ssm)
            forget()
            yield
            forget()
    finally:
        logging.disable(logging.NOTSET)


def forget(agent: str = "") -> None:
    """Makes an agent's function as cold as a new instance; every function unless one is named."""
    breaker._guarded.cache_clear()  # noqa: SLF001 - and the stores in it, with their caches
    remembered: tuple[Any, ...] = (
        breaker_state._LOCAL_FAILURES,  # noqa: SLF001
        breaker_state._LOCAL_SUCCESSES,  # noqa: SLF001
        breaker_state._LAST_OBSERVED_STATE,  # noqa: SLF001
        circuit._failing,  # noqa: SLF001
        circuit._healthy_until,  # noqa: SLF001
        refused._refused,  # noqa: SLF001
        parameters._last_good,  # noqa: SLF001
    )
    for known in remembered:
        for name in [name for name in known if name.startswith(agent)]:
            known.remove(name) if isinstance(known, set) else known.pop(name)
