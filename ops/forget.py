"""`relay forget`: deletes what the deployment keeps of a person, and says what each vendor must be asked."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import typer

from ops import agent_modules, ledger
from ops.dead_letters import DeadLetter, dead_letters
from ops.errors import UsageError
from ops.layout import Row
from ops.prompts import confirm
from ops.queues import Depth, put_back
from ops.show import Show
from ops.stage import AgentStack, Stage, client
from relay.delivery.retry import MAX_WAIT
from relay.event.model import Event
from relay.ledger.device_order import text_in_group
from relay.ledger.keys import LedgerKeys

CENT = 0.01
UNIT_BYTES = 8192
"""What one read request unit reads of a scan that need not be consistent. Source: DynamoDB developer guide, 2026-11."""

USD_PER_MILLION_UNITS = 0.125
"""us-east-1, on demand, 2026-11. Source: https://aws.amazon.com/dynamodb/pricing/on-demand/"""


class Person(NamedTuple):
    """Whose data is deleted: ids as events carry them, None where not given."""

    app: str
    device: str | None
    anonymous: str | None
    customer: str | None

    def matches(self, event: Event | None) -> bool:
        """Whether an event is of this person."""
        if event is None or event.app_id != self.app:
            return False
        pairs = (
            (self.device, event.device.id),
            (self.anonymous, event.anonymous_id),
            (self.customer, event.customer_id),
        )
        return any(mine is not None and mine == theirs for mine, theirs in pairs)


