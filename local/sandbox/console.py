"""The console page's way to the local cloud: it sends events to the API and reads their receipts.

The page never has the secret key: it calls this server, which gets the keys once the cloud is deployed.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
import requests
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.sandbox.devices import Devices
from local.sandbox.exchange import Agent
from local.sandbox.journal import Journal
from local.sandbox.matching import marks_of, requests_of

CALLS = {"login", "logout", "open", "signup", "identify", "track", "push-token", "batch"}
ENDED = {"delivered", "unconfirmed", "skipped", "expired", "parked"}
SHOWN_EVENTS, MAX_EVENTS = 25, 500
PATIENCE_SECONDS = 30
CONCURRENT_READS = 8
KEPT_BODIES = 1_000
NO_CLOUD = "there is no local cloud beside this sandbox"


@dataclass
class Console:
    """The page's server; `cloud` is empty until the local cloud is deployed."""

    agents: Mapping[str, Agent]
    journal: Journal
    cloud: dict[str, str] = field(default_factory=dict)
    _devices: Devices = field(default_factory=Devices)
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)
    _sent_bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    _listed: list[str] = field(default_factory=list)
    _look_again: float = 0.0
    _since: int = 0

    def routes(self) -> list[Route]:
        """Give the console's part of the control API."""
        return [
            Route("/_console", self._connect, methods=["PUT"]),
            Route("/_console", self._about, methods=["GET"]),
            Route("/_console/send", self._send, methods=["POST"]),
            Route("/_console/events", self._events, methods=["GET"]),
            Route("/_console/events", self._clear, methods=["DELETE"]),
            Route("/_console/requests", self._requests, methods=["GET"]),
            Route("/_console/devices", self._show_devices, methods=["GET"]),
            Route("/_console/phone", self._phone, methods=["GET"]),
            Route("/_console/token", self._identity_token, methods=["GET"]),
        ]

    async def _connect(self, http: Request) -> Response:
        self.cloud = await http.json()
        return Response(status_code=204)

    async def _about(self, _: Request) -> Response:
        agents = [{"name": name, "title": agent.title} for name, agent in self.agents.items()]
        return JSONResponse({"agents": agents, "ready": bool(self.cloud), "curl": self._curl()})

    def _curl(self) -> str:
        """Build a first call that can be pasted; its key is the public one, which sits in every app anyway."""
        if not self.cloud:
            return ""
        body = json.dumps({"customerId": "12345", "device": {"id": "phone-1", "platform": "android"}})
        return (
            f"curl {self.cloud['apiUrl']}/login -H 'Authorization: Bearer {self.cloud['publicKey']}' "
            f"-H 'Content-Type: application/json' -d '{body}'"
        )

    async def _send(self, http: Request) -> Response:
        wanted = await http.json()
        if wanted.get("call") not in CALLS:
            raise HTTPException(400, f"call is one of {', '.join(sorted(CALLS))}")
        if not self.cloud:
            raise HTTPException(503, NO_CLOUD)
        body = wanted.get("body") or {}
        try:
            answer = await asyncio.to_thread(self._sent, wanted["call"], body)
        except requests.RequestException:
            return JSONResponse({"error": f"the API does not respond within {PATIENCE_SECONDS} s"})
        self._look_again = 0.0
        document = answer.json()
        self._remember(document, body)
        return JSONResponse({"status": answer.status_code, "answer": document})

    def _remember(self, answer: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Keep the body of each event that the page sent: the API does not say whose an event is."""
        results, events = answer.get("results", [answer]), body.get("events", [body])
        for result, event in zip(results, events, strict=False):
            if "eventId" in result and isinstance(event, dict):
                self._sent_bodies[result["eventId"]] = event
        while len(self._sent_bodies) > KEPT_BODIES:
            del self._sent_bodies[next(iter(self._sent_bodies))]

    def _sent(self, call: str, body: dict[str, Any]) -> requests.Response:
        """Send an event as an app does: with its public key, and its person's identity token."""
        proof = {"X-Identity-Token": self._token(body["customerId"])} if isinstance(body.get("customerId"), str) else {}
        return self._call("POST", f"/{call}", self.cloud["publicKey"], body, proof)

    def _token(self, uid: str) -> str:
        """Mint an identity token; "" if the API refuses, which then explains what is wrong with the event itself."""
        answer = self._call("POST", "/identity-tokens", self.cloud["secretKey"], {"uid": uid}, {})
        return str(answer.json().get("token", ""))

    def _call(
        self, method: str, path: str, key: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> requests.Response:
        own = {"Authorization": f"Bearer {key}", **headers}
        return requests.request(method, self.cloud["apiUrl"] + path, json=body, headers=own, timeout=PATIENCE_SECONDS)

    async def _phone(self, _: Request) -> Response:
        """Give what the phone has in its app's configuration."""
        if not self.cloud:
            raise HTTPException(503, NO_CLOUD)
        return JSONResponse({"url": self.cloud["apiUrl"], "key": self.cloud["publicKey"]})

    async def _identity_token(self, http: Request) -> Response:
        """Give an identity token, as the app's back end does to a person who is logged in there."""
        try:
            token = await asyncio.to_thread(self._token, http.query_params.get("uid", ""))
        except requests.RequestException:
            raise HTTPException(503, "the local cloud does not answer") from None
        return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})

    async def _events(self, http: Request) -> Response:
        limit = http.query_params.get("limit", str(SHOWN_EVENTS))
        if not limit.isascii() or not limit.isdigit():
            raise HTTPException(400, "limit is a number")
        events = await asyncio.to_thread(self._newest, min(int(limit), MAX_EVENTS)) if self.cloud else []
        return JSONResponse({"ready": bool(self.cloud), "count": len(self._listed), "events": events})

    async def _clear(self, _: Request) -> Response:
        """Hide the events until now, and delete the journal of requests; nothing changes in the cloud."""
        self._since = int(time.time() * 1000)
        self._listed, self._known, self._look_again = [], {}, 0.0
        self.journal.clear()
        return Response(status_code=204)

    async def _requests(self, http: Request) -> Response:
        event_id, agent = (http.query_params.get(name, "") for name in ("event", "agent"))
        event = self._known.get(event_id, {"agents": {}})
        if agent not in event["agents"]:
            raise HTTPException(404, "no such event at this agent")
        found, by = requests_of(self.journal, agent, event, marks_of(self._sent_bodies.get(event_id, {})))
        return JSONResponse({"foundBy": by, "requests": [one.display() for one in found]})

    async def _show_devices(self, _: Request) -> Response:
        states = {name: agent.state() for name, agent in self.agents.items()}
        keeping = {name: state for name, state in states.items() if "devices" in state}
        return JSONResponse({"agents": list(keeping), "devices": self._devices.display(keeping)})

    def _newest(self, limit: int) -> list[dict[str, Any]]:
        """Give the newest events with their receipts, newest first; reads again only what has not ended."""
        self._list()
        listed = self._listed[:limit]
        with ThreadPoolExecutor(CONCURRENT_READS) as pool:
            answers = pool.map(self._read, [one for one in listed if not self._has_ended(one)])
            self._known.update({one["eventId"]: one for one in answers if one})
        return [
            {**self._known[event_id], "customerId": self._sent_bodies.get(event_id, {}).get("customerId")}
            for event_id in listed
            if event_id in self._known
        ]

    def _has_ended(self, event_id: str) -> bool:
        agents = self._known.get(event_id, {}).get("agents")
        return agents is not None and all(receipt["state"] in ENDED for receipt in agents.values())

    def _read(self, event_id: str) -> dict[str, Any] | None:
        try:
            answer = self._call("GET", f"/events/{event_id}", self.cloud["secretKey"], None, {})
        except requests.RequestException:
            # Its functions are starting: the next look asks again.
            return None
        document: dict[str, Any] | None = answer.json() if answer.ok else None
        return document

    def _list(self) -> None:
        """Find all events in the ledger, newest first; seldom where it is long, since each look reads all of it."""
        began, since = time.monotonic(), self._since
        if began < self._look_again:
            return
        pages = (
            self._table()
            .get_paginator("scan")
            .paginate(
                TableName=self.cloud["table"],
                FilterExpression="begins_with(#agent, :accepted) AND accepted > :since",
                ExpressionAttributeNames={"#agent": "agent"},
                ExpressionAttributeValues={":accepted": {"S": "*"}, ":since": {"N": str(since)}},
            )
        )
        found = [row for page in pages for row in page["Items"]]
        if since != self._since:
            # The list was cleared during this look, which holds what is gone.
            return
        rows = sorted(found, key=_accepted_at, reverse=True)
        self._listed = [row["event"]["S"].partition("#")[2] for row in rows]
        self._look_again = time.monotonic() + 10 * (time.monotonic() - began)

    def _table(self) -> Any:  # noqa: ANN401 - a boto3 client
        return boto3.client(
            "dynamodb",
            endpoint_url=self.cloud["awsEndpoint"],
            region_name=self.cloud["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - MiniStack takes any
        )


def _accepted_at(row: Mapping[str, Any]) -> int:
    return int(row["accepted"]["N"])


class OwnPagesOnly:
    """Refuses calls to another host name and from other sites' pages, so that no site in the browser can act here."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before this application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on that names this machine, and comes from no page or from one of ours."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        host, origin = headers.get("host", ""), headers.get("origin")
        ours = urlsplit(f"//{host}").hostname in {"127.0.0.1", "localhost"} and origin in {None, f"http://{host}"}
        refused = JSONResponse({"error": "only this sandbox's own pages may call it"}, 403)
        await (self._app if ours else refused)(scope, receive, send)
