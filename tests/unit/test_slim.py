"""The layer's botocore: it describes every operation that the code calls, and nothing else."""

import gzip
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

_SPEC = importlib.util.spec_from_file_location("slim", "layers/runtime/slim.py")
assert _SPEC
assert _SPEC.loader
slim = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(slim)

DATA = Path(botocore.__file__).parent / "data"
BREAKER = Path(importlib.util.find_spec("aws_lambda_powertools").origin).parent / "utilities/circuit_breaker"  # type: ignore[union-attr,arg-type]
CALLERS = [*Path("layers/runtime/relay").rglob("*.py"), *Path("functions").rglob("*.py"), *BREAKER.rglob("*.py")]


def _described(service: str) -> dict[str, Any]:
    newest = max(DATA.glob(f"{service}/*/service-2.json.gz"))
    description: dict[str, Any] = json.loads(gzip.decompress(newest.read_bytes()))
    return description


@pytest.mark.parametrize("service", slim.OPERATIONS)
def test_every_operation_that_is_called_is_kept(service: str) -> None:
    # A call is an attribute of a client, or the name that is handed to what looks the attribute up.
    names = {name for file in CALLERS for name in re.findall(r"[.\"]([a-z_]+)[\"(]", file.read_text())}
    called = {operation for operation in _described(service)["operations"] if xform_name(operation) in names}
    assert called <= slim.OPERATIONS[service]


@pytest.mark.parametrize("service", slim.OPERATIONS)
def test_what_is_kept_is_described_with_all_that_it_refers_to(service: str) -> None:
    kept = slim.used(_described(service), slim.OPERATIONS[service])
    assert set(kept["operations"]) == slim.OPERATIONS[service]
    referred = set(re.findall(r'"shape": "([^"]+)"', json.dumps(kept)))
    assert referred <= set(kept["shapes"])
    assert len(json.dumps(kept)) < 80_000


def test_a_member_that_is_called_documentation_is_no_documentation() -> None:
    shape = {"type": "structure", "documentation": "<p>x</p>", "members": {"documentation": {"shape": "Text"}}}
    service = {
        "operations": {"Get": {"output": {"shape": "Got"}}},
        "shapes": {"Got": shape, "Text": {"type": "string"}, "Other": {"type": "string"}},
    }
    kept = slim.used(service, {"Get"})
    assert kept["shapes"] == {
        "Got": {"type": "structure", "members": {"documentation": {"shape": "Text"}}},
        "Text": {"type": "string"},
    }


def test_a_slim_folder_holds_our_services_alone(tmp_path: Path) -> None:
    data = tmp_path / "botocore/data"
    for service in ("ssm", "s3"):
        (data / service / "2014-11-06").mkdir(parents=True)
        packed = gzip.compress(json.dumps({"metadata": {}, "operations": {}, "shapes": {}}).encode())
        (data / service / "2014-11-06/service-2.json.gz").write_bytes(packed)
    services: dict[str, Any] = {"ssm": {"endpoints": {}}, "s3": {"endpoints": {}}}
    (data / "endpoints.json").write_text(json.dumps({"partitions": [{"partition": "aws", "services": services}]}))
    (tmp_path / "charset_normalizer").mkdir()
    (tmp_path / "charset_normalizer-3.5.dist-info").mkdir()
    slim.slim(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["botocore"]
    assert [folder.name for folder in data.iterdir() if folder.is_dir()] == ["ssm"]
    assert [file.name for file in data.rglob("service*")] == ["service-2.json"]
    (partition,) = json.loads((data / "endpoints.json").read_text())["partitions"]
    assert partition == {"partition": "aws", "services": {"ssm": {"endpoints": {}}}}


REGIONS = ("us-east-1", "sa-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1")


@pytest.mark.slow
def test_a_slim_folder_leads_to_the_endpoints_that_the_rules_lead_to(tmp_path: Path) -> None:
    packed = tmp_path / "botocore/data"
    packed.mkdir(parents=True)
    for service in slim.OPERATIONS:
        shutil.copytree(DATA / service, packed / service)
    for file in DATA.glob("*.json"):
        shutil.copy(file, packed)
    slim.slim(tmp_path)
    slimmed = Loader(extra_search_paths=[str(packed)], include_default_search_paths=False)
    for region, service in itertools.product(REGIONS, slim.OPERATIONS):
        assert _endpoint(service, region, slimmed) == _endpoint(service, region, Loader())


def _endpoint(service: str, region: str, loader: Loader) -> tuple[str, str]:
    session = Session()
    session.register_component("data_loader", loader)
    session.set_credentials("test", "test")
    client = session.create_client(service, region)
    return client.meta.endpoint_url, client.meta.service_model.signing_name


def test_requests_is_content_without_what_the_layer_leaves_out() -> None:
    """It would say so at each start, and each start would be a line in the logs: the template tells it not to."""
    template = Path("template.yaml").read_text()
    (quiet,) = re.findall(r"PYTHONWARNINGS: (.+)", template)
    missing = "".join(f"sys.modules['{name}'] = None; " for name in (*slim.UNUSED, "chardet"))
    for asked, said in (({"PYTHONWARNINGS": quiet}, False), ({}, True)):
        ran = subprocess.run(  # noqa: S603 - our own interpreter
            [
                sys.executable,
                "-c",
                f"import sys; {missing}import requests; requests.Request('POST', 'http://a').prepare()",
            ],
            env={**{name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}, **asked},
            capture_output=True,
            text=True,
            check=True,
        )
        assert bool(ran.stderr) == said
