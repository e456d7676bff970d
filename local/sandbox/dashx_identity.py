"""DashX' identity tokens: JWTs that say for which user a client speaks."""

import base64
import hashlib
import hmac
import json

from local.sandbox.exchange import Json


def read_identity_token(token: str, key: str, now: float) -> tuple[dict[str, Json], str]:
    """Read a JWT signed with HS256; gives its claims and the words with which DashX refuses it, or none."""
    parts = token.split(".")
    try:
        header, claims = (json.loads(_unpadded(part)) for part in parts[:2])
        signature = _unpadded(parts[2])
        fits = not parts[3:] and isinstance(claims, dict) and header["alg"] == "HS256"
    except (ValueError, LookupError, TypeError, RecursionError):
        fits = False
    if not fits:
        return {}, "Improper format."
    right = hmac.digest(key.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256)
    expires = claims.get("exp")
    if not hmac.compare_digest(signature, right):
        return {}, "Invalid signature."
    if not isinstance(expires, int | float) or expires <= now:
        return {}, "Expired."
    if not isinstance(claims.get("uid"), str) or not claims["uid"].strip():
        return {}, "Missing identity 'uid'."
    return claims, "" if claims.get("kind") == "USER" else "Improper format."


def _unpadded(part: str) -> bytes:
    return base64.b64decode(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4), validate=True)
