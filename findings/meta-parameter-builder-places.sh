#!/usr/bin/env bash
# capi-param-builder-nodejs 1.3.2 (Meta): a country that is not on its English list is cut to its first two letters, so
# that ISO 3166's three letters for Austria become Australia's two, and Austria in German those of São Tomé and Príncipe.
# Letters with accents are deleted from a city, and a city without Latin letters has no digest at all. 31 February is a
# birthday. Expected: nothing, where the value has no normal form.
# What the product does: two letters or nothing, a day of the calendar or nothing, letters of any script
# (functions/agents/facebook, contract.json).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts capi-param-builder-nodejs@1.3.2
cat > run.cjs <<'JS'
const { createHash } = require("crypto");
const { ParamBuilder } = require("capi-param-builder-nodejs");
const digest = (text) => createHash("sha256").update(text).digest("hex");
const builder = new ParamBuilder();
const cases = [
  ["AUT", "country", "au"],
  ["Österreich", "country", "st"],
  ["København", "city", "kbenhavn"],
  ["東京", "city", null],
  ["1997-02-31", "date_of_birth", "19970231"],
];
for (const [value, kind, normal] of cases) {
  const made = builder.getNormalizedAndHashedPII(value, kind);
  const seen = made === null ? null : made.split(".")[0];
  if (seen !== (normal === null ? null : digest(normal))) throw new Error(`changed: ${kind} ${value}`);
  console.log(`${kind} ${value}: ${normal === null ? "no digest" : `the digest of "${normal}"`}`);
}
JS
node run.cjs
