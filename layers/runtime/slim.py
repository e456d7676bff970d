"""Leaves of the libraries what our code uses: botocore's other descriptions alone are a fifth of a cold start.

`python3 slim.py FOLDER`: the folder of the layer's packages. botocore describes every AWS service, its operations and
its endpoints in JSON, which it reads and makes a class of whenever a function starts. Kept are the operations named
here, and the shapes that those need; tests/unit/test_slim.py knows which ones the code calls. EDITS are the few lines
of the libraries' own code that load at each start what no function needs.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

OPERATIONS = {
    "dynamodb": {
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "GetItem",
        "PutItem",
        "Query",
        "UpdateItem",
    },
    "lambda": {"Invoke"},
    "sns": {"Publish", "PublishBatch"},
    "sqs": {"ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "SendMessage"},
    "ssm": {"GetParameter", "GetParametersByPath", "PutParameter"},
}

UNUSED = ("charset_normalizer", "dns")
"""requests would guess the encoding of texts with the first, email-validator look up domains with the second."""


class Edit(NamedTuple):
    """A text of a library's file, which stands there once, and what stands there in the layer."""

    file: str
    old: str
    new: str


EDITS = (
    # Entry points and versions of packages: pydantic looks for plugins, which are off, and urllib3 for HTTP/2.
    Edit("pydantic/plugin/_loader.py", "from importlib.metadata import entry_points\n", ""),
    Edit(
        "pydantic/plugin/_loader.py",
        "        try:\n            for entry_point in entry_points(",
        "        from importlib.metadata import entry_points\n\n"
        "        try:\n            for entry_point in entry_points(",
    ),
    Edit("urllib3/http2/__init__.py", "from importlib.metadata import version\n", ""),
    Edit(
        "urllib3/http2/__init__.py",
        "    # First check if h2 version is valid\n",
        "    from importlib.metadata import version\n\n",
    ),
    # A typed dictionary for each of pydantic's 79 schemas, which type checkers read and nothing else.
    Edit(
        "pydantic_core/core_schema.py",
        "class CoreConfig(TypedDict, total=False):",
        "class TypedDict(dict):\n    def __init_subclass__(cls, total=True):\n        pass\n\n\n"
        "class CoreConfig(TypedDict, total=False):",
    ),
    # Its metrics and its tracer: log lines carry ours, and relay.aws.trace loads the second by its own name.
    Edit("aws_lambda_powertools/__init__.py", "from aws_lambda_powertools.metrics import Metrics, single_metric\n", ""),
    Edit("aws_lambda_powertools/__init__.py", "from aws_lambda_powertools.tracing import Tracer\n", ""),
)

Json = dict[str, Any]


class ChangedLibraryError(Exception):
    """A library has another text than the one that is to be edited: look at its new version."""


def slim(packages: Path) -> None:
    """Rewrites botocore's data in place, edits what loads too much, and removes what is not used.

    Raises:
        ChangedLibraryError: a new version of a library has another text than the one to edit.
    """
    for name in UNUSED:
        for folder in packages.glob(f"{name}*"):
            shutil.rmtree(folder)
    for edit in EDITS:
        _edit(packages, edit)
    data = packages / "botocore/data"
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in OPERATIONS:
            shutil.rmtree(folder)
    # Without its rules botocore finds a service's endpoint by endpoints.json, once and not again for each call.
    for rules in data.glob("*/*/endpoint-rule-set-1.json.gz"):
        rules.unlink()
    for description in data.glob("*/*/service-2.json.gz"):
        service = json.loads(gzip.decompress(description.read_bytes()))
        # Plain JSON, since a layer is compressed in any case and unpacking costs time at each start.
        description.with_suffix("").write_text(json.dumps(used(service, OPERATIONS[description.parent.parent.name])))
        description.unlink()
    endpoints = data / "endpoints.json"
    endpoints.write_text(json.dumps(_of_services(json.loads(endpoints.read_text()))))


def _edit(packages: Path, edit: Edit) -> None:
    file = packages / edit.file
    if not (packages / Path(edit.file).parts[0]).exists():
        return
    text = file.read_text()
    if text.count(edit.old) != 1:
        raise ChangedLibraryError(f"{edit.file} does not hold once: {edit.old.strip()}")
    file.write_text(text.replace(edit.old, edit.new))


def used(service: Json, names: AbstractSet[str]) -> Json:
    """A service's description with the operations of these names and what they need, without documentation."""
    operations = {name: one for name, one in service["operations"].items() if name in names}
    shapes: Json = {}
    wanted = list(_references(operations))
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = service["shapes"][name]
            wanted += _references(shapes[name])
    return {**_undocumented(service), "operations": _undocumented(operations), "shapes": _undocumented(shapes)}


def _references(node: object) -> Iterator[str]:
    """The names of the shapes that a part of a description refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _undocumented(node: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, dict):
        return {name: _undocumented(value) for name, value in node.items() if not _is_documentation(name, value)}
    return [_undocumented(value) for value in node] if isinstance(node, list) else node


def _is_documentation(name: str, value: object) -> bool:
    return name == "documentation" and isinstance(value, str)


def _of_services(endpoints: Json) -> Json:
    partitions = [
        {**partition, "services": {name: one for name, one in partition["services"].items() if name in OPERATIONS}}
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


if __name__ == "__main__":
    slim(Path(sys.argv[1]))
