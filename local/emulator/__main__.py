"""Starts MiniStack with what it lacks."""

import os
import sys
from pathlib import Path

# Not by PYTHONPATH, which the functions' processes would have as well: they must not find the project.
sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from ministack import app  # noqa: E402 - only now can the imports of the project be found

from local.emulator import alarms, archives, embedded, queries, queues, redrive, refusing, rollout, traffic, usage  # noqa: E402
from local.emulator.clock import every  # noqa: E402

if __name__ == "__main__":
    archives.install()
    embedded.install()
    traffic.install()
    alarms.install()
    queries.install(app.SERVICE_HANDLERS)
    rollout.install()
    usage.install()
    redrive.install()
    refusing.install(app.SERVICE_HANDLERS, Path(os.environ.get("EMULATOR_REFUSING", os.devnull)))
    every(1.0, queues.observe, alarms.look)
    app.main()
