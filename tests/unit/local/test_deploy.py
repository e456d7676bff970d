"""The local deployment's parameters."""

import pytest

from local.deploy import ToolFailedError, added_agents, mapped_agents


def test_a_local_cloud_has_the_templates_agents_and_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_AGENTS", raising=False)
    assert added_agents() == {}
    monkeypatch.setenv("LOCAL_AGENTS", "Webhook, Emarsys")
    enabled = added_agents()["EnabledAgents"].split(",")
    assert enabled[-1] == "Webhook"
    assert (len(enabled), {*enabled} <= {*mapped_agents()}) == (len({*enabled}), True)


def test_an_agent_that_the_template_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_AGENTS", "Webhok")
    with pytest.raises(ToolFailedError, match="no agent Webhok; it has Appsflyer"):
        added_agents()
