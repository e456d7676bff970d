"""Standard Webhooks: the secrets that sign a message, and what a receiver's answer means."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from relay.agent.http import Response
from relay.agent.verdict import Verdict, VerdictKind, by_status

MIN_SECRET_BYTES = 24


def _signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith("whsec_") or len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"a signing secret is whsec_ and the base64 of at least {MIN_SECRET_BYTES} bytes")
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
"""`whsec_` and base64; a list of two signs twice, so that the receiver can change from one to the other."""


def classify_webhook(response: Response) -> Verdict:
    """409 says that the message was seen before, which is as good as done; 410 that the endpoint is gone.

    A gone endpoint is a fault of the configuration: the delivery is held until the settings name a living one.
    """
    seen_before, gone = 409, 410
    if response.status == seen_before:
        return Verdict(VerdictKind.DELIVERED, "HTTP 409: seen before")
    if response.status == gone:
        return Verdict(VerdictKind.UNAUTHORIZED, "HTTP 410: the endpoint was removed")
    return by_status(response)
