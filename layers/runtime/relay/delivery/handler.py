"""The Lambda handler of an agent's function."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Send
from relay.agent.definition import Agent
from relay.agent.once import once
from relay.aws.environment import AgentEnvironment
from relay.aws.trace import traced
from relay.delivery import transport
from relay.delivery.aftermath import Aftermath
from relay.delivery.app_settings import load_for_app
from relay.delivery.batch import LambdaContext, process_batch
from relay.delivery.circuit import Circuit
from relay.delivery.dry_run import dry_run
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.event.model import Event
from relay.ledger.ledger import Ledger
from relay.ledger.samples import Samples

S = TypeVar("S", bound=BaseModel)


def lambda_handler(
    agent: Agent[S], send: Send | None = None
) -> Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]:
    """The handler of an agent: an SQS batch in, a partial batch response out; or a dry run of one event.

    The agent works under the name of its settings parameter, which is the template's: one folder may be deployed as
    several agents, each with its own queue, settings and receipts. `send` is how its requests are sent, by https to
    public addresses unless the environment says otherwise.
    """

    def handle(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        environment = AgentEnvironment.read()
        deployed = as_deployed(agent, environment)
        load = partial(load_for_app, deployed.settings, environment, deployed.name)
        if "dryRun" in event:
            message = Event.load(event["dryRun"])
            cached = partial(load, message.app_id, False)  # noqa: FBT003 - from the cache
            return dry_run(deployed, message, cached, default_consent=environment.default_consent)
        sender = send or (transport.send_unrestricted if environment.allow_insecure else transport.send)
        pipeline = DeliveryPipeline(
            deployed,
            environment,
            Queue(environment.queue_url, environment.dead_letter_queue_url),
            Ledger(environment.table, deployed.name, environment.claim, keeps_contacts=agent.contact is not None),
            lambda scope: Circuit(scope, environment.table, environment.circuit),
            load,
            Report(deployed.name),
            sender,
            aftermath=_aftermath(deployed, environment, sender),
        )
        retained = process_batch(pipeline, map(Message.parse, event["Records"]), context)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in retained]}

    return traced(handle)


def _aftermath(agent: Agent[S], environment: AgentEnvironment, send: Send) -> Aftermath | None:
    """What asks later what became of requests, at an agent that can be asked."""
    if agent.batching is None or agent.batching.status is None:
        return None
    return Aftermath(agent, Samples(environment.table, agent.name, lambda: datetime.now(UTC)), send)


@once
def as_deployed(agent: Agent[S], environment: AgentEnvironment) -> Agent[S]:
    """The agent as the template deploys its folder: under this name, and ordered if its queue is and it may be so."""
    name = environment.settings_parameter.rpartition("/")[2]
    is_ordered = agent.ordered or (agent.may_be_ordered and environment.queue_url.endswith(".fifo"))
    return replace(agent, name=name, ordered=is_ordered)
