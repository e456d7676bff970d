"""The benchmarks run, and say something of every part; what they say is for people to judge, not for a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import memory
from bench.cost import WRITES
from bench.measure import Extent
from relay.delivery.batch import MAX_CHUNKS_IN_FLIGHT

pytestmark = pytest.mark.slow

PARTS = {"mapping", "ingest", "cold start", "restored", "delivery", "cost", "idle", "cost if", "outage"}

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(["layers/runtime", "."])}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run writes: every part but the one that needs a local cloud."""
    output = tmp_path_factory.mktemp("bench") / "bench.json"
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", "bench", "--quick", "--output", str(output)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = json.loads(output.read_text())
    return document


def test_two_commits_take_turns_and_each_row_says_their_ratio(tmp_path: Path) -> None:
    output = tmp_path / "against.json"
    command = [sys.executable, "-m", "bench", "--quick", "--against", "HEAD", "--output", str(output)]
    ran = subprocess.run([*command, "cold", "mapping"], capture_output=True, text=True, check=False, env=ENVIRONMENT)  # noqa: S603 - our own code
    assert ran.returncode == 0, ran.stderr
    parts = json.loads(output.read_text())["parts"]
    assert parts.keys() == {"starts against", "mapping against"}
    for row in (row for rows in parts.values() for row in rows):
        assert row["ratio"] == pytest.approx(row["value"] / row["more"]["theirs"])
        assert row["more"]["revision"]
        assert row["reference"].endswith(row["more"]["revision"])
    assert not list(Path(".local/bench").glob("against-*"))


def test_a_commit_that_git_does_not_know_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--against", "no-such-commit", "--output", str(tmp_path / "none.json")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)  # noqa: S603 - our own code
    assert ran.returncode == 2
    assert "git knows no commit 'no-such-commit' here" in ran.stderr


def test_every_part_is_there_with_the_machine_and_the_time(results: dict[str, Any]) -> None:
    # A share of the processor can be given where cgroups can be made.
    assert results["parts"].keys() - {"memory"} == PARTS
    assert all(results["parts"].values())
    assert results["at"]
    assert results["machine"].keys() == {"cores", "processor", "system", "python"}


def test_what_has_a_target_says_whether_it_is_met(results: dict[str, Any]) -> None:
    rows = [row for rows in results["parts"].values() for row in rows]
    assert all((row["met"] is not None) == bool(row["target"]) for row in rows)
    assert all(row["value"] >= 0 or row["name"] == "What AWS gives every account" for row in rows)


def test_a_warm_delivery_writes_twice_at_most_and_an_event_once(results: dict[str, Any]) -> None:
    for row in results["parts"]["delivery"]:
        rows = row["more"]["rows"]
        assert sum(rows.get(f"dynamodb.{call}", 0) for call in WRITES) <= 2
    (one, ten) = results["parts"]["ingest"]
    assert one["more"]["calls"] == {"sns.Publish": 1, "dynamodb.BatchWriteItem": 1}
    assert ten["more"]["calls"] == {"sns.PublishBatch": 1, "dynamodb.BatchWriteItem": 1}
    # A line for each event, as an operator is to find it.
    assert ten["more"]["log_bytes"] == 10 * one["more"]["log_bytes"] > 0


def test_a_delivery_among_others_logs_four_hundred_bytes_at_most(results: dict[str, Any]) -> None:
    assert all(row["more"]["log_bytes"] <= 400 for row in results["parts"]["delivery"])


def test_a_delivery_makes_no_call_to_ssm_while_its_settings_are_warm(results: dict[str, Any]) -> None:
    # Each chunk of the first of the two batches reads them, and the app's record.
    for row in results["parts"]["delivery"]:
        assert round(row["more"]["calls"]["ssm.GetParameter"] * row["more"]["batch"] * 2) <= 2 * MAX_CHUNKS_IN_FLIGHT


def test_memory_is_left_out_and_says_so_where_no_share_of_a_processor_can_be_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("_CPU", "_UNIFIED"):
        monkeypatch.setattr(memory, name, tmp_path / "none")
    said: list[str] = []
    assert list(memory.measure(Extent.quick(), said.append)) == []
    assert said[0].startswith("memory: left out")


def test_every_price_has_its_source_and_date() -> None:
    table = json.loads(Path("bench/prices.json").read_text())
    assert table["read"] == "2026-11-27"
    assert all(price["source"].startswith("https://aws.amazon.com/") for price in table["prices"].values())
