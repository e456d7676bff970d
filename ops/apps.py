"""`relay apps`: the callers of the API, their keys, and the identity keys that their tokens are signed with."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import phonenumbers
import typer
from pydantic import ValidationError

from ops.ask import confirmed, hidden
from ops.command import command, group
from ops.faults import Misused, Wrong
from ops.show import Show
from ops.stage import Stage
from ops.usage import Usage
from relay.api.identity_tokens import IdentityKeys
from relay.api.keys import App, Kind, new_key
from relay.encoding import sha256

commands = group("Apps, their keys and identity keys.")

APP_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")
SHORT = 8
"""Digits of a key's digest by which it is called."""

CACHED = "within ten minutes"
"""How long functions and API Gateway may go on with what they have read of an app."""

AppId = Annotated[str, typer.Argument(metavar="APP", help="The app's id: a to z, 0 to 9 and -, a letter first.")]
Identity = Annotated[
    Literal["required", "optional"],
    typer.Option(help="Whether a public key must prove by an identity token for whom it speaks."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@command(commands, "create")
def create(
    stage: Stage,
    show: Show,
    app: AppId,
    *,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    identity: Identity = "required",
    region: Annotated[
        str | None, typer.Option(help="The country (ISO 3166, as in BR) of phone numbers without a country code.")
    ] = None,
) -> None:
    """Makes an app with a public and a secret key, which are shown this once."""
    if not APP_ID.fullmatch(app):
        raise Misused(f"{app!r} cannot be an app's id: it is 1 to 32 of a to z, 0 to 9 and -, a letter first.")
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise Misused(f"--region {region}: write a country's two capital letters (ISO 3166), as in BR.")
    if stage.read("apps", app) is not None:
        raise Wrong(f"{app} is there already: choose another id, or relay apps rotate {app} for a new key.")
    # First, so that no app is there whose keys nobody has been shown.
    Usage(stage).admit(app)
    keys: dict[Kind, str] = {"public": new_key(app, "public"), "secret": new_key(app, "secret")}
    now = datetime.now(UTC)
    record = {"name": name, "identity": identity, "keys": [_stored(key, kind, now) for kind, key in keys.items()]}
    record |= {"region": region} if region else {}
    stage.store(_checked(record), "apps", app, anew=True)
    show.done(
        {"app": app, "identity": identity, **({"region": region} if region else {}), "keys": keys},
        f"App {app} is there. Its keys are shown this once; only their digests are stored.\n"
        f"public  {keys['public']}\nsecret  {keys['secret']}",
    )
    if identity == "required":
        show.say(f"Public keys need identity tokens: store the app's identity key with relay apps identity {app}.")


@command(commands, "admit")
def admit(stage: Stage, show: Show, app: AppId) -> None:
    """Gives an app its key in the usage plan, if it has none: without it API Gateway refuses the app."""
    _record(stage, app)
    usage = Usage(stage)
    if not usage.plan:
        raise Wrong(f"The stack has no usage plan: make deploy STAGE={stage.name} makes one.")
    usage.admit(app)
    show.done({"app": app, "plan": usage.plan}, f"{app} is in the usage plan.")


@command(commands, "list")
def list_(stage: Stage, show: Show) -> None:
    """Lists the apps."""
    admitted, signing = Usage(stage).apps(), {path.rsplit("/", 1)[1] for path, _ in stage.under("identity")}
    rows = []
    for path, text in stage.under("apps"):
        app = path.rsplit("/", 1)[1]
        record, now = json.loads(text), datetime.now(UTC)
        valid = [key["kind"] for key in record.get("keys", []) if _state(key, now) != "expired"]
        rows.append(
            {
                "app": app,
                "name": record.get("name", ""),
                "identity": record.get("identity", "required"),
                "region": record.get("region", ""),
                "public": valid.count("public"),
                "secret": valid.count("secret"),
                "identityKey": app in signing,
                "usagePlan": app in admitted,
            }
        )
    headings = {"public": "public keys", "secret": "secret keys", "identityKey": "identity key"}
    headings = {name: headings.get(name, name) for name in (rows[0] if rows else {"app": ""})}
    show.rows(rows, headings | ({"usagePlan": "in usage plan"} if rows else {}), "Apps")


@command(commands, "keys")
def keys(stage: Stage, show: Show, app: AppId) -> None:
    """Lists an app's keys by their short names, the first eight digits of their digests."""
    now = datetime.now(UTC)
    rows = [
        {"key": key["sha256"][:SHORT], **{name: key.get(name) for name in ("kind", "created", "expires")}}
        | {"state": _state(key, now)}
        for key in _record(stage, app)["keys"]
    ]
    show.rows(rows, {name: name for name in ("key", "kind", "state", "created", "expires")}, f"Keys of {app}")


@command(commands, "rotate")
def rotate(
    stage: Stage,
    show: Show,
    app: AppId,
    *,
    kind: Annotated[Literal["public", "secret"], typer.Option(help="Which kind of key.")] = "secret",
    grace: Annotated[float, typer.Option(min=0, help="Days for which the old keys of that kind still hold.")] = 7,
) -> None:
    """Makes a new key, shown this once, and lets the old ones of its kind expire."""
    record, now, key = _record(stage, app), datetime.now(UTC), new_key(app, kind)
    ends = now + timedelta(days=grace)
    held = [_ending(old, ends) if old["kind"] == kind else old for old in record["keys"]]
    held = [old for old in held if _state(old, now) != "expired"]
    stage.store(_checked({**record, "keys": [*held, _stored(key, kind, now)]}), "apps", app)
    show.done(
        {"app": app, "kind": kind, "key": key, "oldKeysExpire": ends.isoformat(timespec="seconds")},
        f"The new {kind} key of {app}, shown this once:\n{key}\n"
        f"The old ones hold until {ends:%Y-%m-%d %H:%M} UTC; the new one is taken {CACHED}.",
    )


@command(commands, "revoke")
def revoke(
    stage: Stage,
    show: Show,
    app: AppId,
    key: Annotated[str, typer.Argument(help="The key's short name, as relay apps keys shows it.")],
    *,
    yes: Yes = False,
) -> None:
    """Takes a key away for good."""
    record = _record(stage, app)
    matching = [known for known in record["keys"] if len(key) >= SHORT and known["sha256"].startswith(key.lower())]
    if len(matching) != 1:
        raise Wrong(f"{app} has no one key {key}: relay apps keys {app} lists them, by eight digits each.")
    confirmed(f"Take the {matching[0]['kind']} key {key} from {app}? Whoever uses it is refused then.", yes=yes)
    left = [known for known in record["keys"] if known not in matching]
    stage.store(_checked({**record, "keys": left}), "apps", app)
    show.done({"app": app, "revoked": matching[0]["sha256"][:SHORT]}, f"The key {key} is refused {CACHED}.")


@command(commands, "identity")
def identity_key(
    stage: Stage,
    show: Show,
    app: AppId,
    *,
    from_stdin: Annotated[bool, typer.Option("--from-stdin", help="Read the key from standard input.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Rotating, 1: believe the new key, sign with the old one.")
    ] = False,
    swap: Annotated[bool, typer.Option("--swap", help="Rotating, 2: sign with the new key, believe both.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Rotating, 3: forget the old key.")] = False,
) -> None:
    """Stores the app's identity key: its DashX private key, asked for without showing it."""
    _record(stage, app)
    known = json.loads(stage.read("identity", app) or '{"keys": []}')
    if (swap or forget or beside) and len(known["keys"]) != (1 if beside else 2):
        raise Wrong(f"{app} has {len(known['keys'])} identity keys: begin with --beside, then --swap, then --forget.")
    if swap:
        held = known["keys"][::-1]
    elif forget:
        held = known["keys"][:1]
    else:
        given = sys.stdin.read().strip() if from_stdin else hidden("Identity key")
        held = [*known["keys"], given] if beside else [given]
    document = {**known, "keys": held}
    try:
        IdentityKeys.model_validate(document)
    except ValidationError as invalid:
        raise Wrong(f"That cannot be an identity key: {invalid.errors(include_input=False)[0]['msg']}.") from None
    stage.store(document, "identity", app)
    show.done(
        {"app": app, "identityKeys": len(held)},
        f"{app} has {len(held)} identity key{'s' if len(held) > 1 else ''}; functions know it within five minutes.",
    )


def _record(stage: Stage, app: str) -> dict[str, Any]:
    text = stage.read("apps", app)
    if text is None:
        raise Wrong(f"There is no app {app} at {stage.name}: relay apps list names them, relay apps create makes one.")
    record: dict[str, Any] = json.loads(text)
    return {**record, "keys": list(record.get("keys", []))}


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """The record, if the authorizer will take it."""
    App.model_validate_json(json.dumps(record))
    return record


def _stored(key: str, kind: Kind, now: datetime) -> dict[str, str]:
    return {"kind": kind, "sha256": sha256(key), "created": now.isoformat(timespec="seconds")}


def _ending(key: dict[str, str], ends: datetime) -> dict[str, str]:
    """The key with an end; one that ends sooner keeps its own."""
    own = key.get("expires")
    sooner = own is not None and datetime.fromisoformat(own) < ends
    return key if sooner else {**key, "expires": ends.isoformat(timespec="seconds")}


def _state(key: dict[str, str], now: datetime) -> str:
    if "expires" not in key:
        return "valid"
    return "expiring" if datetime.fromisoformat(key["expires"]) > now else "expired"
