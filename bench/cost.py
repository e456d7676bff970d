"""Cost: a million events to six agents, and a month without any, at list price, from what this run has measured."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import isnan, nan
from typing import Any

from bench import samples
from bench.measure import Row
from bench.template import Deployed, deployed
from bench.traffic import FEWEST_POLLERS, FULL_MEMORY, MILLION, POLLERS, Measured, Traffic, share

US_EAST, SAO_PAULO = "us-east-1", "sa-east-1"
TARGET, IDLE_TARGET = 20.0, 3.0
IDLE_AT_LIST_PRICE = "idle, in an account that uses up what AWS gives"

MEMORIES = (FULL_MEMORY, 512, 256, 128)
"""What a function may be given: a whole processor, and less."""

STARTS = 0.01
"""Of invocations that wait for a start, at most: "typically under 1 %" (AWS Compute Blog, 2025-04-29). Since
2025-08-01 its INIT phase is billed like the invocation."""

GATEWAY_BYTES = 400
"""What API Gateway's own headers add to a response: request ids, trace, date, content type and length."""

MONTH_SECONDS = 30 * 86_400
HEADER_BYTES = 450
"""What an HTTPS request to an agent has beside its body."""

ROW_BYTES = 190
"""A row of the ledger, with DynamoDB's own hundred."""

DAYS_KEPT = 15
METRICS_IN_USE = 4 + 6 * 4
"""Custom metrics with data while all goes well: of ingest and the stage, and of each agent."""

WRITES = ("BatchExecuteStatement", "BatchWriteItem", "PutItem", "UpdateItem")
"""What DynamoDB counts as writes; PartiQL's are its inserts."""

Parts = dict[str, float]


def rows(measured: Measured) -> Iterator[Row]:
    """The cost by part, the totals, and what would change them."""
    template, traffic = deployed(), Traffic()
    parts = per_million(measured, template, traffic)
    yield from _table("cost", parts, TARGET, per_million(measured, template, traffic, SAO_PAULO))
    nothing = idle(template)
    free = -given(template, nothing[_WAITS])
    yield from _table("idle", nothing | {"What AWS gives every account": free}, IDLE_TARGET)
    yield from _changes(measured, template, traffic)


def _table(kind: str, parts: Parts, target: float, elsewhere: Mapping[str, float] | None = None) -> Iterator[Row]:
    """A row for each part and the total; `elsewhere` are the parts in São Paulo, as far as their prices are known."""
    unit = "USD/M" if kind == "cost" else "USD/month"
    known = {name: usd for name, usd in (elsewhere or {}).items() if not isnan(usd)}
    for name, usd in parts.items():
        there = known.get(name)
        note = "" if there is None else f"{SAO_PAULO} {there:.2f}"
        yield Row(kind, name, usd, unit, more={"sa_east_1": there}, note=note)
    total = sum(parts.values())
    yield Row(kind, "total", total, unit, target=f"≤ {target:g}", met=total <= target, more={"sa_east_1": None})


def per_million(measured: Measured, template: Deployed, traffic: Traffic, region: str = US_EAST) -> Parts:
    """US dollars for a million events, a login at six agents each; not a number where a price is missing."""
    calls = MILLION / traffic.per_call
    invocations = {name: MILLION / traffic.batch(name, template) for name in samples.AGENTS}
    price = prices(region)
    event_gb = len(samples.message()) / 1e9 * MILLION
    writes, reads = _units(measured, template, traffic)
    # Lambda's own lines, START, END and REPORT, are below the template's SystemLogLevel.
    own = {name: measured.each(name, "log_bytes", traffic.batch(name, template)) for name in samples.AGENTS}
    logged = MILLION * (measured.ingest_log_bytes + sum(own.values()))
    sent = MILLION * sum(measured.counts(name, "bytes")["agent." + name] for name in samples.AGENTS)
    # A batch that is sent by one request is one here as well, however large it was when it was measured.
    requests = sum(
        max(MILLION * measured.counts(name, "calls")["agent." + name], invocations[name]) for name in samples.AGENTS
    )
    gateway = "api_gateway_http_request" if traffic.http else "api_gateway_rest_request"
    return {
        "API Gateway": calls * price[gateway],
        "Lambda, requests": (calls + sum(invocations.values())) * price["lambda_request"],
        "Lambda, duration": _gb_seconds(measured, template, traffic, invocations) * price["lambda_gb_second"],
        "Lambda, starts": _starting_gb_seconds(measured, template, calls, invocations) * price["lambda_gb_second"],
        "SNS": MILLION * (price["sns_fifo_publish"] + 6 * price["sns_fifo_delivery"])
        + event_gb * (price["sns_fifo_publish_gb"] + 6 * price["sns_fifo_delivery_gb"]),
        "SQS": sum(_queue(name, invocations[name], traffic, price) for name in samples.AGENTS),
        "DynamoDB": writes * price["dynamodb_write"]
        + reads * price["dynamodb_read"]
        + 10 * MILLION * ROW_BYTES / 1e9 * DAYS_KEPT / 30 * price["dynamodb_gb_month"],
        "Logs": logged / 1e9 * (price["logs_gb"] + price["logs_gb_month"] / 6),
        "SSM": price["ssm_standard"],
        "Transfer to the agents": (sent + requests * HEADER_BYTES) / 1e9 * price["transfer_gb"],
        "Transfer to callers": (MILLION * measured.response_bytes + calls * GATEWAY_BYTES) / 1e9 * price["transfer_gb"],
    }


