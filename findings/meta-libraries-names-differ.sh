#!/usr/bin/env bash
# Meta's own libraries make two people of one: facebook-business 26.0.3 (Python) digests "o'connor" with its apostrophe,
# capi-param-builder-nodejs 1.3.2 without it, but with a typographic one (U+2019), which phones type. Meta's text says
# "no punctuation". A pixel that uses the builder and a server that uses the SDK do not match by name.
# What the product does: no punctuation of any script (functions/agents/facebook, contract.json).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts capi-param-builder-nodejs@1.3.2
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check facebook-business==26.0.3 2>/dev/null
cat > run.cjs <<'JS'
const { ParamBuilder } = require("capi-param-builder-nodejs");
for (const name of ["O'Connor", "O\u2019Connor"]) console.log(new ParamBuilder().getNormalizedAndHashedPII(name, "last_name").split(".")[0]);
JS
cat > run.py <<'PY'
import hashlib
import subprocess

from facebook_business.adobjects.serverside.normalize import Normalize

builder = subprocess.run(["node", "run.cjs"], capture_output=True, text=True, check=True).stdout.split()
names = ["O'Connor", "O\u2019Connor"]
sdk = [Normalize.normalize_field("ln", name) for name in names]
seen = {"SDK, '": sdk[0], "SDK, \u2019": sdk[1], "builder, '": builder[0], "builder, \u2019": builder[1]}
expected = {"SDK, '": "o'connor", "SDK, \u2019": "o\u2019connor", "builder, '": "oconnor", "builder, \u2019": "o\u2019connor"}
for form, normal in expected.items():
    assert seen[form] == hashlib.sha256(normal.encode()).hexdigest(), f"changed: {form}"
    print(f"{form}: the digest of {normal!r}")
PY
py/bin/python run.py
