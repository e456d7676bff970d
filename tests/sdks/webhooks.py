"""The libraries standardwebhooks and svix for Python verify a message that the product signed."""

import json
import os
import sys
from importlib.metadata import version

import standardwebhooks
import svix

SIGNED = json.loads(os.environ["WEBHOOK"])
for library, kind in (("standardwebhooks", standardwebhooks.Webhook), ("svix", svix.Webhook)):
    kind(SIGNED["secret"]).verify(SIGNED["body"], SIGNED["headers"])
    try:
        kind(SIGNED["secret"]).verify(SIGNED["body"] + " ", SIGNED["headers"])
    except Exception as refused:  # noqa: BLE001 - each library has an exception of this name of its own
        accepted = type(refused).__name__ == "WebhookVerificationError"
    else:
        accepted = False
    sys.stdout.write(
        json.dumps({"library": f"{library} {version(library)} (Python)", "accepted": accepted, "digests": {}}) + "\n"
    )
