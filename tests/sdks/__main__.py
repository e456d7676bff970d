"""Runs each library, asks the sandbox what it made of the requests, and prints Meta's digests beside ours."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pydantic import SecretStr

from functions.agents.facebook.app import Settings, build_requests
from local.settings import EITRI_SECRET, agents
from relay.agent.auth import signed
from relay.agent.http import json_request, unmasked
from relay.api.identity_tokens import IdentityKeys, mint, verify
from relay.event.model import Event

HERE, PORT = Path(__file__).parent, 8496
SANDBOX = f"http://127.0.0.1:{PORT}"
PYTHON, NODE = Path(".venv/sdks/bin/python").absolute(), Path(".venv/node/node_modules").absolute()
SETTINGS = agents(SANDBOX)
KEY = SETTINGS["dashx"]["private_key"]
SCRIPTS = ("meta.py", "measurement.py", "webhooks.py", "meta.cjs", "dashx.cjs", "webhooks.cjs", "tokens.cjs")

PEOPLE: dict[str, dict[str, str]] = {
    "plain": {
        "em": "nadia.okafor@example.com", "ph": "+442079460958", "fn": "nadia", "ln": "okafor", "ct": "oslo",
        "st": "ca", "zp": "94025", "country": "us", "external_id": "usr_7f3a9c21",
    },
    "as people write": {
        "em": " Nadia.Okafor@Example.com", "ph": "+44 20 7946 0958", "fn": "Mary-Jane", "ln": "O\u2019Connor",
        "ct": "S\u00e3o Paulo", "st": "S.P.", "zp": "01310-100", "country": "BR", "external_id": "Usr 7F3A9C21",
    },
}  # fmt: skip
TRAITS = {"fn": "firstName", "ln": "lastName", "ct": "city", "st": "state", "zp": "zip", "country": "country"}


@contextmanager
def _sandbox(settings: Path) -> Iterator[None]:
    settings.write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "local.sandbox", "--port", str(PORT), "--settings", str(settings)]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own program
        try:
            _until_it_answers()
            yield
        finally:
            process.terminate()


def _until_it_answers() -> None:
    for _ in range(100):
        try:
            urlopen(f"{SANDBOX}/_health").close()  # noqa: S310 - this machine
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError("the sandbox does not answer")


def _webhook() -> dict[str, Any]:
    """A message as eitri_push signs it."""
    now = datetime.now(UTC)
    request = signed(
        json_request("https://hooks.example.com", {"type": "session.login"}), "evt_1", [SecretStr(EITRI_SECRET)], now
    )
    return {"secret": EITRI_SECRET, "body": request.body.decode(), "headers": unmasked(request.headers)}


def _run(script: str, person: dict[str, str]) -> list[dict[str, Any]]:
    """What a script says of each library; its request must be accepted, and a token that it mints must be good."""
    environment = {
        **os.environ,
        "SANDBOX": SANDBOX,
        "PERSON": json.dumps(person),
        "NODE_PATH": str(NODE),
        "META_TOKEN": SETTINGS["facebook"]["access_token"],
        "META_DATASET": SETTINGS["facebook"]["dataset_id"],
        "DASHX_KEY": KEY,
        "WEBHOOK": json.dumps(_webhook()),
        "TOKEN": mint(_keys(), "usr_7f3a9c21", 600, datetime.now(UTC)).token,
    }
    program = str(PYTHON) if script.endswith(".py") else "node"
    ran = subprocess.run(  # noqa: S603 - our own script
        [program, str(HERE / script)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{script}: {ran.stderr[-2000:]}")
    said = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    for one in said:
        if one["accepted"] is False:
            raise SystemExit(f"{one['library']} was not accepted")
        if "minted" in one and verify(one["minted"], _keys(), datetime.now(UTC)) != "usr_7f3a9c21":
            raise SystemExit(f"{one['library']}: its token is not good")
    return said


def _keys() -> IdentityKeys:
    return IdentityKeys(keys=(SecretStr(KEY),))


def _requests() -> list[dict[str, Any]]:
    with urlopen(f"{SANDBOX}/_requests") as answer:  # noqa: S310 - this machine
        found: list[dict[str, Any]] = json.load(answer)["requests"]
    return found


def _ours(person: dict[str, str], form: str = "as_it_is") -> dict[str, str]:
    """Our digests of a person, whose phone ingest has put in E.164; `form` is the setting external_id."""
    now = datetime.now(UTC).isoformat()
    event = {
        "type": "signup", "appId": "shop", "eventId": "e1", "sequence": 1, "occurredAt": now, "receivedAt": now,
        "customerId": person["external_id"], "email": person["em"].strip(), "phone": person["ph"].replace(" ", ""),
        "traits": {name: person[key] for key, name in TRAITS.items()},
    }  # fmt: skip
    settings = Settings.model_validate(SETTINGS["facebook"] | {"external_id": form})
    (request,) = build_requests(Event.load(json.dumps(event)), settings)
    sent = json.loads(request.body)["data"][0]["user_data"]
    return {key: sent[key][0] for key in person if key in sent}


def _table(person: dict[str, str], said: list[dict[str, Any]]) -> Iterator[str]:
    """One row a library: which of its digests are ours (=, or =* by the setting parameter_builder), and which not."""
    ours, by_setting = _ours(person), _ours(person, "parameter_builder")
    yield "| library | " + " | ".join(f"`{key}`" for key in person) + " |"
    yield "|---" * (len(person) + 1) + "|"
    for one in said:
        digests = one["digests"]
        if digests:
            cells = [_cell(digests.get(key), ours.get(key), by_setting.get(key)) for key in person]
            yield f"| {one['library']} | {' | '.join(cells)} |"


def _cell(theirs: str | None, ours: str | None, by_setting: str | None) -> str:
    if not theirs:
        return "\u2013"
    if len(theirs) != 64:
        return "clear"
    return "=" if theirs == ours else "=*" if theirs == by_setting else "≠"


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Prints the libraries, the sandbox' remarks and the tables; ends with 1 where a request was refused."""
    Path(".local").mkdir(exist_ok=True)
    with _sandbox(Path(".local/sdks.json")):
        for name, person in PEOPLE.items():
            said = [one for script in SCRIPTS for one in _run(script, person)]
            _say(f"\n{name}:", *_table(person, said))
        _say("\naccepted:", *sorted({one["library"] for one in said if one["accepted"]}))
        made = _requests()
        _say(
            "\nremarks of the sandbox:",
            *sorted({f"{one['agent']}: {text}" for one in made for text in one["violations"]}),
        )
        refused = [one for one in made if one["status"] not in {200, 204} or '"errors"' in one["answer"]]
        if refused:
            raise SystemExit(f"{len(refused)} requests were refused: {refused[0]['violations']}")


if __name__ == "__main__":
    main()
