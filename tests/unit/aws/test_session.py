"""The botocore session: of botocore's own handlers, those of the services that we call."""

from typing import Any

import pytest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.session import Session

from relay.aws import clients

CALLED = ("dynamodb.BatchGetItem", "lambda.Invoke", "sns.Publish", "sqs.SendMessage", "ssm.GetParameter")
EVENTS = ("before-parameter-build", "before-call", "request-created", "choose-signer", "before-sign", "before-parse")


@pytest.mark.parametrize(
    "event", ["docs.*.lambda.UpdateFunctionCode.complete-section", "before-call.s3", "after-call.iam"]
)
def test_documentation_and_other_services_have_no_handlers(event: str) -> None:
    assert not clients.is_for_us(event)


@pytest.mark.parametrize("event", ["before-call", "after-call.sqs.*", "choose-signer.sts.AssumeRoleWithWebIdentity"])
def test_handlers_for_all_services_and_for_ours_stay(event: str) -> None:
    assert clients.is_for_us(event)


@pytest.mark.parametrize("operation", CALLED)
@pytest.mark.parametrize("kind", [*EVENTS, "after-call", "needs-retry", "creating-client-class"])
def test_a_call_is_handled_as_botocore_handles_it(kind: str, operation: str) -> None:
    event = f"{kind}.{operation}"
    assert _handled(clients.session(), event) == _handled(Session(), event)


def _handled(session: Session, event: str) -> list[Any]:
    """Which of botocore's handlers an event reaches, in their order."""
    emitter: Any = session.get_component("event_emitter")
    known = {handler for _, handler, *_ in BUILTIN_HANDLERS}
    reached = emitter._emitter._handlers.prefix_search(event)  # noqa: SLF001 - to ask without calling them
    return [handler for handler in reached if handler in known]
