"""The ledger's own keys: they digest who is on a device, and seal what an agent needs to end that person's pushes.

One SecureString parameter holds the current key and the previous one. The first function that needs it makes
it. Rotation keeps the previous key, so that rows of before can still be read.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property, lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from relay.aws import parameters
from relay.aws.environment import ledger_keys_parameter
from relay.errors import SettingsUnavailable

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_BYTES = 32
REFRESH_SECONDS = 60
"""How often at most SSM is asked for the keys before the cached ones end."""

_refreshed: dict[str, float] = {}


def _key(secret: SecretStr) -> SecretStr:
    try:
        raw = urlsafe_b64decode(secret.get_secret_value())
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in URL-safe base64")
    return secret


class LedgerKeysRecord(BaseModel):
    """What the parameter holds: the current key first, then the previous one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[Annotated[SecretStr, AfterValidator(_key)], ...] = Field(min_length=1, max_length=2)


class _Key(NamedTuple):
    """One key: its short name, by which rows name it, and what is derived from it for each use."""

    name: str
    digests: bytes
    seals: bytes

    @classmethod
    def derive(cls, secret: str) -> "_Key":
        """The parts of a key; the name says nothing of it."""
        raw = urlsafe_b64decode(secret)
        name, digests, seals = (hmac.digest(raw, use, "sha256") for use in (b"name", b"digests", b"seals"))
        return cls(name.hex()[:8], digests, urlsafe_b64encode(seals))

    def digest(self, text: str) -> str:
        """`<key's name>.<HMAC-SHA-256>`."""
        return f"{self.name}.{hmac.digest(self.digests, text.encode(), 'sha256').hex()[:32]}"


class LedgerKeys:
    """The current key, and the previous one if there is one; printing it shows neither."""

    def __init__(self, record: LedgerKeysRecord) -> None:
        self._keys = [_Key.derive(secret.get_secret_value()) for secret in record.keys]

    def digest(self, text: str) -> str:
        """A text's digest under the current key, with the key's name before it."""
        return self._keys[0].digest(text)

    def knows(self, digest: str) -> bool:
        """Whether a digest was made with one of the keys."""
        return digest.partition(".")[0] in {key.name for key in self._keys}

    def is_of(self, digest: str, text: str) -> bool:
        """Whether a digest is that of a text under one of the keys."""
        return any(hmac.compare_digest(digest, key.digest(text)) for key in self._keys)

    def seal(self, text: str) -> str:
        """A text sealed with the current key (Fernet: AES-128-CBC and HMAC-SHA-256)."""
        sealed: bytes = self._fernet.encrypt(text.encode())
        return sealed.decode()

    def unseal(self, sealed: str) -> str | None:
        """The text that was sealed with one of the keys; None for any other."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as below

        try:
            text: bytes = self._fernet.decrypt(sealed)
        except InvalidToken:
            return None
        return text.decode()

    @cached_property
    def _fernet(self) -> "MultiFernet":
        # Only agents that keep contacts need it, and its import takes 30 ms.
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

        return MultiFernet([Fernet(key.seals) for key in self._keys])


def load_keys(force_refresh: bool = False) -> LedgerKeys:  # noqa: FBT001, FBT002 - the ledger's own question
    """The stack's keys from SSM; made if there are none.

    Raises:
        SettingsUnavailable: they can be neither read nor made.
    """
    name = ledger_keys_parameter()
    # Rows whose key has gone for good would otherwise ask SSM at every delivery.
    force_refresh = force_refresh and monotonic() - _refreshed.get(name, -REFRESH_SECONDS) >= REFRESH_SECONDS
    if force_refresh:
        _refreshed[name] = monotonic()
    try:
        record = parameters.load(LedgerKeysRecord, name, force_refresh=force_refresh)
    except SettingsUnavailable as fault:
        if not fault.missing:
            raise
        # Another function may make them at the same moment: what is stored then counts, not what was offered.
        parameters.create(name, json.dumps({"keys": [make_key()]}))
        record = parameters.load(LedgerKeysRecord, name, force_refresh=True)
    return _derived(record)


def make_key() -> str:
    """A new key, as the parameter has it."""
    return urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


@lru_cache(maxsize=4)
def _derived(record: LedgerKeysRecord) -> LedgerKeys:
    return LedgerKeys(record)
