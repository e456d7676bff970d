"""`relay send`: a test event through the real API, followed until it is settled if asked."""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import requests
import typer
from rich.console import Console
from rich.live import Live

from ops.agents import read_file
from ops.errors import FAILED, CommandError, NoAnswerError, UsageError
from ops.events import COLUMNS, say_warnings, timeline
from ops.layout import fitted
from ops.prompts import ask_secret
from ops.show import Show
from ops.stage import Stage
from relay.ledger.states import TERMINAL

PATHS = {"push_token": "push-token"}
LOOK_SECONDS = 1.0

STAND_INS = {
    "platform": "android",
    "model": "session-relay",
    "osVersion": "1.0",
    "appVersion": "1.0",
    "language": "en",
    "timezone": "UTC",
}
"""Fields of the device where neither options nor the body give them: Emarsys needs all of these."""

Option = typer.Option


def send(
    stage: Stage,
    show: Show,
    kind: Annotated[
        Literal["login", "logout", "open", "signup", "identify", "track", "push_token"],
        typer.Argument(metavar="TYPE", help="login, logout, open, signup, identify, track or push_token."),
    ],
    *,
    key: Annotated[
        str | None,
        Option(envvar="RELAY_KEY", help="A secret key; asked for if absent.", show_envvar=True),
    ] = None,
    customer: Annotated[str | None, Option(help="customerId")] = None,
    anonymous: Annotated[str | None, Option(help="anonymousId")] = None,
    device: Annotated[str | None, Option(help="device.id; the device's other fields get test values.")] = None,
    platform: Annotated[Literal["ios", "android", "web"] | None, Option(help="device.platform")] = None,
    push_token: Annotated[str | None, Option(help="device.pushToken; false for declined.")] = None,
    email: Annotated[str | None, Option(help="email")] = None,
    phone: Annotated[str | None, Option(help="phone, as in +5511999887766")] = None,
    name: Annotated[str | None, Option(help="name, of a track")] = None,
    prop: Annotated[list[str] | None, Option("--property", metavar="NAME=VALUE", help="A property.")] = None,
    event_id: Annotated[str | None, Option("--id", help="eventId; generated if absent.")] = None,
    body: Annotated[str | None, Option(help="A JSON file with more of the event; - is standard input.")] = None,
    api: Annotated[str | None, Option(envvar="RELAY_API", help="The API's URL, if it is not the stack's.")] = None,
    strict: Annotated[bool, Option("--strict", help="Have an event with a wrong detail refused.")] = False,
    wait: Annotated[bool, Option("--wait", help="Follow it until it is settled everywhere.")] = False,
    patience: Annotated[float, Option("--timeout", min=0, help="Seconds to wait at most.")] = 60,
) -> None:
    """Sends a test event; 1 if it is refused, parked, or not settled in time."""
    event = read_file(body) if body else {}
    fields = {"eventId": event_id, "customerId": customer, "anonymousId": anonymous, "email": email, "phone": phone}
    event |= {field: value for field, value in {**fields, "name": name}.items() if value is not None}
    phone_fields = {"id": device, "platform": platform, "pushToken": False if push_token == "false" else push_token}  # noqa: S105 - a name
    phone_fields = {field: value for field, value in phone_fields.items() if value is not None}
    if phone_fields:
        event["device"] = {**STAND_INS, **event.get("device", {}), **phone_fields}
    if prop:
        event["properties"] = {**event.get("properties", {}), **dict(_pair(text) for text in prop)}
    caller = Api(api or stage.api, key or ask_secret("Secret key"), stage.relay("doctor"))
    accepted = caller.send(PATHS.get(kind, kind), event, strict=strict)
    if not show.as_json:
        say_warnings(show, accepted)
    if not wait:
        show.done(accepted, f"Accepted as {accepted['eventId']}.")
        return
    found = _followed(caller, accepted["eventId"], show, patience)
    if show.as_json:
        show.document(found)
    elif not show.console.is_terminal:
        show.rows(timeline(found), COLUMNS)
    left = [agent for agent, receipt in found["agents"].items() if receipt["state"] not in TERMINAL - {"parked"}]
    if left:
        if not show.as_json:
            show.say(f"Not delivered at {', '.join(left)}.", stage.relay("parked", "show", accepted["eventId"]))
        raise typer.Exit(FAILED)


class Api:
    """The deployed API, called with a secret key."""

    def __init__(self, url: str, key: str, doctor: str) -> None:
        self.url, self.headers, self.doctor = url.rstrip("/"), {"authorization": f"Bearer {key}"}, doctor

    def send(self, path: str, event: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        """Sends an event and returns the API's answer."""
        return self._call("POST", path, {"prefer": "handling=strict"} if strict else {}, json=event)

    def receipts(self, event_id: str) -> dict[str, Any]:
        """Reads an event's receipts."""
        return self._call("GET", f"events/{event_id}")

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - requests' own arguments
    ) -> dict[str, Any]:
        try:
            headers = {**self.headers, **(headers or {})}
            answer = requests.request(method, f"{self.url}/{path}", headers=headers, timeout=30, **more)
            document: dict[str, Any] = answer.json()
        except requests.RequestException as error:
            raise NoAnswerError(
                f"The API at {self.url} does not respond ({type(error).__name__}).", self.doctor
            ) from None
        if not answer.ok:
            raise CommandError(
                f"The API answers {answer.status_code}: {document.get('detail') or document.get('message')}"
            )
        return document


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--property {text}: write it as NAME=VALUE.")
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, bool | int | float) else value


def _followed(caller: Api, event_id: str, show: Show, patience: float) -> dict[str, Any]:
    """Returns the receipts once all are settled, or time is up; at a terminal a table shows them meanwhile."""
    ends, found = time.monotonic() + patience, caller.receipts(event_id)
    # Rich's live display fails without a terminal, unless its console is quiet.
    console = Console(highlight=False, quiet=show.as_json or not show.console.is_terminal)
    with Live(fitted(console, timeline(found), COLUMNS), console=console, auto_refresh=False) as live:
        while any(receipt["state"] not in TERMINAL for receipt in found["agents"].values()) and time.monotonic() < ends:
            time.sleep(LOOK_SECONDS)
            found = caller.receipts(event_id)
            live.update(fitted(console, timeline(found), COLUMNS), refresh=True)
    return found
