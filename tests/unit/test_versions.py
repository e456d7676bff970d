"""What is deployed runs: every change of a function makes a new version of it, which its alias then points to.

SAM's own code transforms the template twice, before and after each change, and by both readings of what AWS'
language extensions do to a parameter (tests/unit/transform.py). The functions that a change alters must be those that
have a new version. Without one, `live` runs the old code. With one that alters nothing, Lambda refuses the deployment:
"A version for this Lambda function exists".
"""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode_str

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Change = Callable[[Json], None]

ENVIRONMENTS = {"samcli": "sam", "ministack": "cloud"}
"""Whose code expands the language extensions, and the environment that has it beside SAM's translator."""

FEW = {"EnabledAgents": "Appsflyer,Dashx"}
"""One agent of each kind: a loop does for the others what it does for these."""

OTHERS = {
    "Stage": "other",
    "AllowedOrigins": "https://shop.example.com",
    "RetrySchedule": "1,2",
    "AlarmEmail": "ops@example.com",
    "ReleaseDigest": "0123456789ab",
    "EnabledAgents": "Dashx,Appsflyer",
}
"""Another value for each parameter that neither lists its values nor is a number."""

OF_NO_FUNCTION = {
    *("AppRate", "AppBurst", "StageRate", "StageBurst", "LogRetentionDays", "AlarmEmail", "AccessLog", "StatusAlarm"),
    *("OwnKey", "ReservedWrites", "Rollout", "EnabledAgents"),
}


@cache
def _packaged() -> Json:
    """The template as `sam package` leaves it: each folder of code is an object of S3, named after what is in it."""
    document, faults = decode_str(Path("template.yaml").read_text())
    assert not faults
    template: Json = json.loads(json.dumps(document))
    for name, resource in template["Resources"].items():
        if isinstance(resource, dict) and resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://bucket/{name}"
    for name, facts in template["Mappings"]["Agents"].items():
        facts["CodeUri"] = f"s3://bucket/{name}Function"
    template["Resources"]["RuntimeLayer"]["Properties"]["ContentUri"] = "s3://bucket/layer"
    return template


def _layer(template: Json) -> None:
    template["Resources"]["RuntimeLayer"]["Properties"]["ContentUri"] = "s3://bucket/another-layer"


def _code_of_ingest(template: Json) -> None:
    template["Resources"]["IngestFunction"]["Properties"]["CodeUri"] = "s3://bucket/another-ingest"


def _code_of_dashx(template: Json) -> None:
    template["Mappings"]["Agents"]["Dashx"]["CodeUri"] = "s3://bucket/another-dashx"


def _memory_of_receipts(template: Json) -> None:
    template["Resources"]["ReceiptsFunction"]["Properties"]["MemorySize"] = 1024


def _log_format(template: Json) -> None:
    template["Resources"]["IdentityFunction"]["Properties"]["LoggingConfig"]["SystemLogLevel"] = "INFO"


def _global_variable(template: Json) -> None:
    template["Globals"]["Function"]["Environment"]["Variables"]["NEW"] = "variable"


ALL = frozenset({"Authorizer", "Ingest", "Identity", "Receipts", "DryRun", "Appsflyer", "Dashx"})

CHANGES: dict[str, tuple[Change, frozenset[str]]] = {
    "the layer": (_layer, ALL),
    "code of ingest": (_code_of_ingest, frozenset({"Ingest"})),
    "code of an agent": (_code_of_dashx, frozenset({"Dashx"})),
    "memory": (_memory_of_receipts, frozenset({"Receipts"})),
    "the log's format": (_log_format, frozenset({"Identity"})),
    "a variable of all": (_global_variable, ALL),
}
"""Changes of what is deployed, each with the functions that it concerns."""


def _another_value(name: str, parameter: Mapping[str, Any]) -> str:
    if name in OTHERS:
        return OTHERS[name]
    if "AllowedValues" in parameter:
        return next(str(value) for value in parameter["AllowedValues"] if value != parameter["Default"])
    return str(int(parameter["Default"]) + 1)


def _parameters() -> dict[str, dict[str, str]]:
    """The deployments that differ from the first in one parameter; those of no function differ together."""
    others = {name: _another_value(name, one) for name, one in _packaged()["Parameters"].items()}
    together = {name: value for name, value in others.items() if name in OF_NO_FUNCTION}
    alone = {name: {name: value} for name, value in others.items() if name not in OF_NO_FUNCTION}
    return {"of no function": together, **alone}


@cache
def _deployments() -> dict[str, Json]:
    first = {"first": {"template": _packaged(), "parameters": FEW}}
    changed = {}
    for name, (change, _) in CHANGES.items():
        template = deepcopy(_packaged())
        change(template)
        changed[name] = {"template": template, "parameters": FEW}
    others = {name: {"template": _packaged(), "parameters": FEW | other} for name, other in _parameters().items()}
    return first | changed | others


