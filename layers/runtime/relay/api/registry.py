"""The registry of deployed agents: the events that each receives, and its function, as the template wrote it."""

from pydantic import BaseModel

from relay.aws import parameters
from relay.aws.environment import catalogue_path


class DeployedAgent(BaseModel):
    """One deployed agent: its function's name, and the types of event that its subscription lets through."""

    function: str
    events: str

    def accepts(self, event_type: str) -> bool:
        """Whether the agent receives events of this type."""
        return event_type in self.events.split(",")


def deployed_agents() -> dict[str, DeployedAgent]:
    """The deployed agents by name, at most five minutes old.

    Raises:
        SettingsUnavailable: the catalogue cannot be read.
    """
    entries = parameters.load_path(catalogue_path())
    return {name: DeployedAgent.model_validate_json(text) for name, text in sorted(entries.items())}
