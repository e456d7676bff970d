"""How each function is first invoked, and the AWS calls that it then cannot do without."""

from datetime import UTC, datetime
from typing import Any

from bench import samples

FOLDERS = {
    "authorizer": "Authorizer",
    "ingest": "Ingest",
    "identity": "Identity",
    "receipts": "Receipts",
    "dry_run": "DryRun",
    **{name: name.title().replace("_", "") for name in samples.AGENTS},
}
"""The functions by their folders, and their names in the template, which are the built artifacts' folders."""

Call = tuple[str, str, dict[str, Any]]

_KEY = {"event": {"S": "shop#e-00000000"}, "agent": {"S": "*"}}
_WRITE: Call = (
    "dynamodb",
    "update_item",
    {
        "TableName": "receipts",
        "Key": _KEY,
        "UpdateExpression": "SET lease = :lease",
        "ExpressionAttributeValues": {":lease": {"N": "1"}},
    },
)
_READ: Call = ("dynamodb", "batch_get_item", {"RequestItems": {"receipts": {"Keys": [_KEY]}}})
_PUT: Call = ("dynamodb", "batch_write_item", {"RequestItems": {"receipts": [{"PutRequest": {"Item": _KEY}}]}})
_INSERT: Call = (
    "dynamodb",
    "batch_execute_statement",
    {"Statements": [{"Statement": "INSERT INTO \"receipts\" VALUE {'event': ?}", "Parameters": [{"S": "e"}]}]},
)
_FIRST = {
    "appsflyer": [_INSERT],
    "facebook": [_READ],
    "google": [_INSERT],
    **{name: [_READ, _WRITE] for name in samples.ORDERED},
}
"""Before a request is sent: a delivery is claimed, or looked up and put in its device's order."""

_CATALOGUE: Call = ("ssm", "get_parameters_by_path", {"Path": f"{samples.PREFIX}/catalogue"})
_SETTINGS: Call = ("ssm", "get_parameter", {"Name": f"{samples.PREFIX}/apps/{samples.APP_ID}", "WithDecryption": True})


def calls(function: str, url: str) -> list[Call]:
    """The least that a function must call when it is first invoked; `url` is the agents'."""
    match function:
        case "authorizer" | "identity":
            return [_SETTINGS]
        case "ingest":
            topic = samples.environment("")["TOPIC_ARN"]
            message = {"TopicArn": topic, "Message": samples.message(), "MessageGroupId": "g"}
            return [("sns", "publish", message), _PUT]
        case "receipts":
            values = {":event": _KEY["event"]}
            query = {"KeyConditionExpression": "event = :event", "ExpressionAttributeValues": values}
            return [("dynamodb", "query", {"TableName": "receipts", **query}), _CATALOGUE]
        case "dry_run":
            return [_CATALOGUE, ("lambda", "invoke", {"FunctionName": "google", "Payload": "{}"})]
        case _:
            delivered: Call = ("agent", f"{url}/emarsys/probe", {"content-type": "application/json"})
            return [_SETTINGS, *_FIRST[function], delivered, _PUT]


def event(function: str) -> Any:  # noqa: ANN401 - each function's own
    """What a function is first invoked with."""
    match function:
        case "authorizer":
            return samples.authorizing()
        case "ingest":
            return samples.proxied(samples.LOGIN)
        case "identity":
            return samples.proxied({"uid": "usr_7f3a9c21"}, "/identity-tokens")
        case "receipts":
            return samples.proxied({}, "/events/{eventId}", "GET")
        case "dry_run":
            return samples.proxied({"type": "login", **samples.LOGIN}, "/dry-run")
        case _:
            now = datetime.now(UTC)
            text = samples.message(received_at=now.isoformat())
            return samples.records(function, [text], int(now.timestamp() * 1000))


def worked(function: str, answer: Any) -> bool:  # noqa: ANN401 - as above
    """Whether an answer says that the function did its work."""
    match function:
        case "authorizer":
            return bool(answer["policyDocument"])
        case "ingest":
            return bool(answer["statusCode"] == 202)  # noqa: PLR2004 - accepted
        case "identity" | "receipts" | "dry_run":
            return bool(answer["statusCode"] == 200)  # noqa: PLR2004 - ok
        case _:
            return bool(answer == {"batchItemFailures": []})
