#!/usr/bin/env bash
# segment-analytics-python 2.4.0 and rudder-sdk-python 2.1.9 (2026-11): a datetime without an offset is local time while it
# is younger than five seconds, else UTC. On a server in São Paulo two events nine seconds apart, handed over together,
# stand three hours apart, in the wrong order; a retry six seconds later moves an event by three hours. Nothing is said.
# Expected: one meaning for all, or a refusal.
# What the product does: a time without an offset has two meanings, and is left out with a warning (docs/api.md;
# tests/unit/event/details.json, occurredAt).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check segment-analytics-python==2.4.0 rudder-sdk-python==2.1.9 2>/dev/null
TZ=America/Sao_Paulo env/bin/python - <<'PY'
from datetime import datetime, timedelta

import rudderstack.analytics.client
import segment.analytics.client

for library in (segment.analytics, rudderstack.analytics):
    client = library.client.Client("example", send=False)
    offsets = []
    for seconds in (1, 10):
        _, message = client.track("usr_1", "login", timestamp=datetime.now() - timedelta(seconds=seconds))
        offsets.append(datetime.fromisoformat(message["timestamp"]).utcoffset() / timedelta(hours=1))
    if offsets != [-3, 0]:
        raise SystemExit(f"{library.__name__}: changed: {offsets}")
    print(f"{library.__name__}: a second old: local time, {offsets[0]:+.0f} h; ten seconds old: UTC")
PY
