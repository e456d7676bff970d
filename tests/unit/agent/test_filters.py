"""Filters: which events an agent gets by its settings, and which it gets whatever they say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ops import agent_modules
from relay.agent.filters import AgentSettings, Filters, filter_reason
from relay.event.model import EVENT_TYPES, Event
from tests.unit.delivery.test_delivery import NOW


def _event(event_type: str = "login", **fields: Any) -> Event:
    known = {
        "type": event_type,
        "appId": "shop",
        "eventId": "evt_1",
        "occurredAt": NOW,
        "receivedAt": NOW,
        "sequence": 1,
    }
    return Event.model_validate({**known, **fields})


IOS = {"platform": "ios", "appVersion": "4.12.0-beta"}


@pytest.mark.parametrize(
    ("filters", "event", "reason"),
    [
        ({}, _event(), None),
        ({"types": ["login", "track"]}, _event(), None),
        ({"types": ["track"]}, _event(), "filtered out: type login"),
        ({"types": []}, _event(), "filtered out: type login"),
        ({"tracks": ["purchase"]}, _event("track", name="purchase"), None),
        ({"tracks": ["purchase"]}, _event("track", name="view"), "filtered out: track name"),
        ({"tracks": ["purchase"]}, _event(), None),
        ({"platforms": ["ios"]}, _event(device=IOS), None),
        ({"platforms": ["android"]}, _event(device=IOS), "filtered out: platform ios"),
        ({"platforms": ["android"]}, _event(), "filtered out: platform unknown"),
        ({"min_app_version": "4.9"}, _event(device=IOS), None),
        ({"min_app_version": "4.12.0"}, _event(device={"appVersion": "4.12"}), None),
        ({"min_app_version": "4.12.1"}, _event(device=IOS), "filtered out: app version older than 4.12.1, or unknown"),
        ({"min_app_version": "4"}, _event(), "filtered out: app version older than 4, or unknown"),
        ({"min_app_version": "0.0"}, _event(), None),
    ],
)
def test_an_event_passes_all_filters_or_is_skipped_with_the_reason(
    filters: dict[str, Any], event: Event, reason: str | None
) -> None:
    assert Filters.model_validate(filters).reason(event) == reason


@given(
    types=st.lists(st.sampled_from(EVENT_TYPES)),
    tracks=st.lists(st.text(max_size=5)),
    platforms=st.lists(st.sampled_from(["ios", "android", "web"])),
    version=st.from_regex(r"[1-9][0-9]{0,3}(\.[0-9]{1,3}){0,2}", fullmatch=True),
)
def test_filters_never_hold_back_a_logout_or_a_declined_push(
    types: list[str], tracks: list[str], platforms: list[str], version: str
) -> None:
    filters = Filters.model_validate(
        {"types": types, "tracks": tracks, "platforms": platforms, "min_app_version": version}
    )
    assert filters.reason(_event("logout")) is None
    assert filters.reason(_event("push_token", device={"id": "d1", "pushToken": False})) is None


@pytest.mark.parametrize(
    "wrong",
    [{"types": ["purchase"]}, {"platforms": ["tv"]}, {"min_app_version": "4.x"}, {"min_app_version": "٤.٢"}, {"x": 1}],
)
def test_a_filter_that_could_never_mean_anything_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentSettings.model_validate({"filters": wrong})


@pytest.mark.parametrize("name", agent_modules.agent_names())
def test_every_agent_has_filters_in_its_settings(name: str) -> None:
    settings = agent_modules.agent(name).settings
    assert issubclass(settings, AgentSettings)
    made = settings.model_construct(filters=Filters(types=["track"]))
    assert filter_reason(_event(), made) == "filtered out: type login"
