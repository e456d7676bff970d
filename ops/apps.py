"""`relay apps`: the callers of the API, their keys, and the identity keys that sign their tokens."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import phonenumbers
import typer
from pydantic import ValidationError

from ops import agent_modules
from ops.app_agents import app_record, use
from ops.command import command, group
from ops.errors import CommandError, UsageError
from ops.prompts import ask_secret, confirm
from ops.show import Show
from ops.stage import Stage
from ops.usage import Usage
from relay.api.identity_tokens import IdentityKeys
from relay.api.keys import App, Kind, new_key
from relay.encoding import sha256

commands = group("Apps, their keys and identity keys, and the settings that agents use for them.")
command(commands, "use")(use)

APP_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")
SHORT = 8
"""The first digits of a key's digest, by which commands name the key."""

CACHED = "within ten minutes"
"""Functions cache an app's record for five minutes, API Gateway the authorizer's answer for five more."""

AppId = Annotated[str, typer.Argument(metavar="APP", help="The app's id: a to z, 0 to 9 and -, a letter first.")]
Identity = Annotated[
    Literal["required", "optional"],
    typer.Option(help="Whether a public key needs an identity token to name a customer."),
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
    """Creates an app with a public and a secret key, which are shown this once."""
    if not APP_ID.fullmatch(app):
        raise UsageError(f"{app!r} is not an app id: use 1 to 32 of a to z, 0 to 9 and -, a letter first.")
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError(f"--region {region}: write a country's two capital letters (ISO 3166), as in BR.")
    if app in {"circuit", *agent_modules.agent_names()}:
        # The ledger keeps an agent's rows under its name, where an app keeps its events under its own.
        raise UsageError(f"{app!r} is the name of an agent, or of the ledger's own rows: choose another id.")
    if stage.read("apps", app) is not None:
        raise CommandError(
            f"{app} exists already: choose another id, or make a new key.", stage.relay("apps", "rotate", app)
        )
    # First: if this fails, no app exists whose keys were never shown.
    Usage(stage).admit(app)
    keys: dict[Kind, str] = {"public": new_key(app, "public"), "secret": new_key(app, "secret")}
    now = datetime.now(UTC)
    record = {"name": name, "identity": identity, "keys": [_stored(key, kind, now) for kind, key in keys.items()]}
    record |= {"region": region} if region else {}
    stage.store(_checked(record), "apps", app, overwrite=False)
    show.done(
        {"app": app, "identity": identity, **({"region": region} if region else {}), "keys": keys},
        f"App {app} is created. Its keys are shown this once; only their digests are stored.\n"
        f"public  {keys['public']}\nsecret  {keys['secret']}",
    )
    if identity == "required":
        show.say(
            "Its public key needs identity tokens: store the app's identity key.", stage.relay("apps", "identity", app)
        )


@command(commands, "admit")
def admit(stage: Stage, show: Show, app: AppId) -> None:
    """Adds an app to the usage plan, if it is missing there: API Gateway refuses any other."""
    _record(stage, app)
    usage = Usage(stage)
    if not usage.plan:
        raise CommandError("The stack has no usage plan: deploy it again.", stage.deploy)
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
                "publicKeys": valid.count("public"),
                "secretKeys": valid.count("secret"),
                "identityKey": app in signing,
                "usagePlan": app in admitted,
            }
        )
    show.rows(rows, ("app", "name", "identity", "publicKeys", "secretKeys", "identityKey", "usagePlan"), "Apps")


@command(commands, "keys")
def keys(stage: Stage, show: Show, app: AppId) -> None:
    """Lists an app's keys; each is named by the first eight digits of its digest."""
    now = datetime.now(UTC)
    rows = [
        {"key": key["sha256"][:SHORT], **{name: key.get(name) for name in ("kind", "created", "expires")}}
        | {"state": _state(key, now)}
        for key in _record(stage, app)["keys"]
    ]
    show.rows(rows, ("key", "kind", "state", "created", "expires"), f"Keys of {app}")


