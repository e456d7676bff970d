"""The part of an app's record that says by whose settings each agent serves the app."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SettingsMode = Literal["shared", "own", "none"]
"""An agent serves an app by the settings of all apps, by the app's own, or not at all."""

AgentModes = dict[str, SettingsMode]


class AppAgents(BaseModel):
    """An app's record as agents read it: the settings' mode per agent; the rest of the record is not theirs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    agents: AgentModes = Field(default_factory=dict)

    def mode(self, agent: str) -> SettingsMode:
        """Returns the mode of one agent, `shared` if the record names none."""
        return self.agents.get(agent, "shared")
