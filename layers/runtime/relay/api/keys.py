"""Apps, the callers of the API: their records in SSM, and the keys that stand for them.

A key is `pk_<app>_<secret>` (public, may sit in an app) or `sk_<app>_<secret>` (secret, for servers); only its SHA-256
is stored. The secret is 32 random letters and digits, so that a plain digest of it cannot be guessed backwards. An app
has as many keys as it wants: to rotate one, store the new one beside it, and take it out (or let it expire) later.

SSM answers 40 reads a second, for the whole account. A caller who makes up apps must not use them up. So an app that
was not there is not looked for again for a minute, and a function instance looks for few apps a second that it does not
know; beyond that the caller has to try again later (503), while the apps that it knows go on.
"""

import hmac
import re
import secrets
import string
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from relay.aws import parameters
from relay.aws.app_agents import AgentModes
from relay.encoding import sha256
from relay.errors import SettingsUnavailable

Kind = Literal["public", "secret"]

NEGATIVE_CACHE_SIZE = 1000
"""How many apps that were not there an instance remembers."""

NEGATIVE_CACHE_SECONDS = 60
MAX_UNKNOWN_LOOKUPS_PER_SECOND = 4
"""How many apps that it does not know an instance looks for in a second."""

_KEY = re.compile(r"(pk|sk)_([a-z][a-z0-9-]{0,31})_([A-Za-z0-9]{32,64})")
_KINDS: dict[str, Kind] = {"pk": "public", "sk": "secret"}
_ALPHABET = string.ascii_letters + string.digits


class Key(BaseModel):
    """One key of an app: its kind and the SHA-256 of its whole text; from `expires` on it is as good as none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None

    def is_valid(self, kind: Kind, now: datetime) -> bool:
        """Whether it is of that kind and has not expired."""
        return self.kind == kind and (self.expires is None or now < self.expires)


class App(BaseModel):
    """An app's record: its keys, who must prove the customer, where its people are, and whose settings agents use.

    `region` is the country (ISO 3166) by which phone numbers without a country code are read; `agents` says per agent
    whether it serves the app by the settings of all apps, by the app's own, or not at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    identity: Literal["required", "optional"] = "required"
    region: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    keys: tuple[Key, ...] = ()
    agents: AgentModes = Field(default_factory=dict)


@dataclass(slots=True)
class AppLookupLimiter:
    """The apps that a function instance knows, those that do not exist, and how many more it may look up now."""

    known: set[str] = field(default_factory=set)
    missing_apps: OrderedDict[str, float] = field(default_factory=OrderedDict)
    looks: float = MAX_UNKNOWN_LOOKUPS_PER_SECOND
    counted_at: float = 0.0

    def is_missing(self, app_id: str, now: float) -> bool:
        """Whether the app was not there a short while before a time (epoch seconds)."""
        return app_id not in self.known and self.missing_apps.get(app_id, 0.0) > now

    def allow(self, app_id: str, now: float) -> bool:
        """Whether to ask SSM for an app at a time (epoch seconds)."""
        if app_id in self.known:
            return True
        self.looks = min(
            MAX_UNKNOWN_LOOKUPS_PER_SECOND,
            self.looks + max(0.0, now - self.counted_at) * MAX_UNKNOWN_LOOKUPS_PER_SECOND,
        )
        self.counted_at = now
        if self.looks < 1:
            return False
        self.looks -= 1
        return True

    def found(self, app_id: str) -> None:
        """The app was there."""
        self.known.add(app_id)
        self.missing_apps.pop(app_id, None)

    def not_found(self, app_id: str, now: float) -> None:
        """The app was not there; the one remembered longest is forgotten if they become too many."""
        self.known.discard(app_id)
        self.missing_apps.pop(app_id, None)
        self.missing_apps[app_id] = now + NEGATIVE_CACHE_SECONDS
        if len(self.missing_apps) > NEGATIVE_CACHE_SIZE:
            self.missing_apps.popitem(last=False)


@cache
def app_lookup_limiter() -> AppLookupLimiter:
    """This function instance's own."""
    return AppLookupLimiter()


def new_key(app_id: str, kind: Kind) -> str:
    """A new random key of an app; shown once, stored only as its digest."""
    prefix = "pk" if kind == "public" else "sk"
    return f"{prefix}_{app_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))


def usage_key(stage: str, app_id: str) -> str:
    """The name by which API Gateway's usage plan counts an app's calls; no secret, and no key that opens anything."""
    return sha256(f"session-relay/{stage}/{app_id}")


def authenticate(key: str, apps_path: str, now: datetime | None = None) -> tuple[str, Kind, App] | None:
    """Whose key this is: app id, kind and record, or None for a key that is malformed, unknown, expired or revoked.

    Raises:
        SettingsUnavailable: the app's record does not validate, SSM does not answer, or too many unknown apps were
            looked up at once.
    """
    match = _KEY.fullmatch(key)
    if not match:
        return None
    now = now or datetime.now(UTC)
    kind, app_id = _KINDS[match[1]], match[2]
    app = _record(app_id, apps_path, now.timestamp())
    if app is None:
        return None
    digest, opens = sha256(key), False
    # Every key is compared, and all of its digest: the time that this takes says nothing of how near a guess came.
    for known in app.keys:
        opens |= hmac.compare_digest(digest, known.sha256) & known.is_valid(kind, now)
    return (app_id, kind, app) if opens else None


def _record(app_id: str, apps_path: str, now: float) -> App | None:
    limiter = app_lookup_limiter()
    if limiter.is_missing(app_id, now):
        return None
    if not limiter.allow(app_id, now):
        # A valid key may be among these: it is not refused, but has to come again.
        raise SettingsUnavailable("too many look-ups of unknown apps at once")
    try:
        app = parameters.load(App, f"{apps_path}/{app_id}")
    except SettingsUnavailable as fault:
        if fault.missing:
            limiter.not_found(app_id, now)
            return None
        raise
    limiter.found(app_id)
    return app
