"""The import budget of each function: what it may not load to be invoked, since its caller waits for the start.

By the names of modules, not by time. A fresh interpreter without site, as Lambda has it.
"""

import importlib.util
import json
import os
import shutil
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


LEFT_OUT = {
    "importlib.metadata",
    "aws_lambda_powertools.metrics",
    "aws_lambda_powertools.tracing",
}
"""What libraries load by themselves, and not as layers/runtime/slim.py edits them."""

EDITED = ("aws_lambda_powertools", "botocore", "pydantic", "pydantic_core", "urllib3")


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libraries that the layer's build edits, as it leaves them."""
    folder, installed = tmp_path_factory.mktemp("layer"), Path(sysconfig.get_paths()["purelib"])
    for name in EDITED:
        shutil.copytree(installed / name, folder / name, ignore=_others_data)
    spec = importlib.util.spec_from_file_location("slim", "layers/runtime/slim.py")
    assert spec
    assert spec.loader
    slim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slim)
    slim.slim(folder)
    return folder


def _others_data(folder: str, names: list[str]) -> list[str]:
    ours = {"dynamodb", "lambda", "sns", "sqs", "ssm"}
    is_data = Path(folder).name == "data" and Path(folder).parent.name == "botocore"
    return [name for name in names if name == "__pycache__" or (is_data and "." not in name and name not in ours)]


def _loaded(function: str, *first: Path) -> set[str]:
    folder = "functions/agents" if function in AGENTS else "functions"
    paths: list[Path | str] = [f"{folder}/{function}", *first, "layers/runtime", sysconfig.get_paths()["purelib"]]
    completed = subprocess.run(
        [sys.executable, "-S", "-c", "import app, json, sys; print(json.dumps(sorted(sys.modules)))"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths),
            "PYDANTIC_DISABLE_PLUGINS": "__all__",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(completed.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("function", [*FUNCTIONS, *AGENTS])
def test_a_function_loads_nothing_that_it_can_do_without(function: str) -> None:
    loaded = _loaded(function)
    assert loaded & (NOBODY | BEYOND[function]) == set()


@pytest.mark.slow
@pytest.mark.parametrize("function", ["ingest", "dashx"])
def test_a_function_loads_from_the_layer_nothing_that_libraries_load_for_others(function: str, slimmed: Path) -> None:
    loaded = _loaded(function, slimmed)
    assert {"pydantic.plugin._loader", "urllib3.http2"} <= loaded
    assert loaded & (LEFT_OUT | NOBODY | BEYOND[function]) == set()


_USE = """
from botocore.session import Session
from pydantic import BaseModel, ValidationError
import relay.delivery.breaker
import aws_lambda_powertools.tracing
session = Session()
session.set_credentials("test", "test")
ssm = session.create_client("ssm", "us-east-1")
assert ssm.get_paginator("get_parameters_by_path")
class Sample(BaseModel, extra="forbid"):
    number: int
assert Sample.model_validate_json('{"number": 3}').number == 3
try:
    Sample(number="x", more=1)
except ValidationError as invalid:
    print(invalid.error_count())
"""


@pytest.mark.slow
def test_libraries_as_the_layer_has_them_still_work(slimmed: Path) -> None:
    paths = os.pathsep.join(map(str, [slimmed, Path("layers/runtime").resolve(), sysconfig.get_paths()["purelib"]]))
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-S", "-W", "error", "-c", _USE],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("2\n", "")
