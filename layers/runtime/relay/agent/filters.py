"""Filters in an agent's settings: which events the agent gets, without code."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from relay.agent.settings import SettingsModel
from relay.event.model import Event, EventType

FILTERED = "filtered out: "
"""The beginning of the reason of an event that the settings filter out."""

# With \d, which are the digits of all scripts, it is 2 ms of each start and 300 KB.
AppVersion = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,5}$")]


class Filters(SettingsModel):
    """Which events an agent gets: those that pass all of these.

    `tracks` holds names of track events, other events pass it; `min_app_version` is compared number by number. An event
    that does not name its platform or version does not pass a filter by it.
    """

    types: list[EventType] | Literal["all"] = "all"
    tracks: list[str] | Literal["all"] = "all"
    platforms: list[Literal["ios", "android", "web"]] | Literal["all"] = "all"
    min_app_version: AppVersion = "0"

    def reason(self, event: Event) -> str | None:
        """Returns why an event does not pass; None if it does, and for logouts and declined pushes whatever is set."""
        # Most settings name no filter.
        if not self.model_fields_set:
            return None
        device = event.device
        if event.protects or device.push_token is False:
            return None
        if self.types != "all" and event.type not in self.types:
            return f"{FILTERED}type {event.type}"
        if self.tracks != "all" and event.type == "track" and event.name not in self.tracks:
            return f"{FILTERED}track name"
        if self.platforms != "all" and device.platform not in self.platforms:
            return f"{FILTERED}platform {device.platform or 'unknown'}"
        least = _numbers(self.min_app_version)
        if any(least) and _numbers(device.app_version or "") < least:
            return f"{FILTERED}app version older than {self.min_app_version}, or unknown"
        return None


class AgentSettings(SettingsModel):
    """The settings of an agent: what every agent has, and what its own model adds."""

    filters: Filters = Filters()


def filter_reason(event: Event, settings: BaseModel) -> str | None:
    """Returns why an agent's settings filter an event out; None if they do not, or have no filters."""
    return settings.filters.reason(event) if isinstance(settings, AgentSettings) else None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, without zeros at the end: `4.12.0-beta` is (4, 12)."""
    found = re.match(r"\d{1,9}(?:\.\d{1,9}){0,5}", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
