"""The import budget of each function: what it may not load to be invoked, since its caller waits for the start.

By the names of modules, not by time. A fresh interpreter without site, as Lambda has it.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

FUNCTIONS = ("authorizer", "dry_run", "identity", "ingest", "receipts")
AGENTS = sorted(app.parent.name for app in Path("functions/agents").glob("*/app.py"))

NOBODY = {"boto3", "s3transfer", "multiprocessing", "aws_xray_sdk", "http.server", "unittest", "distutils", "asyncio"}
"""What no function needs: boto3 brings resources and transfers, for which nothing here has a use."""

SENDING = {"requests", "charset_normalizer", "relay.delivery", "relay.agent"}
"""What only the functions of agents need."""

WRONG_DETAILS = {
    "relay.event.explain",
    "relay.event.lenient",
    "relay.event.contacts",
    "phonenumbers",
    "email_validator",
}
"""What only an event with a wrong detail needs: the tables of phone numbers alone take half as long as a start."""

UNLESS_CALLED_FOR = {"jwt", "relay.api.identity_tokens"} | WRONG_DETAILS
"""What ingest needs for a token, or for a body that is wrong."""

UNTIL_IT_FAILS = {"relay.delivery.breaker", "aws_lambda_powertools.utilities.circuit_breaker"}
"""What an agent's function needs once something has failed."""

UNTIL_SEALED = {"cryptography"}
"""What DashX's function needs once it has a contact to seal, and no other function."""

BEYOND = {
    "authorizer": SENDING | {"jwt", "relay.event.model", "relay.ledger.ledger"},
    "dry_run": SENDING | {"jwt", "relay.ledger.ledger"} | WRONG_DETAILS,
    "identity": SENDING | {"relay.ledger.ledger", "relay.event.model"} | WRONG_DETAILS,
    "ingest": SENDING | UNLESS_CALLED_FOR | UNTIL_SEALED,
    "receipts": SENDING | {"jwt"} | WRONG_DETAILS,
    **{agent: {"jwt", "relay.api"} | WRONG_DETAILS | UNTIL_IT_FAILS | UNTIL_SEALED for agent in AGENTS},
}


def _loaded(function: str) -> set[str]:
    folder = "functions/agents" if function in AGENTS else "functions"
    paths = [f"{folder}/{function}", "layers/runtime", sysconfig.get_paths()["purelib"]]
    completed = subprocess.run(
        [sys.executable, "-S", "-c", "import app, json, sys; print(json.dumps(sorted(sys.modules)))"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(completed.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("function", [*FUNCTIONS, *AGENTS])
def test_a_function_loads_nothing_that_it_can_do_without(function: str) -> None:
    loaded = _loaded(function)
    assert not loaded & (NOBODY | BEYOND[function])
