#!/usr/bin/env bash
# dashx 0.1.0 for Python (2026-11), DashX' own: track without a uid makes up an anonymous id for each call, and has no
# argument for the visitor's own; identify without a uid makes up another. Two opens of one visitor are two visitors, and
# neither is the one whom identify describes. Expected: an argument for the visitor's id, as DashX' API has, or a refusal.
# What the product does: it sends the visitor's own id, makes none up, and skips an event that has neither id ("no
# customerId or anonymousId": functions/agents/dashx, contract.json).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check dashx==0.1.0 2>/dev/null
cat > run.py <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from dashx import DashX

sent = []


class GraphQL(BaseHTTPRequestHandler):
    def do_POST(self):
        sent.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["variables"]["input"])
        body = b'{"data": {}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), GraphQL)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = DashX(f"http://127.0.0.1:{server.server_port}/graphql", "pub_example", "0123456789abcdef", "staging")
client.identify(email="ana@example.com")
client.track("app_open")
client.track("app_open")
server.shutdown()
visitors = {call.get("anonymousUid") or call.get("accountAnonymousUid") for call in sent}
if len(sent) != 3 or len(visitors) != 3 or None in visitors:
    raise SystemExit(f"changed: {sent}")
print(f"three calls about one visitor, {len(visitors)} anonymous ids")
PY
env/bin/python run.py
