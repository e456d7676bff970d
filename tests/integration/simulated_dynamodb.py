"""DynamoDB in memory: what the ledger asks of it, expressions and all, at a thousandth of moto's time."""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from botocore.exceptions import ClientError

from tests.integration import partiql

Value: TypeAlias = Mapping[str, str]
Row: TypeAlias = dict[str, Value]
Fault: TypeAlias = Literal["refused", "answer lost", "crash before", "crash after"]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[()<>=,]|[#:]?\w+)")


class Crash(BaseException):
    """The function's process ends here."""


@dataclass
class SimulatedDynamoDB:
    """One table; `faults` meet its next calls one by one, None is none."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    faults: deque[Fault | None] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        """Removes the rows whose end has come (epoch seconds)."""
        ended = [key for key, row in self.rows.items() if int(row["expires"]["N"]) < now]
        for key in ended:
            del self.rows[key]

    def put_item(
        self,
        *,
        TableName: str,  # noqa: N803, ARG002 - boto3's own names, here and below
        Item: Row,  # noqa: N803
        ConditionExpression: str = "",  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: Mapping[str, Value] | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        fault, key = self._meet(), _key(Item)
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        if ConditionExpression and not holds(ConditionExpression, self.rows.get(key, {}), names, values):
            raise _failure("ConditionalCheckFailedException")
        self.rows[key] = dict(Item)
        self._lose(fault)
        return {}

    def update_item(self, **asked: Any) -> dict[str, Row]:
        fault = self._meet()
        written = self._updated(**asked)
        if written is None:
            raise _failure("ConditionalCheckFailedException")
        self._lose(fault)
        return {"Attributes": dict(written)}

    def _updated(
        self,
        *,
        Key: Row,  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str = "",  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str],  # noqa: N803
        ExpressionAttributeValues: Mapping[str, Value],  # noqa: N803
        **_: str,
    ) -> Row | None:
        """The row as it is then; None if the condition does not hold."""
        row = self.rows.get(_key(Key), {})
        if (
            ConditionExpression
            and not _Condition(ConditionExpression, row, ExpressionAttributeNames, ExpressionAttributeValues).holds()
        ):
            return None
        setting, _remove, removing = UpdateExpression.removeprefix("SET ").partition(" REMOVE ")
        pairs = [assignment.split(" = ") for assignment in re.split(r", (?=#?\w+ = )", setting)]
        names = [ExpressionAttributeNames.get(name, name) for name, _ in pairs]
        removed = {ExpressionAttributeNames[gone] for gone in removing.split(", ") if gone}
        values = [_assigned(text, row, ExpressionAttributeNames, ExpressionAttributeValues) for _, text in pairs]
        kept = {name: held for name, held in row.items() if name not in removed}
        self.rows[_key(Key)] = {**Key, **kept, **dict(zip(names, values, strict=True))}
        return self.rows[_key(Key)]

    def get_item(self, *, Key: Row, **_: Any) -> dict[str, Row]:  # noqa: N803
        self._lose(self._meet())
        row = self.rows.get(_key(Key))
        return {} if row is None else {"Item": dict(row)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        self._lose(self._meet())
        ((table, asked),) = RequestItems.items()
        found = [self.rows.get(_key(key)) for key in asked["Keys"]]
        return {"Responses": {table: [dict(row) for row in found if row]}, "UnprocessedKeys": {}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        fault = self._meet()
        (asked,) = RequestItems.values()
        for request in asked:
            row = request["PutRequest"]["Item"]
            self.rows[_key(row)] = dict(row)
        self._lose(fault)
        return {"UnprocessedItems": {}}

    def batch_execute_statement(self, *, Statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        fault = self._meet()
        answers: list[dict[str, Any]] = []
        for statement in Statements:
            wanted = partiql.read(statement)
            if isinstance(wanted, partiql.Update):
                done = self._updated(**wanted.arguments) is not None
            elif done := _key(wanted.row) not in self.rows:
                self.rows[_key(wanted.row)] = wanted.row
            answers.append({"TableName": "receipts"} if done else {"Error": {"Code": "as DynamoDB says"}})
        self._lose(fault)
        return {"Responses": answers}

    def query(self, *, ExpressionAttributeValues: Mapping[str, Value], **_: Any) -> dict[str, list[Row]]:  # noqa: N803
        (event,) = ExpressionAttributeValues.values()
        return {"Items": [dict(row) for row in self.rows.values() if row["event"] == event]}

    def _meet(self) -> Fault | None:
        fault = self.faults.popleft() if self.faults else None
        if fault == "refused":
            raise _failure("ThrottlingException")
        if fault == "crash before":
            raise Crash
        return fault

    def _lose(self, fault: Fault | None) -> None:
        if fault == "answer lost":
            raise _failure("InternalServerError")
        if fault == "crash after":
            raise Crash


def _key(key: Row) -> tuple[str, str]:
    return key["event"]["S"], key["agent"]["S"]


def holds(text: str, row: Row, names: Mapping[str, str], values: Mapping[str, Value]) -> bool:
    """Whether a condition expression holds of a row."""
    return _Condition(text, row, names, values).holds()


def _assigned(text: str, row: Row, names: Mapping[str, str], values: Mapping[str, Value]) -> Value:
    """What SET gives an attribute: a value, or `if_not_exists(attribute, value)`."""
    if not text.startswith("if_not_exists("):
        return values[text]
    name, value = text.removeprefix("if_not_exists(").removesuffix(")").split(", ")
    return row.get(names[name]) or values[value]


def _failure(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateItem")


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class _Condition:
    """A condition expression of comparisons, IN and attribute_(not_)exists, joined by AND, OR and parentheses."""

    def __init__(self, text: str, row: Row, names: Mapping[str, str], values: Mapping[str, Value]) -> None:
        self.tokens = _TOKEN.findall(text)
        assert re.sub(r"\s", "", text) == "".join(self.tokens), text
        self.row, self.names, self.values = row, names, values

    def holds(self) -> bool:
        held = self._either()
        assert not self.tokens, self.tokens
        return held

    def _either(self) -> bool:
        held = self._both()
        while self._next("OR"):
            held = self._both() or held
        return held

    def _both(self) -> bool:
        held = self._one()
        while self._next("AND"):
            held = self._one() and held
        return held

    def _one(self) -> bool:
        if self._next("("):
            held = self._either()
            assert self._next(")")
            return held
        first = self.tokens.pop(0)
        if first in {"attribute_not_exists", "attribute_exists"}:
            _, name, _ = (self.tokens.pop(0) for _ in "(n)")
            return (self._value(name) is None) is (first == "attribute_not_exists")
        left = self._value(first)
        if self._next("IN"):
            among = self._list()
            return left is not None and left in among
        comparison, right = _COMPARISONS[self.tokens.pop(0)], self._value(self.tokens.pop(0))
        return left is not None and comparison(left, right)

    def _list(self) -> list[str | int | None]:
        assert self._next("(")
        held = [self._value(self.tokens.pop(0))]
        while self._next(","):
            held.append(self._value(self.tokens.pop(0)))
        assert self._next(")")
        return held

    def _value(self, token: str) -> str | int | None:
        held = self.values[token] if token.startswith(":") else self.row.get(self.names.get(token, token))
        if held is None:
            return None
        return int(held["N"]) if "N" in held else held["S"]

    def _next(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False
