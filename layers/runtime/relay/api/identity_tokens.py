"""DashX identity tokens: minted for a customer by an app's back end, verified when the customer's device speaks.

A token is a JWT signed with HS256 by the app's DashX private key, whose UTF-8 bytes are the key as they are; its claims
are `kind` (USER), `uid` and `exp`. Source: docs.dashx.com, User Management, "Securely Set Identity".
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

import jwt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from relay.errors import IncorrectToken
from relay.event.types import TokenUid, integral

ALGORITHM = "HS256"
MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key of the hash's own size or larger."""

MAX_LIFETIME_SECONDS = 7 * 24 * 3600
MAX_TOKEN_BYTES = 4096
MAX_EXPIRY = 1e11
"""The year 5138 in seconds: what is beyond was meant in milliseconds, and would never end."""

NOT_BEFORE_LEEWAY_SECONDS = 60

# PyJWT lets '=' pass at a part's end; whether a part is in canonical form it checks itself.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SIGNATURES = jwt.PyJWS(algorithms=[ALGORITHM])


def _usable(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text != text.strip():
        raise PydanticCustomError("blanks", "must not begin or end with a blank or a newline")
    if len(text.encode()) < MIN_KEY_BYTES:
        raise PydanticCustomError("short", "must have 32 bytes or more (RFC 7518, section 3.2)")
    try:
        _SIGNATURES.get_algorithm_by_name(ALGORITHM).prepare_key(text)
    except jwt.InvalidKeyError:
        raise PydanticCustomError("asymmetric", "must be DashX's private key, not a PEM, DER or SSH key") from None
    return key


Lifetime = Annotated[int, Field(strict=True, ge=1, le=MAX_LIFETIME_SECONDS), BeforeValidator(integral)]
"""How long a token is good for, in seconds."""


class IdentityKeys(BaseModel):
    """An app's signing keys: the current one first, then the previous one while one replaces the other.

    `expires_in` is the app's own lifetime of a token, in seconds, for calls that name none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[Annotated[SecretStr, AfterValidator(_usable)], ...] = Field(min_length=1, max_length=2)
    expires_in: Annotated[int, Field(strict=True, ge=60, le=MAX_LIFETIME_SECONDS)] = MAX_LIFETIME_SECONDS


class Claims(BaseModel):
    """What a token says; further claims are passed over, `exp` and `nbf` are in UNIX seconds, fractions included."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True, allow_inf_nan=False)

    kind: Literal["USER"]
    uid: TokenUid
    exp: Annotated[float, Field(le=MAX_EXPIRY)]
    nbf: float | None = None


class Token(NamedTuple):
    """A minted token; whom it speaks for and its text stay out of its repr."""

    token: str
    uid: str
    kind: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Neither the token nor its uid."""
        return f"Token(kind={self.kind!r}, expires_at={self.expires_at!r})"


def mint(keys: IdentityKeys, uid: str, expires_in: int, now: datetime) -> Token:
    """A token for a customer, signed with the current key; `expires_in` in seconds.

    Raises:
        ValueError: the uid is not a customer id, or the lifetime is not 1 second to 7 days.
    """
    if not 1 <= expires_in <= MAX_LIFETIME_SECONDS:
        raise ValueError(f"expires_in must be 1 to {MAX_LIFETIME_SECONDS} seconds")
    expires_at = int(now.timestamp()) + expires_in
    claims = Claims(kind="USER", uid=uid, exp=expires_at)
    token = jwt.encode({"kind": claims.kind, "uid": uid, "exp": expires_at}, keys.keys[0].get_secret_value(), ALGORITHM)
    return Token(token, uid, claims.kind, datetime.fromtimestamp(expires_at, UTC))


def verify(token: str, keys: IdentityKeys, now: datetime) -> str:
    """The customer whom a token speaks for; the signature is checked before a claim is believed.

    A token ends at its `exp` without leeway; from its `nbf` on it counts, 60 s of difference between clocks allowed.

    Raises:
        IncorrectToken: in DashX's wording; never quotes the token.
    """
    claims = _claims(_signed_payload(token, keys))
    if claims.exp <= now.timestamp():
        raise IncorrectToken("Expired")
    if claims.nbf is not None and claims.nbf > now.timestamp() + NOT_BEFORE_LEEWAY_SECONDS:
        raise IncorrectToken("Not valid yet")
    return claims.uid


def _signed_payload(token: str, keys: IdentityKeys) -> bytes:
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token):
        raise IncorrectToken("Improper format")
    for key in keys.keys:
        try:
            payload: bytes = _SIGNATURES.decode(token, key.get_secret_value(), [ALGORITHM])
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError:
            raise IncorrectToken("Improper format") from None
        return payload
    raise IncorrectToken("Invalid signature")


_FAULTS = {"kind": "Wrong kind", "uid": "Missing identity 'uid'", "exp": "Improper format", "nbf": "Improper format"}


def _claims(payload: bytes) -> Claims:
    try:
        return Claims.model_validate_json(payload)
    except ValidationError as invalid:
        place = invalid.errors(include_input=False)[0]["loc"]
        raise IncorrectToken(_FAULTS[str(place[0])] if place else "Improper format") from None
