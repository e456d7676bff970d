"""The repository's own rules: one version everywhere, dated changes, and workflows that run nothing unpinned."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import yaml

from relay import __version__

HEADING = re.compile(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40}")


def test_the_package_relay_and_the_newest_dated_changes_have_one_version() -> None:
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    dated = [name for name, date in HEADING.findall(Path("CHANGELOG.md").read_text()) if date]
    assert version == __version__ == dated[0]


def test_every_version_in_the_changelog_is_dated_and_newest_first_after_what_is_unreleased() -> None:
    lines = Path("CHANGELOG.md").read_text().splitlines()
    headings = [HEADING.fullmatch(line) for line in lines if line.startswith("## ")]
    found = [(match[1], match[2]) for match in headings if match]
    assert len(found) == len(headings)
    assert found[0] == ("Unreleased", None)
    assert all(date for _, date in found[1:])
    assert all(newer > older for (_, newer), (_, older) in pairwise(found[1:]))


def test_a_workflow_runs_what_contributors_run_and_its_actions_are_pinned_by_commit() -> None:
    (job,) = yaml.safe_load(Path(".github/workflows/ci.yml").read_text())["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert used
    assert all(PINNED.fullmatch(action) for action in used)
