"""The digest of a build and its parameters, by which `make deploy` names a release.

`python -m ops.digest FOLDER [NAME=VALUE ...]`: the folder that `sam build` made, and the parameters of the deployment.
"""

import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

LENGTH = 16
"""Hex digits of a release's name: enough to tell one account's releases apart."""


def digest(build: Path, parameters: Sequence[str]) -> str:
    """The digest of every file of a build, by its path in it, and of the parameters in any order."""
    files = sorted(path for path in build.rglob("*") if path.is_file())
    contents = [f"{path.relative_to(build)} {sha256(path.read_bytes()).hexdigest()}" for path in files]
    return sha256("\n".join([*contents, *sorted(parameters)]).encode()).hexdigest()[:LENGTH]


if __name__ == "__main__":
    sys.stdout.write(digest(Path(sys.argv[1]), sys.argv[2:]) + "\n")