def _gb_seconds(measured: Measured, template: Deployed, traffic: Traffic, invocations: Mapping[str, float]) -> float:
    """Billed: what an invocation takes alone, and for the rest of its batch the processor's time, or each as alone."""
    more_of_call = (measured.ingest_ten_us - measured.ingest_us) / 9 / 1e3 / share(template.ingest_memory)
    ingest = measured.milliseconds("ingest", template.ingest_memory) + (traffic.per_call - 1) * more_of_call
    agents = 0.0
    for name, times in invocations.items():
        alone = measured.milliseconds(name, template.agent_memory)
        more = measured.agents[name]["cpu_ms"] / share(template.agent_memory)
        each = alone if traffic.are_alone(name, template) else more
        agents += times * (alone + (traffic.batch(name, template) - 1) * each)
    calls = MILLION / traffic.per_call
    return (calls * ingest * template.ingest_memory + agents * template.agent_memory) / 1000 / 1024


def _starting_gb_seconds(
    measured: Measured, template: Deployed, calls: float, invocations: Mapping[str, float]
) -> float:
    """Billed for starts, where as many invocations wait for one as AWS says at most."""
    ingest = calls * measured.starting("ingest", template.ingest_memory) * template.ingest_memory
    agents = sum(times * measured.starting(name, template.agent_memory) for name, times in invocations.items())
    return STARTS * (ingest + agents * template.agent_memory) / 1000 / 1024


def _queue(agent: str, invocations: float, traffic: Traffic, price: Mapping[str, float]) -> float:
    """SNS sends each message; Lambda receives what is there, and deletes a batch's ten at a time."""
    requests = MILLION + MILLION / traffic.received() + max(invocations, MILLION / 10)
    return requests * price[_request(agent)]


def _request(agent: str) -> str:
    return "sqs_fifo_request" if agent in samples.ORDERED else "sqs_standard_request"


def _units(measured: Measured, template: Deployed, traffic: Traffic) -> tuple[float, float]:
    """Rows written and read for a million events; a delivery that is alone in its batch does not read its device."""
    alone = {name: traffic.are_alone(name, template) for name in samples.AGENTS}
    deliveries = [measured.counts(name, "rows_alone" if is_alone else "rows") for name, is_alone in alone.items()]
    writes = 1 + sum(rows.get(f"dynamodb.{call}", 0) for rows in deliveries for call in WRITES)
    # Of a batch's start only: the circuit is looked at every five seconds.
    reads = sum(round(rows.get("dynamodb.BatchGetItem", 0)) for rows in deliveries)
    return MILLION * writes, MILLION * reads


def idle(template: Deployed, pollers: int = POLLERS) -> Parts:
    """US dollars for a month in which nothing happens, with so many receivers on each standard queue."""
    price, count = prices(), template.resources.get
    ordered = len(samples.ORDERED)
    standard = len(samples.AGENTS) - ordered
    receives = MONTH_SECONDS / 20
    return {
        _WAITS: receives
        * (pollers * standard * price["sqs_standard_request"] + POLLERS * ordered * price["sqs_fifo_request"]),
        "Alarms": template.alarm_metrics * price["alarm_month"],
        "Dashboard": count("AWS::CloudWatch::Dashboard", 0) * price["dashboard_month"],
        "Keys": count("AWS::KMS::Key", 0) * price["kms_key_month"],
    }


