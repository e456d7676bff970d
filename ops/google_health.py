"""Checks of Google's two agents: that no stream gets its events twice, and that what Google says later is watched."""

import json
from collections.abc import Iterator

from ops.findings import Finding
from ops.stage import Stage

STREAMS = ("measurement_id", "firebase_app_id_ios", "firebase_app_id_android")
FOLDERS = ("google", "google_data_manager")
ALARM = "GoogleDataManagerStatusAlarm"


def google_findings(stage: Stage) -> Iterator[Finding]:
    """Checks each app's streams at the agents of Google, where the Data Manager's is deployed."""
    later = [agent.name for agent in stage.agents.values() if agent.code == "google_data_manager"]
    if not later:
        return
    if ALARM in stage.resources:
        yield Finding(later[0], "an alarm watches what Google says later of events")
    else:
        unwatched = "no alarm watches what Google says later of events: set StatusAlarm=true in samconfig.toml"
        yield Finding(later[0], unwatched, "note", stage.deploy)
    yield from _doubles(stage, later[0])


def _doubles(stage: Stage, agent: str) -> Iterator[Finding]:
    names = {code: [one.name for one in stage.agents.values() if one.code == code] for code in FOLDERS}
    found = False
    for app, record in _apps(stage).items():
        served = {
            code: {stream for name in names[code] for stream in _streams(stage, name, app, record)} for code in FOLDERS
        }
        both = sorted(served["google"] & served["google_data_manager"])
        if both:
            found = True
            wrong = f"google and google_data_manager both send its events to {', '.join(both)}: they count twice"
            none = stage.relay("apps", "use", app, names["google"][0], "none")
            yield Finding(f"app {app}", wrong, "wrong", none)
    if not found:
        yield Finding(agent, "no stream gets an app's events twice")


def _apps(stage: Stage) -> dict[str, dict[str, str]]:
    """Gives each app's choice of settings, by agent."""
    found = {}
    for path, text in stage.under("apps"):
        record = _object(text)
        chosen = record.get("agents")
        found[path.rsplit("/", 1)[1]] = chosen if isinstance(chosen, dict) else {}
    return found


def _streams(stage: Stage, agent: str, app: str, chosen: dict[str, str]) -> set[str]:
    """Gives the streams to which an agent sends an app's events."""
    mode = chosen.get(agent, "shared")
    if mode == "none":
        return set()
    settings = _object(stage.read("agents", agent, *([app] if mode == "own" else [])) or "{}")
    return {str(settings[name]) for name in STREAMS if settings.get(name)}


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
