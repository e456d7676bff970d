#!/usr/bin/env bash
# A phone number in the form in which Britons and Germans print it, +44 (0)7911 123456, keeps its (0) in Meta's libraries
# (facebook-business 26.0.3, capi-param-builder-nodejs 1.3.2): the digest is of 4407911123456, a number that is nobody's,
# without a warning. Expected: the digest of 447911123456, or none.
# What the product does: ingest drops the (0) behind a country code before any agent digests the number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts capi-param-builder-nodejs@1.3.2
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check facebook-business==26.0.3 2>/dev/null
cat > run.cjs <<'JS'
const { ParamBuilder } = require("capi-param-builder-nodejs");
console.log(new ParamBuilder().getNormalizedAndHashedPII("+44 (0)7911 123456", "phone").split(".")[0]);
JS
cat > run.py <<'PY'
import hashlib
import subprocess

from facebook_business.adobjects.serverside.normalize import Normalize

wrong = hashlib.sha256(b"4407911123456").hexdigest()
builder = subprocess.run(["node", "run.cjs"], capture_output=True, text=True, check=True).stdout.strip()
assert Normalize.normalize_field("ph", "+44 (0)7911 123456") == wrong, "changed: facebook-business"
assert builder == wrong, "changed: capi-param-builder-nodejs"
print("both: the digest of 4407911123456")
PY
py/bin/python run.py
