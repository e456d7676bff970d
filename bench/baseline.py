"""What mapping would cost if nobody thought of it: everything validated at every door, copied at every hand-over.

It makes the very same bodies, by the agents' own functions.
"""

import copy
import json
from typing import Any

from pydantic import ConfigDict, RootModel

from relay.agent.definition import Agent
from relay.event.model import Event


class CarefulEvent(Event):
    """An event that trusts nobody: instances and defaults are validated again wherever they go."""

    model_config = ConfigDict(
        extra="ignore",
        revalidate_instances="always",
        validate_default=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Body(RootModel[Any]):
    """A request's body as a model."""


def bodies(agent: Agent[Any], text: str, settings_text: str) -> list[bytes]:
    """The bodies that an event's text becomes by settings of this text."""
    document = copy.deepcopy(json.loads(text))
    settings = agent.settings.model_validate(agent.settings.model_validate_json(settings_text).model_copy(deep=True))
    read = CarefulEvent.model_validate_json(json.dumps(document))
    event = CarefulEvent.model_validate(copy.deepcopy(read), by_name=True)
    requests = agent.build_requests(copy.deepcopy(event), settings)
    return [_written(copy.deepcopy(request.body)) for request in requests]


def _written(body: bytes) -> bytes:
    return Body.model_validate(copy.deepcopy(json.loads(body))).model_dump_json().encode()
