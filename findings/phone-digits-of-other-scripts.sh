#!/usr/bin/env bash
# A phone number typed with an Arabic or Persian keyboard has other digits than 0-9. facebook-business 26.0.3 (Python)
# and google-ads-datamanager-util 0.4.0 take them for digits, as Python's \d does, and leave them in: the digest is of a
# text that is no number in E.164, and matches nobody. Meta's capi-param-builder-nodejs 1.3.2 makes no digest at all.
# phonenumbers 9.0.43 and libphonenumber-js 1.13.16 read the number. Nobody warns.
# What the product does: ingest reads decimal digits of every script as 0-9 before any agent digests the number
# (layers/runtime/relay/event/contacts.py; test_digits_of_every_script_are_read in tests/unit/event/test_identifiers.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts capi-param-builder-nodejs@1.3.2 libphonenumber-js@1.13.16
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check facebook-business==26.0.3 google-ads-datamanager-util==0.4.0 phonenumbers==9.0.43 2>/dev/null
cat > run.cjs <<'JS'
const { ParamBuilder } = require("capi-param-builder-nodejs");
const { parsePhoneNumberFromString } = require("libphonenumber-js");
const text = process.argv[2];
console.log(JSON.stringify([new ParamBuilder().getNormalizedAndHashedPII(text, "phone"), parsePhoneNumberFromString(text).number]));
JS
cat > run.py <<'PY'
import hashlib
import json
import subprocess

import phonenumbers
from facebook_business.adobjects.serverside.normalize import Normalize
from google.ads.datamanager_util.format import Formatter

TRUE = "+442079460958"
for zero in ("\u0660", "\u06f0"):
    typed = "".join(chr(ord(zero) + int(sign)) if sign.isdigit() else sign for sign in "+44 20 7946 0958")
    bare = typed.replace(" ", "")
    builder, javascript = json.loads(subprocess.check_output(["node", "run.cjs", typed], text=True))
    python = phonenumbers.format_number(phonenumbers.parse(typed), phonenumbers.PhoneNumberFormat.E164)
    assert javascript == python == TRUE, f"changed: {javascript}, {python}"
    assert Normalize.normalize_field("ph", typed) == hashlib.sha256(bare[1:].encode()).hexdigest(), "changed: Meta's SDK"
    assert Formatter().format_phone_number(typed) == bare, "changed: Google's formatter"
    assert builder is None, "changed: Meta's builder"
    print(f"{typed!a}: {TRUE} by two libraries; Meta's SDK and Google's formatter keep {bare!a}; Meta's builder: none")
PY
env/bin/python run.py
