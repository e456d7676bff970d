#!/usr/bin/env bash
# ga4mp 2.0.4 (GA4 Measurement Protocol): a postponed event is posted with `events` as an object, where the protocol wants
# a list, and Google answers 204 to both. The event itself keeps a member `_timestamp_micros`; sent again, it goes out
# with it, a field that no event has. Its first event carries engagement_time_msec 0: nobody counts as active.
# What the product does: a list, the time once for the whole request, 1 where the app says nothing
# (functions/agents/google, contract.json).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check ga4mp==2.0.4 2>/dev/null
cat > run.py <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from ga4mp import GtagMP

sent = []


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = GtagMP(api_secret="example-only", measurement_id="G-ABC1234567", client_id="1872054418.1795100000")
client._base_domain = f"http://127.0.0.1:{server.server_port}/mp/collect"
event = client.create_new_event("login")
event.set_event_param("method", "google")
client.send([event], postpone=True)
client.postponed_send()
client.send([event])
server.shutdown()
assert isinstance(sent[0]["events"], dict), "changed: events of a postponed hit"
assert sent[0]["events"]["params"]["engagement_time_msec"] == 0, "changed: engagement time"
assert "_timestamp_micros" in sent[1]["events"][0], "changed: the member that stays"
print("postponed: events is", sent[0]["events"])
print("sent again:", sent[1]["events"])
PY
py/bin/python run.py
