"""A function kept warm in an interpreter of its own, for measuring it by turns with another revision's.

`python -S -m bench.warm` with the function's folder and layer on PYTHONPATH. Each line of standard input is a JSON
document `{"events": [...], "between": event}`; the response is one line, `{"processor": [...], "answers": [...]}`: the
processor's seconds of each invocation, threads included, and what the handler returned. Unless it is null, the handler
is invoked with `between` before each of them, unmeasured: so the processor's caches hold other work.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.first_invocation import Context


def main() -> None:
    """Serves standard input until it is closed; what the function logs goes nowhere."""
    responses = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handler = import_module("app").handler
    for line in sys.stdin:
        request = json.loads(line)
        responses.write(json.dumps(_measured(handler, request["events"], request["between"])) + "\n")
        responses.flush()


def _measured(handler: Callable[..., Any], events: list[Any], between: object) -> dict[str, list[Any]]:
    seconds, answers = [], []
    for event in events:
        if between is not None:
            handler(between, Context())
        began = time.process_time()
        answers.append(handler(event, Context()))
        seconds.append(time.process_time() - began)
    return {"processor": seconds, "answers": answers}


if __name__ == "__main__":
    main()
