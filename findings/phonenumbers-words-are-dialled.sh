#!/usr/bin/env bash
# phonenumbers 9.0.43 (Python) and google-libphonenumber 3.2.47 (Node), ports of Google's library (2026-11): a word of three
# letters or more behind a number, as people write it into a form's field, is dialled on a telephone's keys. German numbers
# have no fixed length, so that the number of nobody is "valid": +49 30 23125 000 (home) becomes +4930231250004663.
# libphonenumber-js 1.13.16 leaves the word out. Two ends of one system store two numbers of one person. Letters count in
# numbers such as 1-800-FLOWERS; in brackets, behind a complete number, nobody expects it.
# What the product does: a number with letters is no number, and is left out with a warning (layers/runtime/relay/event/
# contacts.py; test_words_behind_a_number_never_become_digits in tests/unit/event/test_identifiers.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts google-libphonenumber@3.2.47 libphonenumber-js@1.13.16
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check phonenumbers==9.0.43 2>/dev/null
cat > run.cjs <<'JS'
const { PhoneNumberUtil, PhoneNumberFormat } = require("google-libphonenumber");
const { parsePhoneNumberFromString } = require("libphonenumber-js/max");
const google = PhoneNumberUtil.getInstance();
const [text] = process.argv.slice(2);
const [number, other] = [google.parse(text), parsePhoneNumberFromString(text)];
console.log(google.format(number, PhoneNumberFormat.E164), google.isValidNumber(number), other.number, other.isValid());
JS
cat > run.py <<'PY'
import subprocess

import phonenumbers

for words, wrong in (("(home)", "4663"), ("Anna", "2662"), ("mobil", "66245")):
    text = f"+49 30 23125 000 {words}"
    number = phonenumbers.parse(text)
    seen = [phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)]
    seen += [str(phonenumbers.is_valid_number(number)).lower()]
    seen += subprocess.check_output(["node", "run.cjs", text], text=True).split()
    assert seen == [f"+493023125000{wrong}", "true"] * 2 + ["+493023125000", "true"], f"changed: {text}: {seen}"
    print(f"{text}: {seen[0]}, valid (phonenumbers, google-libphonenumber); {seen[4]} (libphonenumber-js)")
PY
env/bin/python run.py
