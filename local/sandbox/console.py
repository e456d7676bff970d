"""What the console page may do with the local cloud beside the sandbox: send events, and see what becomes of them.

The page never has the app's keys: it asks this server, which is told of them once the cloud is deployed.
"""

import asyncio
import time
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

CALLS = {"login", "logout", "open", "signup", "identify", "track", "push-token", "batch"}
ENDED = {"delivered", "unconfirmed", "skipped", "expired", "parked"}
SHOWN_EVENTS = 12
PATIENCE_SECONDS = 10


@dataclass
class Console:
    """The way to the local cloud; `cloud` is empty until it is told where that is."""

    cloud: dict[str, str] = field(default_factory=dict)
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)
    _listed: list[str] = field(default_factory=list)
    _look_again: float = 0.0

    def routes(self) -> list[Route]:
        """The console's part of the control API."""
        return [
            Route("/_console", self._told, methods=["PUT"]),
            Route("/_console/send", self._send, methods=["POST"]),
            Route("/_console/events", self._events),
        ]

    async def _told(self, http: Request) -> Response:
        self.cloud = await http.json()
        return Response(status_code=204)

    async def _send(self, http: Request) -> Response:
        asked = await http.json()
        if asked.get("call") not in CALLS:
            raise HTTPException(400, f"call is one of {', '.join(sorted(CALLS))}")
        if not self.cloud:
            raise HTTPException(503, "there is no local cloud beside this sandbox")
        answer = await asyncio.to_thread(self._sent, asked["call"], asked.get("body") or {})
        self._look_again = 0.0
        return JSONResponse({"status": answer.status_code, "answer": answer.json()})

    def _sent(self, call: str, body: dict[str, Any]) -> requests.Response:
        """Sends an event as an app does: with its public key, and its person's identity token."""
        proof = {"X-Identity-Token": self._token(body["customerId"])} if isinstance(body.get("customerId"), str) else {}
        return self._call("POST", f"/{call}", self.cloud["publicKey"], body, proof)

    def _token(self, uid: str) -> str:
        """An identity token, or "" where none can be had; then the API says what is wrong."""
        answer = self._call("POST", "/identity-tokens", self.cloud["secretKey"], {"uid": uid}, {})
        return str(answer.json().get("token", ""))

    def _call(
        self, method: str, path: str, key: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> requests.Response:
        own = {"Authorization": f"Bearer {key}", **headers}
        return requests.request(method, self.cloud["apiUrl"] + path, json=body, headers=own, timeout=PATIENCE_SECONDS)

    async def _events(self, _: Request) -> Response:
        if not self.cloud:
            return JSONResponse({"ready": False, "events": []})
        return JSONResponse({"ready": True, "events": await asyncio.to_thread(self._newest)})

    def _newest(self) -> list[dict[str, Any]]:
        """The newest events with their receipts, newest first; what has ended is not asked for again."""
        self._list()
        for event_id in self._listed:
            known = self._known.get(event_id, {})
            if not known or any(receipt["state"] not in ENDED for receipt in known["agents"].values()):
                answer = self._call("GET", f"/events/{event_id}", self.cloud["secretKey"], None, {})
                if answer.ok:
                    self._known[event_id] = answer.json()
        self._known = {event_id: self._known[event_id] for event_id in self._listed if event_id in self._known}
        return list(self._known.values())

    def _list(self) -> None:
        """Finds the newest events in the ledger; seldom where it is long, since each look reads all of it."""
        began = time.monotonic()
        if began < self._look_again:
            return
        rows = [
            row
            for page in self._table()
            .get_paginator("scan")
            .paginate(
                TableName=self.cloud["table"],
                FilterExpression="#agent = :accepted",
                ExpressionAttributeNames={"#agent": "agent"},
                ExpressionAttributeValues={":accepted": {"S": "*"}},
            )
            for row in page["Items"]
        ]
        newest = sorted(rows, key=lambda row: int(row["accepted"]["N"]), reverse=True)[:SHOWN_EVENTS]
        self._listed = [row["event"]["S"].partition("#")[2] for row in newest]
        self._look_again = time.monotonic() + 10 * (time.monotonic() - began)

    def _table(self) -> Any:  # noqa: ANN401 - a boto3 client
        return boto3.client(
            "dynamodb",
            endpoint_url=self.cloud["awsEndpoint"],
            region_name=self.cloud["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - MiniStack takes any
        )


class OwnPagesAlone:
    """Refuses calls under a foreign name and from foreign pages, so that no site that a person opens can act here."""

    def __init__(self, app: ASGIApp) -> None:
        """Stands before this application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a call pass that names this machine, and comes from no page or from one of ours."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        host, origin = headers.get("host", ""), headers.get("origin")
        ours = urlsplit(f"//{host}").hostname in {"127.0.0.1", "localhost"} and origin in {None, f"http://{host}"}
        refused = JSONResponse({"error": "only this sandbox's own pages may call it"}, 403)
        await (self._app if ours else refused)(scope, receive, send)
