"""The settings by which an agent serves an app: those of all apps, the app's own, or none."""

from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.aws import parameters
from relay.aws.app_agents import AppAgents
from relay.aws.environment import AgentEnvironment
from relay.errors import Skip

S = TypeVar("S", bound=BaseModel)

NOT_USED = "the app does not use this agent"


class ScopedSettings(NamedTuple, Generic[S]):
    """Settings and their scope: the agent's name, or `<agent>#<app>` for an app's own.

    What fails with the settings (a circuit, refused credentials) is known by their scope and never holds another.
    """

    settings: S
    scope: str


def load_for_app(
    model: type[S],
    environment: AgentEnvironment,
    agent: str,
    app_id: str,
    force_refresh: bool,  # noqa: FBT001 - the pipeline's own question
) -> ScopedSettings[S]:
    """Loads the settings by which an agent serves an app.

    An app whose record cannot be read is never served by the shared settings: its customers may be another brand's.

    Raises:
        SettingsUnavailable: the app's record or the settings that it names cannot be read or do not validate.
        Skip: the app does not use the agent.
    """
    record = parameters.load(AppAgents, f"{environment.apps_path}/{app_id}", force_refresh=force_refresh)
    shared = environment.settings_parameter
    match record.mode(agent):
        case "none":
            raise Skip(NOT_USED)
        case "own":
            own = parameters.load(model, f"{shared}/{app_id}", force_refresh=force_refresh)
            return ScopedSettings(own, f"{agent}#{app_id}")
        case "shared":
            return ScopedSettings(parameters.load(model, shared, force_refresh=force_refresh), agent)
