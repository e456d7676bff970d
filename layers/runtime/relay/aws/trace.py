"""X-Ray tracing where the deployment has switched it on, and nothing at all where not: not even an import.

A trace goes with an event by itself: API Gateway begins it, botocore hands it to SNS, SNS to SQS, and SQS to the
agent's function. Source: AWS X-Ray developer guide, "Amazon SNS and AWS X-Ray" and "Amazon SQS and AWS X-Ray".
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from relay.aws.environment import tracing

H = TypeVar("H", bound=Callable[[Any, Any], Any])

_PATCHED = ("botocore",)
"""Calls to AWS are traced by operation and resource. Those to agents are not: their addresses may name a person."""

_invocations: list[Any] = []
"""The subsegment of the invocation under way; a function instance has one at a time."""


def traced(handler: H) -> H:
    """The handler with each of its invocations traced; what it takes, answers and raises is not recorded."""
    if not tracing():
        return handler
    # Importing it takes longer than the rest of a cold start.
    from aws_lambda_powertools import Tracer  # noqa: PLC0415

    tracer = Tracer(service="session-relay", patch_modules=_PATCHED)

    recorder: Any = tracer.provider

    def handle(event: object, context: object) -> object:
        # Not Powertools' decorator, which writes down the text of an exception whatever its parameters say.
        _invocations[:] = [recorder.begin_subsegment("invocation")]
        try:
            return handler(event, context)
        except Exception:
            _invocations[0].add_fault_flag()
            raise
        finally:
            _invocations.clear()
            recorder.end_subsegment()

    return cast("H", handle)


def annotate(  # noqa: PLR0913 - these names and no others, so that nothing personal can be among them
    *,
    event_id: str,
    state: str,
    agent: str = "",
    app: str = "",
    attempt: int = 0,
    milliseconds: float = 0,
) -> None:
    """Adds to the trace what became of an event, as a subsegment that ends now and lasted so long; from any thread."""
    if not _invocations:
        return
    from aws_xray_sdk.core.models.subsegment import Subsegment  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    invocation, now = _invocations[0], time.time()
    subsegment = Subsegment(agent or "event", "local", invocation.parent_segment)
    subsegment.start_time = now - milliseconds / 1000
    for name, value in {"event_id": event_id, "state": state, "agent": agent, "app": app, "attempt": attempt}.items():
        if value:
            subsegment.put_annotation(name, value)
    invocation.add_subsegment(subsegment)
    subsegment.close(now)
