#!/usr/bin/env bash
# jsonwebtoken 9.0.3 for Node (2026-11): `expiresIn: 3600` is an hour; `expiresIn: "3600"`, as an environment variable
# gives it, is read as milliseconds: the token ends within four seconds, and nothing is said. Identity tokens made so by
# a shop's own server work on its developer's desk and fail on a slow phone.
# What the product does: an ended token is a 401 that says since when, and the client asks the app's `identityToken()`
# once and goes on (clients/javascript; tests/client).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts jsonwebtoken@9.0.3
cat > run.cjs <<'JS'
const jwt = require("jsonwebtoken");
const life = (expiresIn) => {
  const { iat, exp } = jwt.decode(jwt.sign({ uid: "usr_1" }, "0123456789abcdef0123456789abcdef", { expiresIn }));
  return exp - iat;
};
const [number, text] = [life(3600), life("3600")];
if (number !== 3600 || text > 4) throw new Error("changed");
console.log(`3600: ${number} s; "3600": ${text} s`);
JS
node run.cjs
