"""Redriving a dead-letter queue: SQS' StartMessageMoveTask and ListMessageMoveTasks."""

import time
import uuid
from typing import Any

from ministack.services import sqs

_tasks: list[dict[str, Any]] = []


def install() -> None:
    """Gives SQS its two calls."""
    sqs._HANDLERS.update({"StartMessageMoveTask": _start, "ListMessageMoveTasks": _list})  # noqa: SLF001


def _url(arn: str) -> str:
    for url, queue in list(sqs._queues.items()):  # noqa: SLF001 - there is no public way in
        if queue["attributes"]["QueueArn"] == arn:
            return str(url)
    raise sqs._Err("ResourceNotFoundException", f"There is no queue {arn}.", 404)  # noqa: SLF001


def _start(data: dict[str, Any], _url_of_request: str) -> dict[str, Any]:
    """Moves what is visible in SourceArn to DestinationArn at once; a moved message is a new one, with a new id."""
    source = _url(data["SourceArn"])
    if "DestinationArn" not in data:
        # As AWS says of messages that SQS did not put there itself.
        raise sqs._Err("InvalidParameterValue", "CouldNotDetermineMessageSource: name the DestinationArn.")  # noqa: SLF001
    destination, now, moved = _url(data["DestinationArn"]), time.time(), 0
    queue = sqs._queues[source]  # noqa: SLF001
    for message in [one for one in queue["messages"] if one["visible_at"] <= now]:
        copy = {"MessageBody": message["body"], "MessageAttributes": message["message_attributes"]}
        order = {"MessageGroupId": message["group_id"], "MessageDeduplicationId": str(uuid.uuid4())}
        sqs._act_send_message(copy | (order if message["group_id"] else {}), destination)  # noqa: SLF001
        queue["messages"].remove(message)
        moved += 1
    handle = str(uuid.uuid4())
    _tasks.insert(
        0,
        {
            "TaskHandle": handle,
            "Status": "COMPLETED",
            "SourceArn": data["SourceArn"],
            "DestinationArn": data["DestinationArn"],
            "ApproximateNumberOfMessagesMoved": moved,
            "ApproximateNumberOfMessagesToMove": moved,
            "StartedTimestamp": int(now * 1000),
        },
    )
    return {"TaskHandle": handle}


def _list(data: dict[str, Any], _url_of_request: str) -> dict[str, Any]:
    """Returns the last tasks of a queue, newest first, as many as MaxResults says, else one."""
    own = [task for task in _tasks if task["SourceArn"] == data["SourceArn"]]
    return {"Results": own[: int(data.get("MaxResults", 1))]}
