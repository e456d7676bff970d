"""Looks for secrets in the tree and in git's history, and for known vulnerabilities in the locked dependencies.

`python -m local.audit` does both, `python -m local.audit secrets` the first alone. Ends with 0 where nothing was found,
1 where something was, and 3 where nothing was found but the vulnerability data could not be reached.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / ".secrets.json"
"""Texts that look like secrets and are none: the first 16 digits of each one's SHA-256, and why it is none."""

LOCKS = [ROOT / "layers/runtime/requirements.txt", *sorted((ROOT / "locks").glob("*.txt"))]
FOUND, UNREACHED = 1, 3

# Not these of detect-secrets: their guesses find every example in the tests, and push tokens.
_NOISY = {
    "KeywordDetector",
    "Base64HighEntropyString",
    "HexHighEntropyString",
    "IPPublicDetector",
    "ArtifactoryDetector",
}
_OURS = {
    "session-relay app key": re.compile(r"\b[ps]k_[a-z0-9][a-z0-9-]{0,62}_[A-Za-z0-9]{32}\b"),
    "Standard Webhooks secret": re.compile(r"\bwhsec_[A-Za-z0-9+/]{32,}={0,2}"),
    "Meta access token": re.compile(r"\bEAA[A-Za-z0-9]{40,}\b"),
    "Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "DashX private key": re.compile(r"\bprv_[A-Za-z0-9]{32,}\b"),
}


@dataclass(frozen=True)
class Find:
    """A text that looks like a secret, and where it stands."""

    kind: str
    where: str
    text: str

    @property
    def digest(self) -> str:
        """By what the list of known texts names it."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def find(where: str, line: str) -> Iterator[Find]:
    """What looks like a secret in a line."""
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(line):
            yield Find(kind, where, match[0])


def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    patterns = list(_OURS.items())
    detectors: dict[str, Any] = dict(get_mapping_from_secret_type_to_class())
    for kind, detector in detectors.items():
        if issubclass(detector, RegexBasedDetector) and detector.__name__ not in _NOISY:
            patterns += [(kind, pattern) for pattern in detector().denylist]
    return patterns


_PATTERNS = _patterns()


def _lines_of_the_tree() -> Iterator[tuple[str, str]]:
    for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        path = ROOT / name
        if name and path.is_file():
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                yield f"{name}:{number}", line


def _lines_of_the_history() -> Iterator[tuple[str, str]]:
    where = ""
    for line in _git("log", "--all", "--patch", "--unified=0", "--no-color", "--format=commit %h").splitlines():
        if line.startswith("commit "):
            commit = line.split()[1]
        elif line.startswith("+++ "):
            where = f"{commit} {line[6:]}"
        elif line.startswith("+"):
            yield where, line[1:]


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode(errors="replace")


def secrets() -> int:
    """Looks at every line of the tree and every line that git's history has added."""
    known, lines = json.loads(KNOWN.read_text()), 0
    finds: dict[str, Find] = {}
    for source in (_lines_of_the_history(), _lines_of_the_tree()):
        for where, line in source:
            lines += 1
            finds.update({one.digest: one for one in find(where, line)})
    for one in finds.values():
        if one.digest not in known:
            print(f"{one.where}: {one.kind}, {one.text[:6]}…; if it is none, say why in {KNOWN.name}: {one.digest}")
    stale = known.keys() - finds.keys()
    if stale:
        print(f"{KNOWN.name} names what is nowhere any more: {', '.join(sorted(stale))}")
    print(f"secrets: {lines} lines of the tree and its history, {len(finds.keys() - known.keys())} found")
    return FOUND if finds.keys() - known.keys() or stale else 0


def dependencies() -> int:
    """Asks PyPI's vulnerability data about every locked version; says so where it has no answer."""
    return _worst(map(_dependencies_of, LOCKS))


def _dependencies_of(lock: Path) -> int:
    packages = _audited(lock)
    vulnerable = [one for one in packages if one.get("vulns")]
    checked = sum("skip_reason" not in one for one in packages)
    for one in vulnerable:
        print(f"{lock.name}: {one['name']} {one['version']}: {', '.join(vuln['id'] for vuln in one['vulns'])}")
    complete = bool(packages) and checked == len(packages)
    missing = "" if complete else "; COULD NOT REACH the vulnerability data for the others: nothing is known of them"
    print(f"{lock.name}: {checked} of {len(packages) or 'all'} packages checked, {len(vulnerable)} vulnerable{missing}")
    return FOUND if vulnerable else 0 if complete else UNREACHED


def _worst(codes: Iterable[int]) -> int:
    seen = set(codes)
    return next((code for code in (FOUND, UNREACHED) if code in seen), 0)


def _audited(lock: Path) -> list[dict[str, Any]]:
    """pip-audit's answer for a lock, package by package; empty where it had none."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    run = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "10"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except ValueError:
        return []
    return packages


if __name__ == "__main__":
    parts = [secrets] if sys.argv[1:] == ["secrets"] else [secrets, dependencies]
    sys.exit(_worst(part() for part in parts))
