#!/usr/bin/env bash
# moto 5.2.5 and ministack 1.5.33 (2026-11): PutParameter with Tier Standard takes a value of 9,000 characters, and a reader
# gets all of them. AWS answers ValidationException from the 4,097th on (quota of a standard parameter: 4 KB), and
# even an advanced one ends at 8 KB. Settings that grow, such as a service account's key file beside filters, pass every
# test, local and end to end, and fail on the day that they are stored in production.
# What the product does: where SSM refuses a document longer than that, `relay` says how long it is and what helps; its test
# has an SSM of its own (test_a_document_that_is_too_long_for_ssm_is_refused_with_its_length, tests/integration).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for emulator in moto ministack; do python3 -m venv "$emulator"; done
moto/bin/python -m pip install --quiet --disable-pip-version-check "moto[ssm]==5.2.5" boto3==1.44.5 2>/dev/null
ministack/bin/python -m pip install --quiet --disable-pip-version-check ministack==1.5.33 boto3==1.43.106 2>/dev/null
cat > parameters.py <<'PY'
import boto3


def stored(**endpoint):
    ssm = boto3.client("ssm", region_name="us-east-1", **endpoint)
    ssm.put_parameter(Name="/example", Value="x" * 9000, Type="SecureString", Tier="Standard")
    found = ssm.get_parameter(Name="/example", WithDecryption=True)["Parameter"]["Value"]
    (tier,) = [one["Tier"] for one in ssm.describe_parameters()["Parameters"]]
    return tier, len(found)
PY
cat > with_moto.py <<'PY'
from moto import mock_aws
from parameters import stored

with mock_aws():
    found = stored()
assert found == ("Standard", 9000), f"changed: {found}"
print("moto:", *found)
PY
cat > with_ministack.py <<'PY'
import os
import socket
import subprocess
import sys
import time

from parameters import stored

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "ministack"], env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.2)
    found = stored(endpoint_url=f"http://127.0.0.1:{port}")
finally:
    server.terminate()
    server.wait(20)
assert found == ("Standard", 9000), f"changed: {found}"
print("ministack:", *found)
PY
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test TMPDIR="$folder"
moto/bin/python with_moto.py
ministack/bin/python with_ministack.py
