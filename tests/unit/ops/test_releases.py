"""Which release runs: what a function's alias points to is compared with what was deployed last."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops import releases, stage
from ops.digest import digest
from ops.releases import Release, sentence, stale
from ops.stage import Stage
from ops.usage import Usage

LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:RuntimeLayer"


def _configuration(layer: int = 1, release: str = "3f2a9c1b20de4455", **more: Any) -> dict[str, Any]:
    return {
        "CodeSha256": "code",
        "Runtime": "python3.14",
        "Layers": [{"Arn": f"{LAYER}:{layer}", "CodeSize": 1}],
        "Environment": {"Variables": {"RELEASE": f'{{"ReleaseDigest":"{release}","LogLevel":"INFO"}}'}},
        "LastModified": "2026-11-20T09:15:42.000+0000",
        **more,
    }


class Lambda:
    """AWS Lambda with one function of two configurations: its alias' and the one that was deployed last."""

    def __init__(self, running: dict[str, Any] | None, deployed: dict[str, Any], **alias: Any) -> None:
        self.running, self.deployed, self.alias = running, deployed, alias

    def get_alias(self, **_: str) -> dict[str, Any]:
        if self.running is None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}, "GetAlias")
        return {"FunctionVersion": "7", **self.alias}

    def get_function_configuration(self, **asked: str) -> dict[str, Any]:
        return dict(self.running or {}) if "Qualifier" in asked else self.deployed


@pytest.fixture
def deployment() -> Stage:
    """A stage with one function."""
    made = Stage("prod")
    vars(made)["resources"] = {"IngestFunction": "session-relay-IngestFunction-1", "IngestRole": "role"}
    return made


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The clients of AWS services, to be replaced."""
    replaced: dict[str, Any] = {}
    monkeypatch.setattr(stage, "_clients", replaced)
    return replaced


def test_a_function_whose_alias_runs_what_was_deployed_is_well(deployment: Stage, clients: dict[str, Any]) -> None:
    clients["lambda"] = Lambda(_configuration(), _configuration())
    (found,) = releases.findings(deployment)
    assert (found.about, found.state) == ("IngestFunction", "ok")
    assert found.finding == "runs release 3f2a9c1b20de4455, version 7"


@pytest.mark.parametrize(
    ("deployed", "parts"),
    [
        (_configuration(layer=2), "Layers"),
        (_configuration(CodeSha256="other"), "CodeSha256"),
        (_configuration(release="another"), "Environment"),
        (_configuration(TracingConfig={"Mode": "Active"}, Runtime="python3.13"), "Runtime, TracingConfig"),
    ],
)
def test_a_function_whose_alias_runs_something_older_is_wrong(
    deployment: Stage, clients: dict[str, Any], deployed: dict[str, Any], parts: str
) -> None:
    clients["lambda"] = Lambda(_configuration(), deployed)
    (found,) = releases.findings(deployment)
    assert (found.state, found.fix) == ("wrong", "make deploy STAGE=prod")
    assert found.finding.endswith(f"which differs from what was deployed last: {parts}")


def test_a_roll_out_under_way_is_a_note_and_not_wrong(deployment: Stage, clients: dict[str, Any]) -> None:
    shifting = {"AdditionalVersionWeights": {"8": 0.1}}
    clients["lambda"] = Lambda(_configuration(), _configuration(layer=2), RoutingConfig=shifting)
    (found,) = releases.findings(deployment)
    assert found.state == "note"
    assert "10% of the calls go to version 8" in found.finding


def test_a_function_without_an_alias_is_wrong(deployment: Stage, clients: dict[str, Any]) -> None:
    clients["lambda"] = Lambda(None, _configuration())
    (found,) = releases.findings(deployment)
    assert (found.state, found.finding) == ("wrong", "it has no alias live, so nothing calls it")


def test_what_lambda_says_of_every_version_is_no_difference() -> None:
    version = _configuration(Version="7", SnapStart={"ApplyOn": "None", "OptimizationStatus": "On"})
    latest = _configuration(Version="$LATEST", LastModified="later")
    assert stale(version, latest) == ()


def _release(function: str, name: str) -> Release:
    return Release(function, "7", name, "2026-11-20", "RuntimeLayer:3", {}, ())


def test_one_release_is_reported_in_one_sentence_and_several_with_their_functions() -> None:
    same = [_release("IngestFunction", "3f2a"), _release("DashxFunction", "3f2a")]
    assert sentence(same) == "All 2 functions run release 3f2a."
    assert sentence([_release("IngestFunction", ""), *same[1:]]) == (
        "Release without a digest (RuntimeLayer:3) runs in IngestFunction. Release 3f2a runs in DashxFunction."
    )


def test_a_release_is_named_by_all_that_is_deployed_and_by_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "IngestFunction").mkdir()
    code = tmp_path / "IngestFunction/app.py"
    code.write_text("one")
    first = digest(tmp_path, ["Stage=prod", "LogLevel=INFO"])
    assert first == digest(tmp_path, ["LogLevel=INFO", "Stage=prod"])
    assert first != digest(tmp_path, ["LogLevel=WARN", "Stage=prod"])
    code.write_text("two")
    second = digest(tmp_path, ["Stage=prod", "LogLevel=INFO"])
    assert first != second
    code.rename(tmp_path / "IngestFunction/other.py")
    assert second != digest(tmp_path, ["Stage=prod", "LogLevel=INFO"])


class Pages:
    """API Gateway with more keys of one beginning than a page holds."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.created, self.planned = names, [], []  # type: ignore[var-annotated]

    def get_paginator(self, operation: str) -> "Pages":
        self.operation = operation
        return self

    def paginate(self, nameQuery: str = "", **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's own name
        names = self.names if self.operation == "get_api_keys" else []
        found = [name for name in names if name.startswith(nameQuery)]
        for start in range(0, len(found), 25):
            yield {"items": [{"id": f"id-{name}", "name": name} for name in found[start : start + 25]]}

    def get_api_keys(self, nameQuery: str) -> dict[str, Any]:  # noqa: N803 - boto3's own name
        return next(self.paginate(nameQuery))

    def create_api_key(self, **key: Any) -> dict[str, Any]:
        self.created.append(key["name"])
        return {"id": "new"}

    def create_usage_plan_key(self, **key: Any) -> None:
        self.planned.append(key["keyId"])


def test_a_key_of_the_plan_is_found_behind_a_page_of_keys_that_begin_alike(
    deployment: Stage, clients: dict[str, Any]
) -> None:
    vars(deployment)["outputs"] = {"UsagePlanId": "plan"}
    api = Pages([*(f"session-relay-prod-shop-{number}" for number in range(40)), "session-relay-prod-shop"])
    clients["apigateway"] = api
    Usage(deployment).admit("shop")
    assert (api.created, api.planned) == ([], ["id-session-relay-prod-shop"])
