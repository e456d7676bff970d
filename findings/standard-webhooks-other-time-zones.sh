#!/usr/bin/env bash
# standardwebhooks 1.1.0 and svix 2.9.1 for Python (2026-11): Webhook.sign takes a datetime, and reads the clock's digits
# of an aware one as if they were UTC's. The same moment in São Paulo's offset gets another signature than in UTC: that of
# a time three hours earlier, which a receiver refuses with the header of the true moment, and as too old with its own.
# What the product does: its own signature is made from whole seconds since 1970, never from a datetime
# (layers/runtime/relay/agent/auth.py; `make sdks` and tests/unit/agents/test_webhook.py verify it with the libraries).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check standardwebhooks==1.1.0 svix==2.9.1 2>/dev/null
env/bin/python - <<'PY'
from datetime import datetime, timedelta, timezone

import standardwebhooks
import svix

utc = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
brazil = utc.astimezone(timezone(timedelta(hours=-3)))
assert utc == brazil
for library in (standardwebhooks, svix):
    webhook = library.Webhook("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    of_utc, of_brazil, earlier = (webhook.sign("msg_1", at, "{}") for at in (utc, brazil, utc - timedelta(hours=3)))
    if of_utc == of_brazil or of_brazil != earlier:
        raise SystemExit(f"{library.__name__}: changed")
    print(f"{library.__name__}: one moment, two signatures: {of_utc[:12]}… in UTC, {of_brazil[:12]}… at -03:00")
PY
