"""Checks that apps can call the API."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from ops.app_agents import own_settings_findings
from ops.findings import Finding, check_that
from ops.stage import Stage
from ops.usage import Usage
from relay.api.identity_tokens import IdentityKeys
from relay.api.keys import App


def app_findings(stage: Stage) -> Iterator[Finding]:
    """Checks each app: its record, its keys, its usage plan, its identity key, its own settings of agents."""
    admitted = Usage(stage).apps()
    signing = {path.rsplit("/", 1)[1]: text for path, text in stage.under("identity")}
    apps = {path.rsplit("/", 1)[1]: text for path, text in stage.under("apps")}
    if not apps:
        yield Finding(
            "apps", "there is none, so nothing can send events", "wrong", stage.relay("apps", "create", "shop")
        )
    for app, text in apps.items():
        about = f"app {app}"
        try:
            record = App.model_validate_json(text)
        except ValidationError:
            delete = stage.aws("ssm", "delete-parameter", "--name", stage.path("apps", app))
            yield Finding(about, "its record does not validate", "wrong", delete)
            continue
        yield _keys(stage, app, record)
        wrong = "it is not in the usage plan, so API Gateway refuses it"
        admit = stage.relay("apps", "admit", app)
        yield check_that(app in admitted, about, "it is in the usage plan", wrong, admit)
        yield _identity(stage, app, record, signing.get(app))
        yield from own_settings_findings(stage, app, record)


def _keys(stage: Stage, app: str, record: App) -> Finding:
    now, rotate = datetime.now(UTC), stage.relay("apps", "rotate", app)
    valid = any(key.is_valid(key.kind, now) for key in record.keys)
    return check_that(valid, f"app {app}", "it has valid keys", "it has no valid key", rotate)


def _identity(stage: Stage, app: str, record: App, text: str | None) -> Finding:
    about, store = f"app {app}", stage.relay("apps", "identity", app)
    if text is None:
        if record.identity == "required":
            return Finding(about, "it has no identity key, so its public key can name no customer", "wrong", store)
        return Finding(about, "it has no identity key, so it can mint no tokens", "note", store)
    try:
        IdentityKeys.model_validate(json.loads(text))
    except ValueError:
        return Finding(about, "its identity key does not validate", "wrong", store)
    return Finding(about, "its identity key validates")
