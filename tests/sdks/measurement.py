"""ga4mp posts an ordinary event to a web stream and to an app stream, and asks the validation of both."""

import json
import os
import sys
from importlib.metadata import version

from ga4mp import FirebaseMP, GtagMP

GTAG = GtagMP(api_secret="SECRET", measurement_id="G-ABC1234567", client_id="1872054418.1795100000")
FIREBASE = FirebaseMP(
    api_secret="SECRET",
    firebase_app_id="1:123456789012:ios:3f2a9c0b1d4e5f60",
    app_instance_id="c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
)
for stream in (GTAG, FIREBASE):
    stream._base_domain = os.environ["SANDBOX"] + "/google/mp/collect"  # noqa: SLF001 - it has no setting for it
    stream._validation_domain = os.environ["SANDBOX"] + "/google/debug/mp/collect"  # noqa: SLF001 - as above
    event = stream.create_new_event("login")
    event.set_event_param("method", "google")
    stream.send([event])
    stream.send([event], validation_hit=True)
sys.stdout.write(json.dumps({"library": f"ga4mp {version('ga4mp')} (Python)", "accepted": True, "digests": {}}) + "\n")
