"""Batches by one agent's handler in a process of its own: `python -m bench.batch AGENT SIZE BATCHES`.

The environment is the function's. Says on standard error, in one JSON line, the seconds by the clock and of the
processor for each batch. Standard output is what the function logs.
"""

import json
import sys
import time
from datetime import UTC, datetime
from importlib import import_module

from bench import samples
from bench.first import Context


def main(agent: str, size: int, batches: int) -> dict[str, object]:
    """Delivers a batch to warm up, then the others."""
    handler = import_module(f"functions.agents.{agent}.app").handler
    taken = []
    for number in range(batches + 1):
        now = datetime.now(UTC)
        messages = [samples.message(number=number * size + at, received_at=now.isoformat()) for at in range(size)]
        batch = samples.records(agent, messages, int(now.timestamp() * 1000))
        began, busy = time.perf_counter(), time.process_time()
        answer = handler(batch, Context())
        taken.append((time.perf_counter() - began, time.process_time() - busy))
        if answer["batchItemFailures"]:
            raise AssertionError(answer)
    return {"clock": [clock for clock, _ in taken[1:]], "processor": [busy for _, busy in taken[1:]]}


if __name__ == "__main__":
    sys.stderr.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))) + "\n")
