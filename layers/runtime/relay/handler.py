"""The Lambda handler of an agent's function."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

from relay import sending, settings
from relay.agent import Agent, dry_run
from relay.authorization import Send
from relay.batch import LambdaContext, deliver
from relay.circuit import Circuit
from relay.delivery import Runtime
from relay.environment import AgentEnvironment
from relay.errors import SettingsUnavailable
from relay.event import Event
from relay.ledger import Ledger
from relay.queue import Queue, Record
from relay.report import Report
from relay.trace import traced

S = TypeVar("S", bound=BaseModel)


def handler_of(
    agent: Agent[S], send: Send | None = None
) -> Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]:
    """The handler of an agent: an SQS batch in, a partial batch response out; or a dry run of one event.

    `send` is how its requests are sent, by https to public addresses unless the environment says otherwise.
    """

    def handle(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        environment = AgentEnvironment.read()
        load = partial(_load, agent.settings, environment.settings_parameter)
        if "dryRun" in event:
            return _dry_run(agent, event["dryRun"], load, default_consent=environment.default_consent)
        runtime = Runtime(
            agent,
            environment,
            Queue(environment.queue_url, environment.dead_letter_queue_url),
            Ledger(environment.table, agent.name, environment.claim),
            Circuit(agent.name, environment.table, environment.circuit),
            load,
            Report(agent.name),
            send or (sending.send_anywhere if environment.allow_insecure else sending.send),
        )
        unsettled = deliver(runtime, map(Record.read, event["Records"]), context)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in unsettled]}

    return traced(handle)


def _dry_run(agent: Agent[S], message: str, load: Callable[[bool], S], *, default_consent: bool) -> dict[str, Any]:
    try:
        return dry_run(agent, Event.load(message), load(False), default_consent=default_consent)  # noqa: FBT003
    except SettingsUnavailable as fault:
        return {"held": str(fault)}


def _load(model: type[S], name: str, fresh: bool) -> S:  # noqa: FBT001 - the runtime's own question
    return settings.load(model, name, fresh=fresh)
