"""AWS/ApiGateway and AWS/SNS: the calls that the API answered, and what the topic handed to queues.

Sources: "Amazon API Gateway dimensions and metrics"; "Monitoring Amazon SNS topics using CloudWatch".
"""

import time
from typing import Any

from ministack.services import apigateway_v1, sns

from local.emulator.points import Metric, add

RawResponse = tuple[int, dict[str, str], bytes]


def install() -> None:
    """Counts every call of a REST API, and every message that a topic hands to a queue."""
    execute, deliver = apigateway_v1.handle_execute, sns._deliver_to_sqs  # noqa: SLF001 - there is no public way in

    async def execute_and_count(api_id: str, stage: str, *request: object) -> RawResponse:
        began = time.time()
        answer: RawResponse = await execute(api_id, stage, *request)
        _count(api_id, stage, answer[0], began)
        return answer

    def deliver_and_count(*message: object, topic_arn: str = "", **more: object) -> None:
        deliver(*message, topic_arn=topic_arn, **more)
        name = {"TopicName": topic_arn.rsplit(":", 1)[1]}
        add(Metric("AWS/SNS", "NumberOfNotificationsDelivered", name), 1, time.time())

    apigateway_v1.handle_execute = execute_and_count
    sns._deliver_to_sqs = deliver_and_count  # noqa: SLF001


def _count(api_id: str, stage: str, status: int, began: float) -> None:
    api: dict[str, Any] = apigateway_v1._rest_apis.get(api_id) or {}  # noqa: SLF001
    now = time.time()
    metrics = {"Count": 1, "4XXError": 400 <= status < 500, "5XXError": status >= 500}  # noqa: PLR2004 - HTTP's own
    for dimensions in ({"ApiName": api.get("name", "")}, {"ApiName": api.get("name", ""), "Stage": stage}):
        for name, value in metrics.items():
            add(Metric("AWS/ApiGateway", name, dimensions), int(value), now)
        latency = Metric("AWS/ApiGateway", "Latency", dimensions)
        add(latency, round((now - began) * 1000), now, "Milliseconds")
