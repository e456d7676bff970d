"""Run the sandbox: `python -m local.sandbox --port 8400 --settings settings.json`."""

import argparse
import json
from pathlib import Path

import uvicorn

from local.sandbox.connection import AbortableProtocol
from local.sandbox.server import Sandbox


def main() -> None:
    """Serve all agents on 127.0.0.1 until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    parser.add_argument("--settings", type=Path, required=True, help="JSON: the settings of each agent, by its name")
    arguments = parser.parse_args()
    settings = json.loads(arguments.settings.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        parser.error("the settings are not a JSON object")
    uvicorn.run(
        Sandbox(settings),
        host="127.0.0.1",
        port=arguments.port,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="critical",
        access_log=False,
        server_header=False,
        # Requests that hang on a fault must not hold up the end.
        timeout_graceful_shutdown=0,
    )


if __name__ == "__main__":
    main()
