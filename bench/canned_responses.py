"""What AWS and the agents answer when all is well: enough for every function to do its work, without any state."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

CATALOGUE = '{"function":"google","events":"login,logout,open,signup,track"}'

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """An HTTP answer, and what it answers: `dynamodb.UpdateItem`, or `agent.google`; `rows` where it is about many."""

    call: str
    status: int = 200
    body: bytes = b"{}"
    rows: int = 1


def answer(path: str, headers: Mapping[str, str], body: bytes, stored: Mapping[str, str]) -> CannedResponse:
    """The answer to a request by its path, its headers (lower case) and body; `stored` are the SSM parameters."""
    target = headers.get("x-amz-target", "")
    if target:
        service, operation = target.split("_")[0].removeprefix("Amazon").lower().split(".")[0], target.split(".")[-1]
        asked = json.loads(body)
        document = _of_json_service(operation, asked, stored)
        return CannedResponse(f"{service}.{operation}", body=document, rows=_rows(operation, asked))
    if path.startswith("/2015-03-31/functions/"):
        return CannedResponse("lambda.Invoke", body=b'{"skipped":"a stub"}')
    if path == "/":
        return _of_sns(body)
    return _AGENTS[path.split("/")[1]](path, body)


def _of_json_service(operation: str, asked: Document, stored: Mapping[str, str]) -> bytes:
    match operation:
        case "GetParameter":
            name = str(asked["Name"])
            document: Document = {
                "Parameter": {"Name": name, "Value": stored[name], "Type": "SecureString", "Version": 1}
            }
        case "GetParametersByPath":
            named = [{"Name": f"{asked['Path']}/google", "Value": CATALOGUE, "Type": "String", "Version": 1}]
            document = {"Parameters": named}
        case "UpdateItem":
            # A claim reads its own row back.
            document = {"Attributes": {"state": {"S": "sending"}}}
        case "Query":
            row = {"agent": {"S": "*"}, "state": {"S": "accepted"}, "type": {"S": "login"}, "accepted": {"N": "1"}}
            document = {"Items": [row], "Count": 1, "ScannedCount": 1}
        case "BatchWriteItem":
            document = {"UnprocessedItems": {}}
        case "BatchGetItem":
            document = {"Responses": {}, "UnprocessedKeys": {}}
        case "BatchExecuteStatement":
            document = {"Responses": [{"TableName": "receipts"}] * _rows(operation, asked)}
        case _:
            document = {}
    return json.dumps(document).encode()


def _rows(operation: str, asked: Any) -> int:  # noqa: ANN401 - any JSON
    """How many rows of the ledger a call is about: that is what DynamoDB is paid for."""
    match operation:
        case "BatchExecuteStatement":
            return len(asked["Statements"])
        case "BatchGetItem":
            return sum(len(table["Keys"]) for table in asked["RequestItems"].values())
        case "BatchWriteItem":
            return sum(len(requests) for requests in asked["RequestItems"].values())
        case _:
            return 1


def _of_sns(body: bytes) -> CannedResponse:
    asked = parse_qs(body.decode())
    (action,) = asked["Action"]
    if action == "Publish":
        inner = "<MessageId>6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11</MessageId><SequenceNumber>1</SequenceNumber>"
    else:
        ids = [value[0] for name, value in asked.items() if name.endswith(".Id")]
        inner = "<Successful>" + "".join(f"<member><Id>{one}</Id></member>" for one in ids) + "</Successful>"
    text = (
        f'<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{action}Result>{inner}</{action}Result>'
    )
    text += f"<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
    return CannedResponse(f"sns.{action}", body=text.encode())


def _facebook(_path: str, body: bytes) -> CannedResponse:
    taken = len(json.loads(body)["data"])
    return CannedResponse(
        "agent.facebook", body=json.dumps({"events_received": taken, "messages": [], "fbtrace_id": "t"}).encode()
    )


def _always(call: str, status: int, body: bytes) -> Callable[[str, bytes], CannedResponse]:
    return lambda _path, _body: CannedResponse(call, status, body)


_DASHX = _always("agent.dashx", 200, b'{"data":{"trackEvent":{"success":true}}}')
_AGENTS: dict[str, Callable[[str, bytes], CannedResponse]] = {
    "appsflyer": _always("agent.appsflyer", 200, b"OK"),
    "facebook": _facebook,
    "google": _always("agent.google", 204, b""),
    "eitri_push": _always("agent.eitri_push", 202, b'{"accepted":true,"requestId":"r"}'),
    "emarsys": _always("agent.emarsys", 202, b""),
    "dashx": _DASHX,
    # DashX' one endpoint stands right behind the host.
    "graphql": _DASHX,
}
