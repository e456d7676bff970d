"""Leaves of the libraries what our code uses: botocore's other descriptions alone are a fifth of a cold start.

`python3 slim.py FOLDER`: the folder of the layer's packages. botocore describes every AWS service, its operations and
its endpoints in JSON, which it reads and makes a class of whenever a function starts. Kept are the operations named
here, and the shapes that those need; tests/unit/test_slim.py knows which ones the code calls.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

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

Json = dict[str, Any]


def slim(packages: Path) -> None:
    """Rewrites botocore's data in place, and removes what is not used."""
    for name in UNUSED:
        for folder in packages.glob(f"{name}*"):
            shutil.rmtree(folder)
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
