"""Batches by one function's handler in a process of its own: `python -m bench.batch FUNCTION SIZE BATCHES`.

The environment is the function's. Says on standard error, in one JSON line, the seconds by the clock and of the
processor for each batch. Standard output is what the function logs.
"""

import json
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from bench import invocations, samples
from bench.first_invocation import Context


def main(function: str, size: int, batches: int) -> dict[str, object]:
    """Invokes an agent's function with a batch, or ingest with one call, to warm up, and then so many times more."""
    folder = "functions.agents" if function in samples.AGENTS else "functions"
    handler = import_module(f"{folder}.{function}.app").handler
    taken = []
    for number in range(batches + 1):
        event = _batch(function, number, size) if function in samples.AGENTS else samples.proxied(samples.LOGIN)
        began, busy = time.perf_counter(), time.process_time()
        answer = handler(event, Context())
        taken.append((time.perf_counter() - began, time.process_time() - busy))
        if not invocations.worked(function, answer):
            raise AssertionError(answer)
    return {"clock": [clock for clock, _ in taken[1:]], "processor": [busy for _, busy in taken[1:]]}


def _batch(agent: str, number: int, size: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    messages = [samples.message(number=number * size + at, received_at=now.isoformat()) for at in range(size)]
    return samples.records(agent, messages, int(now.timestamp() * 1000))


if __name__ == "__main__":
    sys.stderr.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))) + "\n")