@command(commands, "rotate")
def rotate(
    stage: Stage,
    show: Show,
    app: AppId,
    *,
    kind: Annotated[Literal["public", "secret"], typer.Option(help="Which kind of key.")] = "secret",
    grace: Annotated[float, typer.Option(min=0, help="Days for which the old keys of that kind remain valid.")] = 7,
) -> None:
    """Creates a new key, shown this once, and lets the old ones of its kind expire."""
    record, now, key = _record(stage, app), datetime.now(UTC), new_key(app, kind)
    ends = now + timedelta(days=grace)
    held = [_ending(old, ends) if old["kind"] == kind else old for old in record["keys"]]
    held = [old for old in held if _state(old, now) != "expired"]
    stage.store(_checked({**record, "keys": [*held, _stored(key, kind, now)]}), "apps", app)
    show.done(
        {"app": app, "kind": kind, "key": key, "oldKeysExpire": ends.isoformat(timespec="seconds")},
        f"The new {kind} key of {app}, shown this once:\n{key}\n"
        f"The old ones are valid until {ends:%Y-%m-%d %H:%M} UTC; the API accepts the new one {CACHED}.",
    )


@command(commands, "revoke")
def revoke(
    stage: Stage,
    show: Show,
    app: AppId,
    key: Annotated[str, typer.Argument(help="The key's name, as in the list of keys.")],
    *,
    yes: Yes = False,
) -> None:
    """Removes a key for good."""
    record = _record(stage, app)
    matching = [known for known in record["keys"] if len(key) >= SHORT and known["sha256"].startswith(key.lower())]
    if len(matching) != 1:
        raise CommandError(
            f"{app} has no key {key}: name one by its eight digits, as listed.", stage.relay("apps", "keys", app)
        )
    confirm(f"Remove the {matching[0]['kind']} key {key} from {app}? The API then refuses calls with it.", yes=yes)
    left = [known for known in record["keys"] if known not in matching]
    stage.store(_checked({**record, "keys": left}), "apps", app)
    show.done({"app": app, "revoked": matching[0]["sha256"][:SHORT]}, f"The API refuses the key {key} {CACHED}.")


@command(commands, "identity")
def identity_key(
    stage: Stage,
    show: Show,
    app: AppId,
    *,
    from_stdin: Annotated[bool, typer.Option("--from-stdin", help="Read the key from standard input.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Rotation, step 1: accept the new key, too; sign with the old one.")
    ] = False,
    swap: Annotated[bool, typer.Option("--swap", help="Rotation, step 2: sign with the new key, accept both.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Rotation, step 3: remove the old key.")] = False,
) -> None:
    """Stores the app's identity key, which is its DashX private key; the terminal does not show it."""
    _record(stage, app)
    known = json.loads(stage.read("identity", app) or '{"keys": []}')
    if (swap or forget or beside) and len(known["keys"]) != (1 if beside else 2):
        raise CommandError(
            f"{app} has {len(known['keys'])} identity keys: begin with --beside, then --swap, then --forget."
        )
    if swap:
        held = known["keys"][::-1]
    elif forget:
        held = known["keys"][:1]
    else:
        typed = sys.stdin.read().strip() if from_stdin else ask_secret("Identity key")
        held = [*known["keys"], typed] if beside else [typed]
    document = {**known, "keys": held}
    try:
        IdentityKeys.model_validate(document)
    except ValidationError as invalid:
        raise CommandError(f"That is no identity key: {invalid.errors(include_input=False)[0]['msg']}.") from None
    stage.store(document, "identity", app)
    show.done(
        {"app": app, "identityKeys": len(held)},
        f"{app} has {len(held)} identity key{'s' if len(held) > 1 else ''}; functions use it within five minutes.",
    )


def _record(stage: Stage, app: str) -> dict[str, Any]:
    record = app_record(stage, app)
    return {**record, "keys": list(record.get("keys", []))}


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """Returns the record, which must be one that the authorizer accepts."""
    App.model_validate_json(json.dumps(record))
    return record


def _stored(key: str, kind: Kind, now: datetime) -> dict[str, str]:
    return {"kind": kind, "sha256": sha256(key), "created": now.isoformat(timespec="seconds")}


def _ending(key: dict[str, str], ends: datetime) -> dict[str, str]:
    """Returns the key with an end; a key that ends sooner keeps its own."""
    own = key.get("expires")
    sooner = own is not None and datetime.fromisoformat(own) < ends
    return key if sooner else {**key, "expires": ends.isoformat(timespec="seconds")}


def _state(key: dict[str, str], now: datetime) -> str:
    if "expires" not in key:
        return "valid"
    return "expiring" if datetime.fromisoformat(key["expires"]) > now else "expired"
