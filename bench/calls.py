"""The least that a warm delivery calls, without the delivery: `python -m bench.calls AGENT TIMES`.

The environment is the function's. Says on standard error, in one JSON line, the processor's seconds of each time: the
calls to DynamoDB by the clients that the functions use, and the agent's requests by requests.
"""

import json
import os
import sys
import time
from collections.abc import Iterator

import requests

from bench import invocations
from bench.delivery import REQUESTS
from relay.aws import clients


def main(agent: str, times: int) -> list[float]:
    """Makes the calls once to warm up, and then so many times more."""
    session, taken = requests.Session(), []
    calls = list(_calls(agent))
    for _ in range(times + 1):
        began = time.process_time()
        for service, operation, arguments in calls:
            if service == "agent":
                session.post(operation, b"{}", headers=arguments, timeout=5)
            else:
                getattr(clients.dynamodb(), operation)(**arguments)
        taken.append(time.process_time() - began)
    return taken[1:]


def _calls(agent: str) -> Iterator[invocations.Call]:
    """What a first delivery calls, without the settings, which a warm one has, and with all its requests."""
    for call in invocations.calls(agent, os.environ["AWS_ENDPOINT_URL"]):
        if call[0] != "ssm":
            yield from [call] * (REQUESTS.get(agent, 1) if call[0] == "agent" else 1)


if __name__ == "__main__":
    sys.stderr.write(json.dumps({"processor": main(sys.argv[1], int(sys.argv[2]))}) + "\n")
