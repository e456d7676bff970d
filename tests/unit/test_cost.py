"""What the cost assumes: a receive for each message on quiet queues, billed starts, and no price that was not found."""

from dataclasses import replace
from math import isnan

import pytest

from bench import cost, samples
from bench.template import deployed
from bench.traffic import MILLION, Measured, Traffic

ROWS = {"dynamodb.BatchExecuteStatement": 1, "dynamodb.BatchWriteItem": 1}
DELIVERY = {
    "cpu_ms": 1.0,
    "cpu_ms_alone": 4.0,
    "log_bytes": 230.0,
    "log_bytes_alone": 590.0,
    "rows": ROWS,
    "rows_alone": ROWS,
}
MEASURED = Measured(
    ingest_us=1_700,
    ingest_ten_us=6_000,
    ingest_log_bytes=333,
    response_bytes=200,
    agents={
        name: DELIVERY | {"calls": {f"agent.{name}": 1}, "bytes": {f"agent.{name}": 900}} for name in samples.AGENTS
    },
    warm_ms={},
    cold_ms={(name, 256): 2_200.0 for name in samples.AGENTS},
)


def parts(traffic: Traffic, region: str = cost.US_EAST) -> dict[str, float]:
    return cost.per_million(MEASURED, deployed(), traffic, region)


def test_on_a_quiet_queue_a_receive_brings_one_message() -> None:
    (sent, received, deleted) = (1.0, 1.0, 1.0)
    ordered = 3 * (sent + received + deleted) * 0.5
    batches = 11.574 / 5
    others = 3 * (sent + received + deleted / batches) * 0.4
    assert parts(Traffic())["SQS"] == pytest.approx(ordered + others, abs=0.01)


def test_on_a_busy_queue_a_receive_brings_ten_at_most() -> None:
    assert Traffic(events_a_second=1_000).received() == pytest.approx(4)
    assert Traffic(events_a_second=100_000).received() == 10


def test_ten_events_of_one_call_are_one_request_and_one_receive_of_each_queue() -> None:
    one, ten = parts(Traffic()), parts(Traffic(per_call=10))
    assert ten["API Gateway"] == pytest.approx(one["API Gateway"] / 10)
    assert ten["SQS"] == pytest.approx(3 * 1.2 * 0.5 + 3 * 1.2 * 0.4)


def test_an_ordered_agent_delivers_ten_events_of_one_device_one_after_the_other() -> None:
    template, traffic = deployed(), Traffic(per_call=10)
    assert all(traffic.are_alone(name, template) == (name in samples.ORDERED) for name in samples.AGENTS)
    slower = replace(MEASURED, warm_ms={("emarsys", template.agent_memory): 1_000.0})
    seconds = (1_000 - MEASURED.milliseconds("emarsys", template.agent_memory)) / 1_000
    more = cost.per_million(slower, template, traffic)["Lambda, duration"] - parts(traffic)["Lambda, duration"]
    assert more == pytest.approx(MILLION * seconds * template.agent_memory / 1024 * 1.33334e-05)


def test_starts_are_billed_for_one_invocation_in_a_hundred() -> None:
    twice = replace(MEASURED, cold_ms={key: 2 * ms for key, ms in MEASURED.cold_ms.items()})
    invocations = 3 * 1.0 + 3 / (11.574 / 5)
    more = cost.per_million(twice, deployed(), Traffic())["Lambda, starts"] - parts(Traffic())["Lambda, starts"]
    assert more == pytest.approx(0.01 * invocations * MILLION * 2.2 / 4 * 1.33334e-05, rel=0.001)


def test_a_response_leaves_aws_with_its_body_and_headers() -> None:
    assert parts(Traffic())["Transfer to callers"] == pytest.approx(600 * MILLION / 1e9 * 0.09)


def test_what_a_price_was_not_found_for_is_no_number_and_is_not_shown() -> None:
    there = parts(Traffic(), cost.SAO_PAULO)
    assert there["API Gateway"] == pytest.approx(4.25)
    assert {name for name, usd in there.items() if isnan(usd)} >= {"SQS", "SNS", "DynamoDB", "Lambda, duration"}
    shown = {row.name: row.more["sa_east_1"] for row in cost.rows(MEASURED) if row.part == "cost"}
    assert shown["API Gateway"] == pytest.approx(4.25)
    assert shown["SQS"] is None
    assert shown["total"] is None