def forget(
    stage: Stage,
    show: Show,
    *,
    app: Annotated[str, typer.Option("--app", envvar="RELAY_APP", help="The app that sent the person's events.")],
    device: Annotated[str | None, typer.Option(help="device.id: its rows are deleted exactly.")] = None,
    anonymous: Annotated[str | None, typer.Option(help="anonymousId, of events without device.id.")] = None,
    customer: Annotated[str | None, typer.Option(help="customerId: finds the person's devices by a scan.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Deletes what is kept of a person: rows of devices, parked messages; lists what to ask the vendors."""
    person = Person(app, device, anonymous, customer)
    if not any(person[1:]):
        raise UsageError("Name the person by --device, --anonymous or --customer.")
    table = stage.resources["Receipts"]
    if not show.as_json:
        show.say(_scan_cost(table) if customer else "The rows are read by their keys: no scan.")
    confirm(f"Delete what {stage.name} keeps of this person?", yes=yes)
    rows = sum(_delete_row(table, key) for key in _keys(stage, table, person))
    messages = sum(_drop(agent, person) for agent in stage.agents.values())
    document = {"app": app, "rows": rows, "messages": messages, "queues": _queues(stage), "vendors": _vendors(stage)}
    if show.as_json:
        show.document(document)
    else:
        _print(show, document)


def _print(show: Show, document: dict[str, Any]) -> None:
    queues = document["queues"]
    show.done(document, f"Deleted: rows of devices {document['rows']}, parked messages {document['messages']}.")
    show.say(
        f"{queues['messages']} messages of anybody wait in queues, which cannot be searched: the last of them ends, "
        f"or is parked, by {queues['settledBy']}; what is parked is gone by {queues['emptyBy']}. "
        f"To delete it sooner, run this again on {queues['settledBy']}."
        if queues["messages"]
        else "The queues are empty: nothing of the person is on its way."
    )
    show.rows(document["vendors"], ("agent", "identity", "request", "api"), "What to ask each vendor")


def _keys(stage: Stage, table: str, person: Person) -> Iterator[Row]:
    """Yields the keys of the person's device rows: by id, and for a customer those that name them as the owner."""
    ordered = [name for name in stage.agents if agent_modules.deployed(stage, name).ordered]
    events = [_event(person.app, device={"id": person.device})] if person.device else []
    events += [_event(person.app, anonymousId=person.anonymous)] if person.anonymous else []
    events += [_event(person.app, customerId=person.customer)] if person.customer else []
    exact = {f"{agent}#{event.group}" for agent in ordered for event in events}
    keys = ledger.keys_or_none(stage)
    found = set(_owned_by(table, person.customer, keys)) if person.customer and keys else set()
    for key in sorted(exact | found):
        yield {"event": {"S": key}, "agent": {"S": "order"}}


def _event(app: str, **who: Any) -> Event:  # noqa: ANN401 - an event's own fields
    now = datetime.now(UTC).isoformat()
    stamps = {"eventId": "forget", "occurredAt": now, "receivedAt": now, "sequence": 1}
    return Event.load(json.dumps({"type": "open", "appId": app, **stamps, **who}))


def _owned_by(table: str, customer: str, keys: LedgerKeys) -> Iterator[str]:
    """Scans the table for rows of devices whose newest event was this customer's."""
    pages = (
        client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            FilterExpression="#agent = :order",
            ProjectionExpression="#event, #person",
            ExpressionAttributeNames={"#agent": "agent", "#event": "event", "#person": "person"},
            ExpressionAttributeValues={":order": {"S": "order"}},
        )
    )
    for row in (row for page in pages for row in page["Items"]):
        key = row["event"]["S"]
        if keys.is_of(row.get("person", {}).get("S", ""), text_in_group(key.partition("#")[2], customer)):
            yield key


def _delete_row(table: str, key: Row) -> bool:
    """Deletes a row; whether there was one."""
    answer = client("dynamodb").delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")
    return "Attributes" in answer


def _drop(agent: AgentStack, person: Person) -> int:
    """Deletes the person's parked messages at an agent, and returns their number."""
    url, dropped = agent.resource("DeadLetterQueue"), 0
    others: dict[str, str] = {}
    try:
        # SQS returns a device's second message only after its first is gone.
        while found := [one for one in dead_letters(agent) if one.message["MessageId"] not in others]:
            others |= {_id(one): _handle(one) for one in found if not person.matches(one.event)}
            for one in (one for one in found if person.matches(one.event)):
                client("sqs").delete_message(QueueUrl=url, ReceiptHandle=_handle(one))
                dropped += 1
    finally:
        put_back(url, list(others.values()))
    return dropped


def _id(one: DeadLetter) -> str:
    return str(one.message["MessageId"])


def _handle(one: DeadLetter) -> str:
    return str(one.message["ReceiptHandle"])


def _queues(stage: Stage) -> dict[str, Any]:
    """Counts the messages that wait, and says when none that waits now can exist any more."""
    urls = [agent.resource("Queue") for agent in stage.agents.values()] + [stage.resources["UndeliveredQueue"]]
    now = datetime.now(UTC)
    settled = now + MAX_WAIT
    return {
        "messages": sum(Depth.of(url).all for url in urls),
        "settledBy": f"{settled:%Y-%m-%d}",
        "emptyBy": f"{settled + _retention(urls):%Y-%m-%d}",
    }


def _retention(urls: Sequence[str]) -> timedelta:
    """Reads the longest time for which SQS keeps a message."""
    name = "MessageRetentionPeriod"
    answers = (client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name]) for url in urls)
    return timedelta(seconds=max(int(answer["Attributes"][name]) for answer in answers))


def _vendors(stage: Stage) -> list[Row]:
    return [
        {"agent": name, **row}
        for name in stage.agents
        for row in agent_modules.erasure(agent_modules.code_of(stage, name))
    ]


def _scan_cost(table: str) -> str:
    """Explains the cost of a scan by DynamoDB's own figures, which are up to six hours old."""
    found = client("dynamodb").describe_table(TableName=table)["Table"]
    size, rows = int(found.get("TableSizeBytes", 0)), int(found.get("ItemCount", 0))
    units = size / UNIT_BYTES
    usd = units * USD_PER_MILLION_UNITS / 1_000_000
    return (
        f"--customer scans the table: {rows:,} rows, {size / 1e6:,.1f} MB, {units:,.0f} read units, "
        f"{f'about {usd:.2f}' if usd >= CENT else 'less than 0.01'} USD on demand (us-east-1 list price). "
        "With provisioned capacity the scan competes with deliveries."
    )
