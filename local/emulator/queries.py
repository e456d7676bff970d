"""Saved queries of CloudWatch Logs Insights: AWS::Logs::QueryDefinition in a template, and the calls that read them.

Source: CloudWatch Logs API reference, PutQueryDefinition, DescribeQueryDefinitions, DeleteQueryDefinition.
"""

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services.cloudformation import provisioners

Json = dict[str, Any]
RawResponse = tuple[int, dict[str, str], bytes]
Handler = Callable[..., Awaitable[RawResponse]]

_saved: dict[str, Json] = {}


def install(services: dict[str, Handler]) -> None:
    """Gives templates the resource, and the service its three calls."""
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {  # noqa: SLF001 - there is no public way in
        "create": lambda _logical_id, properties, _stack: _kept(str(uuid.uuid4()), properties),
        "update": lambda physical_id, _old, properties, _stack: _kept(physical_id, properties),
        "delete": lambda physical_id, _properties: _saved.pop(physical_id, None),
    }
    services["logs"] = _with_queries(services["logs"])


def _kept(physical_id: str, properties: Json) -> tuple[str, Json]:
    put(
        {
            "queryDefinitionId": physical_id,
            "name": properties["Name"],
            "queryString": properties["QueryString"],
            "logGroupNames": properties.get("LogGroupNames", []),
        }
    )
    return physical_id, {"QueryDefinitionId": physical_id}


def put(request: Json) -> Json:
    """Saves a query, a new one unless it names one."""
    known = request.get("queryDefinitionId") or str(uuid.uuid4())
    _saved[known] = {**request, "queryDefinitionId": known, "lastModified": int(time.time() * 1000)}
    return {"queryDefinitionId": known}


def describe(request: Json) -> Json:
    """The saved queries whose names begin so, by name."""
    prefix = request.get("queryDefinitionNamePrefix", "")
    found = [query for query in _saved.values() if query["name"].startswith(prefix)]
    return {"queryDefinitions": sorted(found, key=lambda query: str(query["name"]))}


def delete(request: Json) -> Json:
    """Forgets a query; whether there was one."""
    return {"success": _saved.pop(request["queryDefinitionId"], None) is not None}


_CALLS = {"PutQueryDefinition": put, "DescribeQueryDefinitions": describe, "DeleteQueryDefinition": delete}


def _with_queries(handler: Handler) -> Handler:
    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, *more: object) -> RawResponse:
        call = _CALLS.get(headers.get("x-amz-target", "").rsplit(".", 1)[-1])
        if call is None:
            return await handler(method, path, headers, body, *more)
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(call(json.loads(body))).encode()

    return handle