_WAITS = "SQS, receivers that wait"


def given(template: Deployed, waits: float) -> float:
    """What of that AWS gives every account each month, for good: of alarms, dashboards and `waits`, in US dollars."""
    price, free = prices(), _table_of_prices()["free"]["each_month"]
    dashboards = template.resources.get("AWS::CloudWatch::Dashboard", 0)
    return float(
        min(waits, free["sqs_request"] * price["sqs_fifo_request"])
        + min(template.alarm_metrics, free["alarm_month"]) * price["alarm_month"]
        + min(dashboards, free["dashboard_month"]) * price["dashboard_month"]
    )


def _changes(measured: Measured, template: Deployed, traffic: Traffic) -> Iterator[Row]:
    """What other choices would make of a million events, and of a month."""
    standard = set(samples.AGENTS) - samples.ORDERED
    wider = {name: 20 if name in standard else 0 for name in samples.AGENTS}
    choices = {
        "an HTTP API instead of REST": (template, replace(traffic, http=True)),
        "a window of 20 s instead": (replace(template, windows=wider), traffic),
        "no limit of batches under way": (template, replace(traffic, pollers=FEWEST_POLLERS)),
        "ten events a call, from a phone's queue": (template, replace(traffic, per_call=10)),
        "ten times the traffic": (template, replace(traffic, events_a_second=traffic.events_a_second * 10)),
        **{
            f"agents with {memory} MB": (replace(template, agent_memory=memory), traffic)
            for memory in MEMORIES[1:]
            if memory != template.agent_memory
        },
        **{
            f"ingest with {memory} MB": (replace(template, ingest_memory=memory), traffic)
            for memory in MEMORIES[:-1]
            if memory != template.ingest_memory
        },
    }
    for name, (deployment, events) in choices.items():
        yield Row("cost if", name, sum(per_million(measured, deployment, events).values()), "USD/M")
    total = sum(per_million(measured, template, traffic).values())
    reserved = _saved_by_reserving(*_units(measured, template, traffic))
    yield Row("cost if", "reserved writes, 70 % used", total - reserved, "USD/M")
    http = sum(per_million(measured, template, replace(traffic, http=True)).values())
    yield Row("cost if", "HTTP API and reserved writes", http - reserved, "USD/M")
    yield from _month_if(template)


def _month_if(template: Deployed) -> Iterator[Row]:
    price = prices()
    yield Row("cost if", "in use: custom metrics, in addition", METRICS_IN_USE * price["metric_month"], "USD/month")
    usual, fewest = idle(template), idle(template, FEWEST_POLLERS)
    yield Row("cost if", IDLE_AT_LIST_PRICE, sum(usual.values()), "USD/month")
    left = sum(fewest.values()) - given(template, fewest[_WAITS])
    yield Row("cost if", "idle, no limit of batches under way", left, "USD/month")
    kept = 2 * template.ingest_memory / 1024 * MONTH_SECONDS * price["snapstart_kept_gb_second"]
    yield Row("cost if", "SnapStart of authorizer and ingest, in addition", kept, "USD/month")


def _saved_by_reserving(writes: float, reads: float) -> float:
    """What reserving saves where traffic is so steady that seven tenths of the writes are used; reads are as many."""
    price = prices()
    reserved = (price["dynamodb_write_capacity_hour"] + price["dynamodb_read_capacity_hour"]) / 3600 / 0.7
    return writes * (price["dynamodb_write"] - reserved) + reads * price["dynamodb_read"]


def prices(region: str = US_EAST) -> Mapping[str, float]:
    """US dollars by what is paid for, as prices.json dates and sources them; not a number where none was found."""
    table = _table_of_prices()
    own = table["prices"] if region == US_EAST else table[region]["prices"]
    return {name: float(own[name]["usd"]) if name in own else nan for name in table["prices"]}


@cache
def _table_of_prices() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((samples.ROOT / "bench/prices.json").read_text())
    return table
