#!/usr/bin/env bash
# aws-sam-translator 1.115.0 (2026-11): with AutoPublishAliasAllProperties a function's version is named by a digest of
# all its properties, "all" being the template's words before parameters are filled in. A parameter of another value
# alters the function's environment and makes no new version: the alias goes on running the old value.
# Second, AutoPublishCodeSha256: of the digest that is given, ten hexadecimal digits count. Two that begin alike are one.
# What the product does: `make deploy` passes a digest of layer, functions and parameters that differs from its first
# digits on, and a test transforms the template twice (tests/unit/test_versions.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check aws-sam-translator==1.115.0 2>/dev/null
AWS_DEFAULT_REGION=us-east-1 env/bin/python - <<'PY'
from copy import deepcopy

from samtranslator.translator.transform import transform


class Policies:
    def load(self):
        return {}


def version(level="INFO", sha256=None):
    function = {
        "Handler": "app.handler", "Runtime": "python3.13", "CodeUri": "s3://example-bucket/code.zip",
        "AutoPublishAlias": "live", "Environment": {"Variables": {"LEVEL": {"Ref": "Level"}}},
    } | ({"AutoPublishCodeSha256": sha256} if sha256 else {"AutoPublishAliasAllProperties": True})
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Level": {"Type": "String", "Default": "INFO"}},
        "Resources": {"Example": {"Type": "AWS::Serverless::Function", "Properties": function}},
    }
    made = transform(deepcopy(template), {"Level": level}, Policies())["Resources"]
    return next(name for name, one in made.items() if one["Type"] == "AWS::Lambda::Version")


if version("INFO") != version("DEBUG"):
    raise SystemExit("changed: a parameter's value makes a version")
print(f"LEVEL is INFO or DEBUG: one version, {version()}")
ones = ["0123456789" + rest * 54 for rest in "ab"]
if version(sha256=ones[0]) != version(sha256=ones[1]) or version(sha256=ones[0]) == version(sha256="f" * 64):
    raise SystemExit("changed: more digits of the digest count")
print(f"two digests that share ten digits: one version, {version(sha256=ones[0])}")
PY
