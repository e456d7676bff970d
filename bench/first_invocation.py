"""A fresh interpreter's first invocation, as Lambda would have it: of a function, or of the least that makes its calls.

`python -S bench/first_invocation.py`, on standard input `{"event": ...}` for the `app` that is on the path, or
`{"calls": [[service, operation, arguments], ...]}` for the floor. Says on standard error, in one JSON line, the
processor's seconds at the start, after the import and after the first answer, the seconds by the clock, the most
megabytes that were resident, the modules that are loaded, and the answer.
"""

import json
import sys
import time
from typing import Any


class Context:
    """As much of a Lambda context as the functions look at."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """As long as an agent's function has."""
        return 30_000


def _floor(calls: list[tuple[str, str, dict[str, Any]]]) -> tuple[float, str]:
    """The clients of botocore, the calls, and a request to the agent: its service is "agent", its operation the URL."""
    import botocore.config  # noqa: PLC0415 - what is imported here is what is measured
    import botocore.session  # noqa: PLC0415 - as above
    import urllib3  # noqa: PLC0415 - as above

    imported = time.process_time()
    session = botocore.session.Session()
    config = botocore.config.Config(connect_timeout=1, read_timeout=2)
    clients: dict[str, Any] = {}
    for service, operation, arguments in calls:
        if service == "agent":
            urllib3.PoolManager().request("POST", operation, body=b"{}", headers=arguments)
            continue
        if service not in clients:
            clients[service] = session.create_client(service, config=config)
        getattr(clients[service], operation)(**arguments)
    return imported, "the floor"


def _function(event: object) -> tuple[float, object]:
    import app  # type: ignore[import-not-found] # noqa: PLC0415 - as above

    imported = time.process_time()
    return imported, app.handler(event, Context())


def _resident_mb() -> float:
    """The most that was resident since this program began; getrusage counts what was there before it as well."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would be imported for it
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except OSError:
        return 0.0


def main() -> None:
    """Measures one start."""
    began, at_start = time.perf_counter(), time.process_time()
    given = json.load(sys.stdin)
    imported, answer = _floor(given["calls"]) if "calls" in given else _function(given["event"])
    ended = time.process_time()
    found = {"start": at_start, "imported": imported, "ended": ended, "clock": time.perf_counter() - began}
    found["resident_mb"] = _resident_mb()
    sys.stderr.write("\n" + json.dumps({**found, "modules": sorted(sys.modules), "answer": answer}) + "\n")


if __name__ == "__main__":
    main()
