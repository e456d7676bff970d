"""An app's settings: which parameters are read, and whether from the cache."""

from typing import Any

import pytest
from pydantic import BaseModel

from relay.aws import parameters
from relay.aws.app_agents import AppAgents
from relay.delivery.app_settings import ScopedSettings, load_for_app
from relay.errors import Skip
from tests.unit.delivery.test_delivery import ENVIRONMENT, Settings

APP, SHARED = "/session-relay/test/apps/shop", "/session-relay/test/agents/example"


@pytest.mark.parametrize("force_refresh", [False, True])
@pytest.mark.parametrize(
    ("mode", "names", "scope"),
    [("shared", [APP, SHARED], "example"), ("own", [APP, f"{SHARED}/shop"], "example#shop"), ("none", [APP], None)],
)
def test_an_apps_record_names_the_settings_and_both_are_read_again_where_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    names: list[str],
    scope: str | None,
    force_refresh: bool,  # noqa: FBT001
) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(AppAgents, "mode", lambda _record, _agent: mode)

    def load(model: type[BaseModel], name: str, *, force_refresh: bool = False) -> Any:
        asked.append((name, force_refresh))
        return AppAgents.model_construct() if model is AppAgents else Settings()

    monkeypatch.setattr(parameters, "load", load)
    if scope:
        found = load_for_app(Settings, ENVIRONMENT, "example", "shop", force_refresh=force_refresh)
        assert found == ScopedSettings(Settings(), scope)
    else:
        with pytest.raises(Skip, match=r"^the app does not use this agent$"):
            load_for_app(Settings, ENVIRONMENT, "example", "shop", force_refresh=force_refresh)
    assert asked == [(name, force_refresh) for name in names]
