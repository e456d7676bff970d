"""Apps, the callers of the API: their records in SSM, and the keys that stand for them.

A key is `pk_<app>_<secret>` (public, may sit in an app) or `sk_<app>_<secret>` (secret, for servers); only its SHA-256
is stored. The secret is 32 random letters and digits, so that a plain digest of it cannot be guessed backwards.
"""

import hmac
import re
import secrets
import string
from typing import Literal

from pydantic import BaseModel, ConfigDict

from relay import settings
from relay.errors import SettingsUnavailable
from relay.hashing import sha256

Kind = Literal["public", "secret"]

_KEY = re.compile(r"(pk|sk)_([a-z][a-z0-9-]{0,31})_([A-Za-z0-9]{32,64})")
_KINDS: dict[str, Kind] = {"pk": "public", "sk": "secret"}
_ALPHABET = string.ascii_letters + string.digits


class Key(BaseModel):
    """One key of an app: its kind and the SHA-256 of its whole text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    sha256: str


class App(BaseModel):
    """An app's record: its keys, and whether a public key must prove who the customer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    identity: Literal["required", "optional"] = "required"
    keys: tuple[Key, ...] = ()


def new_key(app_id: str, kind: Kind) -> str:
    """A new random key of an app; shown once, stored only as its digest."""
    prefix = "pk" if kind == "public" else "sk"
    return f"{prefix}_{app_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))


def holder(key: str, apps_path: str) -> tuple[str, Kind, App] | None:
    """Whose key this is: app id, kind and record, or None for a key that is malformed, unknown or revoked.

    Raises:
        SettingsUnavailable: the app's record exists but does not validate.
    """
    match = _KEY.fullmatch(key)
    if not match:
        return None
    kind, app_id = _KINDS[match[1]], match[2]
    try:
        app = settings.load(App, f"{apps_path}/{app_id}")
    except SettingsUnavailable as fault:
        if fault.missing:
            return None
        raise
    digest = sha256(key)
    valid = [hmac.compare_digest(digest, known.sha256) for known in app.keys if known.kind == kind]
    return (app_id, kind, app) if any(valid) else None
