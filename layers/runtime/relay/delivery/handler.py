"""The Lambda handler of an agent's function."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Send
from relay.agent.definition import Agent
from relay.aws import parameters
from relay.aws.environment import AgentEnvironment
from relay.aws.trace import traced
from relay.delivery import transport
from relay.delivery.batch import LambdaContext, process_batch
from relay.delivery.circuit import Circuit
from relay.delivery.dry_run import dry_run
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.event.model import Event
from relay.ledger.ledger import Ledger

S = TypeVar("S", bound=BaseModel)


def lambda_handler(
    agent: Agent[S], send: Send | None = None
) -> Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]:
    """The handler of an agent: an SQS batch in, a partial batch response out; or a dry run of one event.

    `send` is how its requests are sent, by https to public addresses unless the environment says otherwise.
    """

    def handle(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        environment = AgentEnvironment.read()
        load = partial(_load, agent.settings, environment.settings_parameter)
        if "dryRun" in event:
            message = Event.load(event["dryRun"])
            return dry_run(agent, message, partial(load, False), default_consent=environment.default_consent)  # noqa: FBT003 - from the cache
        pipeline = DeliveryPipeline(
            agent,
            environment,
            Queue(environment.queue_url, environment.dead_letter_queue_url),
            Ledger(environment.table, agent.name, environment.claim, keeps_contacts=agent.contact is not None),
            lambda scope: Circuit(scope, environment.table, environment.circuit),
            load,
            Report(agent.name),
            send or (transport.send_unrestricted if environment.allow_insecure else transport.send),
        )
        retained = process_batch(pipeline, map(Message.parse, event["Records"]), context)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in retained]}

    return traced(handle)


def _load(model: type[S], name: str, force_refresh: bool) -> S:  # noqa: FBT001 - the pipeline's own question
    return parameters.load(model, name, force_refresh=force_refresh)
