"""The PartiQL that the ledger writes, in the words of DynamoDB's other calls, which moto and our simulation know."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_INSERT = re.compile(r"INSERT INTO \"(\w+)\" VALUE \{(.*)\}")
_UPDATE = re.compile(r"UPDATE \"(\w+)\" (SET .*) WHERE \"event\" = \? AND \"agent\" = \? AND \((.*)\)")
_TOKEN = re.compile(r"\"(?P<name>\w+)\"|(?P<asked>\?)|'(?P<word>\w+)'")

Row = dict[str, Mapping[str, str]]


class Insert(NamedTuple):
    """A row that is written where there is none."""

    table: str
    row: Row


class Update(NamedTuple):
    """The arguments of an UpdateItem; its condition does not hold where there is no row."""

    table: str
    arguments: dict[str, Any]


def read(statement: Mapping[str, Any]) -> Insert | Update:
    """What a statement of BatchExecuteStatement wants."""
    text, parameters = statement["Statement"], list(statement["Parameters"])
    if inserted := _INSERT.fullmatch(text):
        names = re.findall(r"'(\w+)': \?", inserted[2])
        return Insert(inserted[1], dict(zip(names, parameters, strict=True)))
    updated = _UPDATE.fullmatch(text)
    assert updated, text
    table, setting, condition = updated.groups()
    names = re.findall(r'SET "(\w+)" = \?', setting)
    values = {f":{name}": parameters.pop(0) for name in names}
    key = {"event": parameters.pop(0), "agent": parameters.pop(0)}
    known: dict[str, Mapping[str, str]] = {}

    def said(token: re.Match[str]) -> str:
        if token["name"]:
            return f"#{token['name']}"
        place = f":asked{len(known)}"
        known[place] = parameters.pop(0) if token["asked"] else {"S": token["word"]}
        return place

    expression = _TOKEN.sub(said, condition)
    assert not parameters
    return Update(
        table,
        {
            "Key": key,
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in names),
            "ConditionExpression": f"attribute_exists(event) AND ({expression})",
            "ExpressionAttributeNames": {f"#{name}": name for name in names},
            "ExpressionAttributeValues": values | known,
        },
    )
