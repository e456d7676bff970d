"""Threads that are kept for the life of the function."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_parallel(kind: str, workers: int, function: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """A function's result for each item, by so many threads; all have ended before the error of one is raised."""
    if len(items) < 2:  # noqa: PLR2004 - one needs no thread
        return [function(item) for item in items]
    futures = [_threads(kind, workers).submit(function, item) for item in items]
    wait(futures)
    return [future.result() for future in futures]


@cache
def _threads(kind: str, workers: int) -> ThreadPoolExecutor:
    # To start sixteen threads costs what delivering to two agents does.
    return ThreadPoolExecutor(workers, kind)