def _transformed(expander: str) -> dict[str, Json]:
    deployments = _deployments()
    run = subprocess.run(  # noqa: S603 - our own script, in the environment that has SAM
        [f".venv/{ENVIRONMENTS[expander]}/bin/python", "tests/unit/transform.py", expander],
        input=json.dumps(list(deployments.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(deployments, json.loads(run.stdout), strict=True))


@cache
def _all_transformed() -> dict[str, dict[str, Json]]:
    with ThreadPoolExecutor() as side_by_side:
        return dict(zip(ENVIRONMENTS, side_by_side.map(_transformed, ENVIRONMENTS), strict=True))


def _versions(created: Json) -> dict[str, str]:
    """The version that each function's alias points to."""
    aliases = {name: one for name, one in created["Resources"].items() if one["Type"] == "AWS::Lambda::Alias"}
    return {
        name.removesuffix("FunctionAliaslive"): alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        for name, alias in aliases.items()
    }


def _configurations(created: Json, parameters: Mapping[str, str]) -> dict[str, str]:
    """What Lambda gets of each function, its layer's content included, with the parameters' values."""
    resources = created["Resources"]
    layer = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Lambda::LayerVersion"}
    return {
        name.removesuffix("Function"): json.dumps(_with_values([one["Properties"], layer], parameters), sort_keys=True)
        for name, one in resources.items()
        if one["Type"] == "AWS::Lambda::Function"
    }


def _with_values(node: Any, parameters: Mapping[str, str]) -> Any:
    """The node with each reference to a parameter replaced by its value."""
    if isinstance(node, list):
        return [_with_values(one, parameters) for one in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"} and node["Ref"] in parameters:
        return parameters[node["Ref"]]
    if node.keys() == {"Fn::Sub"}:
        text, more = node["Fn::Sub"] if isinstance(node["Fn::Sub"], list) else (node["Fn::Sub"], {})
        for name, value in {**parameters, **more}.items():
            text = text.replace(f"${{{name}}}", str(value))
        return text
    return {name: _with_values(value, parameters) for name, value in node.items()}


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in after if after[name] != before[name]}


def _changed(expander: str, change: str) -> tuple[set[str], set[str]]:
    """The functions that a change alters, and those that it makes a new version of."""
    created, deployments = _all_transformed()[expander], _deployments()
    defaults = {name: str(one.get("Default", "")) for name, one in _packaged()["Parameters"].items()}
    altered = [_configurations(created[name], defaults | deployments[name]["parameters"]) for name in ("first", change)]
    versions = [_versions(created[name]) for name in ("first", change)]
    return _differing(*altered), _differing(*versions)


by_both = pytest.mark.parametrize("expander", ENVIRONMENTS)


@by_both
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_code_layer_or_property_makes_new_versions_of_every_function_concerned(
    expander: str, change: str
) -> None:
    altered, versioned = _changed(expander, change)
    assert versioned == altered == CHANGES[change][1]


@by_both
@pytest.mark.parametrize("parameter", [name for name in _parameters() if name != "of no function"])
def test_a_parameter_makes_new_versions_of_every_function_that_it_reaches(expander: str, parameter: str) -> None:
    altered, versioned = _changed(expander, parameter)
    assert altered
    assert versioned == altered


@by_both
def test_what_reaches_no_function_makes_no_version(expander: str) -> None:
    assert _changed(expander, "of no function") == (set(), set())


@by_both
def test_a_release_digest_makes_new_versions_of_all(expander: str) -> None:
    assert _changed(expander, "ReleaseDigest") == (set(ALL), set(ALL))


@by_both
def test_the_parameters_that_all_functions_have_reach_all_of_them(expander: str) -> None:
    for parameter in ("PythonRuntime", "Architecture", "Tracing", "LogLevel"):
        assert _changed(expander, parameter)[1] == ALL


@by_both
def test_the_api_is_deployed_again_when_the_pages_that_may_call_it_are_others(expander: str) -> None:
    created = _all_transformed()[expander]
    deployed = [
        {name for name, one in created[change]["Resources"].items() if one["Type"] == "AWS::ApiGateway::Deployment"}
        for change in ("first", "AllowedOrigins")
    ]
    assert not deployed[0] & deployed[1]


@by_both
def test_every_function_is_called_by_its_alias(expander: str) -> None:
    resources = _all_transformed()[expander]["first"]["Resources"]
    callers = ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping")
    called = {json.dumps(one["Properties"]["FunctionName"]) for one in resources.values() if one["Type"] in callers}
    aliases = {
        json.dumps({"Ref": f"{name}FunctionAliaslive"}) for name in _versions(_all_transformed()[expander]["first"])
    }
    # DryRun asks the agents by what the catalogue says of them, and the authorizer is named in the API's description.
    asked = [
        resources["Api"],
        *(one for one in resources.values() if one["Type"] in {"AWS::SSM::Parameter", "AWS::IAM::Policy"}),
    ]
    named = set(re.findall(r"\b([A-Z]\w*Function\w*)", json.dumps(asked))) - {"InvokeFunction"}
    assert called == aliases
    assert named == {f"{name}FunctionAliaslive" for name in ALL}
