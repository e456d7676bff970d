"""What must be so for apps to be let in."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from ops.findings import Finding, judged
from ops.stage import Stage
from ops.usage import Usage
from relay.api.identity_tokens import IdentityKeys
from relay.api.keys import App


def app_findings(stage: Stage) -> Iterator[Finding]:
    """Everything about every app: its record, its keys, its place in the usage plan, its identity key."""
    admitted = Usage(stage).apps()
    signing = {path.rsplit("/", 1)[1]: text for path, text in stage.under("identity")}
    apps = {path.rsplit("/", 1)[1]: text for path, text in stage.under("apps")}
    if not apps:
        yield Finding("apps", "there is none, so nobody can send events", "wrong", "relay apps create APP")
    for app, text in apps.items():
        about = f"app {app}"
        try:
            record = App.model_validate_json(text)
        except ValidationError:
            name = stage.path("apps", app)
            yield Finding(about, "its record does not validate", "wrong", f"aws ssm delete-parameter --name {name}")
            continue
        yield _keys(about, app, record)
        wrong = "it has no key in the usage plan, so API Gateway refuses it"
        yield judged(about, app in admitted, "it is in the usage plan", wrong, f"relay apps admit {app}")
        yield _identity(about, app, record, signing.get(app))


def _keys(about: str, app: str, record: App) -> Finding:
    now = datetime.now(UTC)
    valid = any(key.is_valid(key.kind, now) for key in record.keys)
    return judged(about, valid, "it has valid keys", "it has no valid key", f"relay apps rotate {app}")


def _identity(about: str, app: str, record: App, text: str | None) -> Finding:
    mend = f"relay apps identity {app}"
    if text is None:
        if record.identity == "required":
            return Finding(about, "it has no identity key, so public keys can speak for no customer", "wrong", mend)
        return Finding(about, "it has no identity key, so it can mint no tokens", "note", mend)
    try:
        IdentityKeys.model_validate(json.loads(text))
    except ValueError:
        return Finding(about, "its identity key does not validate", "wrong", mend)
    return Finding(about, "its identity key validates")
