"""Transforms a packaged template as AWS does, with SAM's own code; runs in an environment of its own, not in pytest's.

`python tests/unit/transform.py EXPANDER < deployments.json`: a list of deployments, each a template and its parameters'
values. It writes a list of the templates that CloudFormation would create, in the same order. EXPANDER names the code
that applies AWS::LanguageExtensions, since AWS publishes none of its own. `samcli` is SAM CLI's, which follows the
service's code and resolves every parameter of a resource; AWS' documentation says the same (Template Reference,
"Using AWS::Serverless with AWS::LanguageExtensions"). `ministack` is MiniStack's, which follows the answers of an
account and resolves a parameter only inside the extensions' own functions. A template has to be right by both.
"""

import copy
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from samtranslator.translator.transform import transform

Json = dict[str, Any]
Expand = Callable[[Json, dict[str, str]], Json]


class _NoManagedPolicies:
    """The template names no managed policy, so none is looked up in an account."""

    def load(self) -> dict[str, str]:
        return {}


def _expander(name: str) -> Expand:
    if name == "samcli":
        from samcli.lib.cfn_language_extensions.sam_integration import process_template_for_sam_cli  # noqa: PLC0415

        return process_template_for_sam_cli  # type: ignore[no-any-return]
    from ministack.services.cloudformation.language_extensions import apply  # noqa: PLC0415

    return apply  # type: ignore[no-any-return]


def _created(expand: Expand, template: Json, parameters: dict[str, str]) -> Json:
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items() if "Default" in one}
    values = defaults | parameters
    expanded = expand(copy.deepcopy(template), values)
    expanded["Transform"] = "AWS::Serverless-2016-10-31"
    created: Json = transform(expanded, values, _NoManagedPolicies())
    return created


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    chosen = _expander(sys.argv[1])
    json.dump([_created(chosen, one["template"], one["parameters"]) for one in json.load(sys.stdin)], sys.stdout)
