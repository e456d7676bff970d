"""AWS/SQS: how many messages each queue has, and how old the oldest is.

Source: SQS developer guide, "Available CloudWatch metrics for Amazon SQS". AWS measures every minute.
Here the current minute's point is how the queue stands now, so that an alarm need not be waited for.
"""

from typing import Any

from ministack.services import sqs

from local.emulator.points import Metric, stand

POISON_RECEIVES = 3
"""A standard queue's message received more often than this has no age: it went to the back of the queue."""


def observe(now: float) -> None:
    """Puts down how each queue stands."""
    for url, queue in list(sqs._queues.items()):  # noqa: SLF001 - there is no public way in
        name = {"QueueName": url.rsplit("/", 1)[1]}
        for metric, (value, unit) in measures(queue, now).items():
            stand(Metric("AWS/SQS", metric, name), value, now, unit)


def measures(queue: dict[str, Any], now: float) -> dict[str, tuple[float, str]]:
    """The metrics of a queue, with their units."""
    messages = list(queue["messages"])
    visible = sum(message["visible_at"] <= now for message in messages)
    received = sum(message["visible_at"] > now and message["receive_count"] > 0 for message in messages)
    ages = [now - _since(message) for message in messages if _has_age(message, fifo=bool(queue.get("is_fifo")))]
    return {
        "ApproximateNumberOfMessagesVisible": (visible, "Count"),
        "ApproximateNumberOfMessagesNotVisible": (received, "Count"),
        "ApproximateNumberOfMessagesDelayed": (len(messages) - visible - received, "Count"),
        "ApproximateAgeOfOldestMessage": (int(max(ages, default=0)), "Seconds"),
    }


def _has_age(message: dict[str, Any], *, fifo: bool) -> bool:
    return fifo or int(message["receive_count"]) <= POISON_RECEIVES


def _since(message: dict[str, Any]) -> float:
    return float(message.get("enqueued_at") or message["sent_at"])
