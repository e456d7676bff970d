#!/usr/bin/env bash
# google-ads-datamanager-util 0.4.0 (2026-11), Google's own: to take punctuation out of a city, a street or a state, it keeps
# what Python calls a word's character, and the vowel signs of India's and Thailand's scripts are none. Mumbai in Hindi is
# left with three of five characters, Hyderabad in Telugu with five of nine. A name in two Unicode forms becomes two: the
# accents of the decomposed one, as macOS writes it, are gone. Expected: punctuation removed, as Google's text says.
# What the product does: it keeps letters, marks and numbers, by Unicode's categories, of the composed form
# (layers/runtime/relay/agent/ga4.py; test_the_vowels_of_every_script_stay_and_one_name_has_one_digest).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check google-ads-datamanager-util==0.4.0 2>/dev/null
env/bin/python - <<'PY'
import unicodedata

from google.ads.datamanager_util.format import Formatter

made = Formatter()
cases = [
    (made.format_city, "मुंबई", "मबई"),
    (made.format_city, "హైదరాబాద్", "హదరబద"),
    (made.format_city, "ตรัง", "ตรง"),
    (made.format_administrative_area, "महाराष्ट्र", "महरषटर"),
    (made.format_city, unicodedata.normalize("NFC", "São Paulo"), "são paulo"),
    (made.format_city, unicodedata.normalize("NFD", "São Paulo"), "sao paulo"),
]
for method, place, expected in cases:
    found = method(place)
    if found != expected:
        raise SystemExit(f"changed: {place!a}: {found!a}")
    print(f"{place}, {len(place)} characters: {found}, {len(found)}")
PY
