#!/usr/bin/env bash
# @dashx/node 0.1.30, the newest on npm (2026-11): generateIdentityToken makes no JWT, though DashX' pages and the newer
# code in its repository say that a token is one (HS256, claims kind, uid, exp). It has one part instead of three; two
# tokens of one person differ.
# What the product does: it mints the JWT of the pages (layers/runtime/relay/api/identity_tokens.py), and answers 401,
# "Improper format", to the other form.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @dashx/node@0.1.30
cat > run.cjs <<'JS'
const client = require("@dashx/node").default.createClient({
  publicKey: "pub_example", privateKey: "0123456789abcdef0123456789abcdef", targetEnvironment: "staging",
});
const [one, other] = [client.generateIdentityToken("usr_1"), client.generateIdentityToken("usr_1")];
if (one.split(".").length !== 1 || one === other) throw new Error("changed");
console.log(`${one.split(".").length} part of ${one.length} characters, no JWT`);
JS
node run.cjs
