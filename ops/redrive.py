"""Moves parked messages: a whole queue by SQS' own task, a selection one by one."""

import time
import uuid
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops.dead_letters import DeadLetter, dead_letters
from ops.errors import CommandError
from ops.queues import Depth, arn, put_back
from ops.show import Show
from ops.stage import AgentStack, client

LOOK_SECONDS = 1.0


def all_of(part: AgentStack, show: Show) -> int:
    """Moves a whole dead-letter queue back by a task of SQS, and returns the number of messages."""
    source = arn(part.resource("DeadLetterQueue"))
    total = Depth.of(part.resource("DeadLetterQueue")).all
    # SQS does not know the source of a message that the agent itself sent there.
    client("sqs").start_message_move_task(SourceArn=source, DestinationArn=arn(part.resource("Queue")))
    with _progress(show) as progress:
        bar = progress.add_task(f"moving to {part.name}", total=total)
        while True:
            task = client("sqs").list_message_move_tasks(SourceArn=source, MaxResults=1)["Results"][0]
            moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
            progress.update(bar, completed=moved)
            if task["Status"] == "COMPLETED":
                progress.update(bar, total=moved)
                return moved
            if task["Status"] in {"FAILED", "CANCELLED"}:
                why = task.get("FailureReason", "without a reason")
                raise CommandError(f"SQS ended the move after {moved} messages: {why}. Run the command again.")
            time.sleep(LOOK_SECONDS)


def some(part: AgentStack, event: str | None, reason: str | None, show: Show) -> int:
    """Sends the selected messages to the agent's queue, deletes each after that, and returns their number."""
    return _each(part, event, reason, show, send=True)


def without(part: AgentStack, event: str | None, reason: str | None, show: Show) -> int:
    """Deletes the selected messages and returns their number."""
    return _each(part, event, reason, show, send=False)


def _each(part: AgentStack, event: str | None, reason: str | None, show: Show, *, send: bool) -> int:
    url, done = part.resource("DeadLetterQueue"), 0
    others: dict[str, str] = {}
    with _progress(show) as progress:
        bar = progress.add_task(f"{'moving to' if send else 'dropping at'} {part.name}", total=None)
        try:
            # SQS returns a device's second message only after its first is gone.
            while found := dead_letters(part):
                chosen = [one for one in found if one.matches(event, reason)]
                others |= {one.message["MessageId"]: one.message["ReceiptHandle"] for one in found if one not in chosen}
                for one in chosen:
                    if send:
                        _send(part, one)
                    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=one.message["ReceiptHandle"])
                    done += 1
                    progress.update(bar, completed=done, total=done)
                if not chosen:
                    break
        finally:
            put_back(url, list(others.values()))
    return done


def _send(part: AgentStack, one: DeadLetter) -> None:
    group = one.message["Attributes"].get("MessageGroupId")
    order: dict[str, Any] = {"MessageGroupId": group, "MessageDeduplicationId": str(uuid.uuid4())}
    fifo = part.resource("Queue").endswith(".fifo")
    client("sqs").send_message(
        QueueUrl=part.resource("Queue"), MessageBody=one.message["Body"], **(order if fifo else {})
    )


def _progress(show: Show) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=show.stderr, disable=not show.stderr.is_terminal, transient=True)
