"""Rows of a DynamoDB table: one at a time, or many by one call."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from relay.aws import clients
from relay.errors import LedgerUnavailable

MAX_READS = 100
MAX_WRITES = 25
"""What one call takes. Source: DynamoDB API reference, BatchGetItem, BatchWriteItem and BatchExecuteStatement."""

BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4)

Row = dict[str, Any]
"""Attributes by name in DynamoDB's own form, `{"S": text}` or `{"N": digits}`; a key has `event` and `agent` alone."""


class ConditionalWrite(NamedTuple):
    """What a row is to be, where it is there and a condition holds: PartiQL, with a `?` for each value in `parameters`.

    Without a condition: where there is none.
    """

    row: Row
    condition: str = ""
    parameters: Sequence[Row] = ()


class _ConditionFailedError(Exception):
    """The row is not as the condition wants it."""


def get(table: str, key: Row) -> Row:
    """A row, as it is now; empty where there is none."""
    row: Row = _call("get_item", TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    return row


def read(table: str, keys: Sequence[Row]) -> list[Row]:
    """Rows in the order of their keys, as they are now; empty where there is none. 100 by a call."""
    wanted = {_identity(key): key for key in keys}
    found: dict[tuple[str, str], Row] = {}
    for some in _slices(list(wanted.values()), MAX_READS):
        parameters: Row | None = {table: {"Keys": some, "ConsistentRead": True}}
        for _ in _tries():
            answer = _call("batch_get_item", RequestItems=parameters)
            found |= {_identity(row): row for row in answer["Responses"].get(table, [])}
            parameters = answer.get("UnprocessedKeys")
            if not parameters:
                break
        else:
            raise LedgerUnavailable("too many reads at once")
    return [found.get(_identity(key), {}) for key in keys]


def write(table: str, rows: Sequence[Row]) -> list[bool]:
    """Puts rows in the place of what is there; whether each was written. 25 by a call, the last of a key counts."""
    wanted = {_identity(row): {"PutRequest": {"Item": row}} for row in rows}
    left: set[tuple[str, str]] = set()
    for some in _slices(list(wanted.values()), MAX_WRITES):
        parameters: Row | None = {table: some}
        for _ in _tries():
            parameters = _call("batch_write_item", RequestItems=parameters).get("UnprocessedItems")
            if not parameters:
                break
        left |= {_identity(request["PutRequest"]["Item"]) for request in (parameters or {}).get(table, [])}
    return [_identity(row) not in left for row in rows]


def _tries() -> Iterator[None]:
    """What DynamoDB leaves unprocessed is asked for again after a wait that doubles, as its developer guide advises."""
    for wait in (0.0, *BACKOFF_SECONDS):
        if wait:
            time.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - to spread the load, not to hide a secret
        yield


def insert(table: str, rows: Sequence[Row]) -> list[bool]:
    """Writes rows where there are none; whether each was written. 25 by a call, the first of a key counts."""
    wanted = {_identity(row): position for position, row in reversed(list(enumerate(rows)))}
    statements = [_inserting(table, rows[position]) for position in sorted(wanted.values())]
    written = dict(zip(sorted(wanted.values()), _executed(statements), strict=True))
    return [written.get(position, False) for position in range(len(rows))]


def change(table: str, changes: Sequence[ConditionalWrite]) -> list[bool]:
    """Changes rows, no two of one key; whether each was changed. 25 by a call.

    Source: DynamoDB developer guide, PartiQL update statements: the conditions beside the key decide, and a row that is
    not there is an error as well.
    """
    return _executed([_changing(table, one) if one.condition else _inserting(table, one.row) for one in changes])


def _executed(statements: Sequence[Row]) -> list[bool]:
    answers: list[Row] = []
    for some in _slices(statements, MAX_WRITES):
        answers += _call("batch_execute_statement", Statements=some)["Responses"]
    return ["Error" not in answer for answer in answers]


def replace(table: str, row: Row, condition: str, names: Mapping[str, str], values: Row) -> None:
    """Puts a row in the place of what is there, where a condition holds."""
    expressions = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    with suppress(_ConditionFailedError):
        _call("put_item", TableName=table, Item=row, ConditionExpression=condition, **expressions)


def update(table: str, **change: Any) -> Row | None:  # noqa: ANN401 - botocore's own arguments
    """Changes one row and answers what `ReturnValues` asks for; None if the condition does not hold."""
    try:
        row: Row = _call("update_item", TableName=table, **change).get("Attributes", {})
    except _ConditionFailedError:
        return None
    return row


def query(table: str, **parameters: Any) -> list[Row]:  # noqa: ANN401 - as above
    """The rows that a key condition names, as they are now."""
    rows: list[Row] = _call("query", TableName=table, ConsistentRead=True, **parameters)["Items"]
    return rows


def string(value: str) -> Row:
    """A text as an attribute."""
    return {"S": value}


def number(value: int) -> Row:
    """A number as an attribute."""
    return {"N": str(value)}


def split_key(row: Row) -> tuple[Row, Row]:
    """A row's key, and its other attributes."""
    key = {name: row[name] for name in ("event", "agent")}
    return key, {name: value for name, value in row.items() if name not in key}


def to_python(value: Mapping[str, Any]) -> str | int | None:
    """An attribute as a value; None for what the ledger does not write."""
    if "N" in value:
        digits = str(value["N"])
        return int(digits) if digits.removeprefix("-").isdecimal() else None
    text = value.get("S")
    return text if isinstance(text, str) else None


def _inserting(table: str, row: Row) -> Row:
    value = ", ".join(f"'{name}': ?" for name in row)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{value}}}', "Parameters": list(row.values())}


def _changing(table: str, wanted: ConditionalWrite) -> Row:
    key, values = split_key(wanted.row)
    # SET for each: so the developer guide writes it.
    setting = " ".join(f'SET "{name}" = ?' for name in values)
    return {
        "Statement": f'UPDATE "{table}" {setting} WHERE "event" = ? AND "agent" = ? AND ({wanted.condition})',
        "Parameters": [*values.values(), key["event"], key["agent"], *wanted.parameters],
    }


def _identity(row: Row) -> tuple[str, str]:
    return row["event"]["S"], row["agent"]["S"]


def _slices(items: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _call(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - botocore's own arguments and answers
    try:
        return getattr(clients.dynamodb(), operation)(**arguments)
    except clients.AwsError as fault:
        code = clients.error_code(fault)
        if code == "ConditionalCheckFailedException":
            raise _ConditionFailedError from None
        raise LedgerUnavailable(code) from None
