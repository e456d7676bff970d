"""The sandbox' HTTP server: the agents' own paths, and the control API that watches them and makes them fail."""

import asyncio
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from local.sandbox.appsflyer import AppsFlyer
from local.sandbox.connection import ABORT
from local.sandbox.console import Console, OwnPagesOnly
from local.sandbox.dashx import DashX
from local.sandbox.eitri_push import EitriPush
from local.sandbox.emarsys import Emarsys
from local.sandbox.exchange import Agent, CheckResult, Json, Request, Settings, VendorResponse
from local.sandbox.facebook import Facebook
from local.sandbox.faults import BadFaultError, Fault, Faults
from local.sandbox.google import Google
from local.sandbox.google_data_manager import GoogleDataManager
from local.sandbox.journal import Journal
from local.sandbox.webhook import Webhook

AGENTS = (AppsFlyer, Facebook, Google, EitriPush, Emarsys, DashX)
OPTIONAL = (GoogleDataManager, Webhook)
"""Agents that are there if the sandbox has settings for them."""
SHOWN_DEVICES = 50
PAGE = Path(__file__).with_name("page")
CLIENT = Path(__file__).resolve().parents[2] / "clients/javascript/session-relay.js"


class Sandbox:
    """The agents, their faults and the journal of requests, behind one ASGI application."""

    def __init__(self, settings: Mapping[str, Settings]) -> None:
        """Set the agents up with the credentials that they accept."""
        self.agents: dict[str, Agent] = {kind.name: kind(settings.get(kind.name, {})) for kind in AGENTS}
        self.agents |= {kind.name: kind(settings[kind.name]) for kind in OPTIONAL if kind.name in settings}
        self.faults = Faults()
        self.journal = Journal()
        self.console = Console(self.agents, self.journal)
        self._control = Starlette(
            routes=[
                Route("/", self._page),
                Route("/phone", self._phone),
                Route("/phone/session-relay.js", self._client),
                Route("/_health", self._health),
                Route("/_requests", self._requests, methods=["GET", "DELETE"]),
                Route("/_summary", self._summary),
                Route("/_faults", self._all_faults, methods=["GET", "DELETE"]),
                Route("/_faults/{agent}", self._fault, methods=["PUT", "DELETE"]),
                Route("/_credentials/{agent}", self._credentials, methods=["PUT"]),
                Route("/_devices", self._devices),
                Route("/_state", self._all_state, methods=["GET", "DELETE"]),
                Route("/_state/{agent}", self._state),
                *self.console.routes(),
                Mount("/console", StaticFiles(directory=PAGE)),
            ],
            middleware=[Middleware(OwnPagesOnly)],
            exception_handlers={HTTPException: _problem},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event: an agent's own path, or else the control API."""
        if scope["type"] == "http":
            # The path is taken as it was sent: an event name that was not percent-encoded must be seen.
            raw = scope.get("raw_path") or scope["path"].encode()
            agent, slash, rest = raw.decode("latin-1").partition("?")[0].removeprefix("/").partition("/")
            if agent == "graphql" and not rest:
                # DashX has one address on a host of its own, and an agent's base URL for it may have no path.
                agent, slash, rest = "dashx", "/", "graphql"
            if agent in self.agents:
                await self._serve(agent, slash + rest, HttpRequest(scope, receive), send)
                return
        await self._control(scope, receive, send)

    async def _serve(self, name: str, path: str, http: HttpRequest, send: Send) -> None:
        request = Request(
            http.method,
            path,
            dict(http.query_params),
            {key.lower(): value for key, value in http.headers.items()},
            await http.body(),
        )
        agent, now = self.agents[name], time.time()
        entry = self.journal.add(name, request, now)
        entry.subject = _subject(agent, request)
        fault = self.faults.take(name, request)
        entry.fault = fault.asked if fault else None
        result = _check(agent, request, now)
        entry.violations = result.violations
        done = result.work() if fault is None or fault.after_work else None
        if fault is not None and await _interrupted(fault, http):
            return
        answer = (fault.answer() if fault else None) or done or result.work()
        entry.respond(answer)
        await _send(answer, http, send)

    async def _page(self, _: HttpRequest) -> Response:
        return HTMLResponse((PAGE / "index.html").read_text(encoding="utf-8"))

    async def _phone(self, _: HttpRequest) -> Response:
        return HTMLResponse((PAGE / "phone.html").read_text(encoding="utf-8"))

    async def _client(self, _: HttpRequest) -> Response:
        return Response(CLIENT.read_text(encoding="utf-8"), media_type="text/javascript")

    async def _health(self, _: HttpRequest) -> Response:
        return JSONResponse({"status": "ok"})

    async def _requests(self, http: HttpRequest) -> Response:
        if http.method == "DELETE":
            self.journal.clear()
            return Response(status_code=204)
        query = http.query_params
        if unknown := set(query) - {"agent", "after", "limit", "wrong"}:
            raise HTTPException(400, f"unknown query parameter {', '.join(sorted(unknown))}")
        agent = self._name(query["agent"]) if "agent" in query else None
        limit = _count(query["limit"]) if "limit" in query else None
        if query.get("wrong", "true") != "true":
            raise HTTPException(400, "wrong is true or left out")
        after = _count(query.get("after", "0"))
        return JSONResponse({"requests": self.journal.display(agent, after, limit, wrong="wrong" in query)})

    async def _summary(self, _: HttpRequest) -> Response:
        return JSONResponse(self.journal.summary())

    async def _all_faults(self, http: HttpRequest) -> Response:
        if http.method == "DELETE":
            self.faults.clear()
            return Response(status_code=204)
        return JSONResponse({"faults": self.faults.display()})

    async def _fault(self, http: HttpRequest) -> Response:
        name = self._name(http.path_params["agent"])
        if http.method == "DELETE":
            self.faults.clear(name)
            return Response(status_code=204)
        try:
            self.faults.put(name, await _json(http))
        except BadFaultError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse(self.faults.display()[name])

    async def _credentials(self, http: HttpRequest) -> Response:
        name, settings = self._name(http.path_params["agent"]), await _json(http)
        if not isinstance(settings, dict):
            raise HTTPException(400, "settings are a JSON object")
        self.agents[name].settings = settings
        return JSONResponse({"status": "ok"})

    async def _all_state(self, http: HttpRequest) -> Response:
        if http.method == "DELETE":
            for agent in self.agents.values():
                agent.reset()
            return Response(status_code=204)
        return JSONResponse({name: agent.state() for name, agent in self.agents.items()})

    async def _devices(self, _: HttpRequest) -> Response:
        known = {name: agent.state().get("devices", {}) for name, agent in self.agents.items()}
        return JSONResponse({name: dict(list(devices.items())[-SHOWN_DEVICES:]) for name, devices in known.items()})

    async def _state(self, http: HttpRequest) -> Response:
        return JSONResponse(self.agents[self._name(http.path_params["agent"])].state())

    def _name(self, agent: str) -> str:
        if agent not in self.agents:
            raise HTTPException(404, f"no agent {agent}; there are {', '.join(self.agents)}")
        return agent


def _subject(agent: Agent, request: Request) -> str:
    try:
        return agent.subject(request)
    except Exception:  # noqa: BLE001 - a request may be anything
        return "unreadable"


def _check(agent: Agent, request: Request, now: float) -> CheckResult:
    try:
        return agent.check(request, now)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like a refusal of the vendor's
        text = f"the sandbox itself failed on this request: {error!r}"
        return CheckResult([text], lambda: VendorResponse.text(500, text))


async def _interrupted(fault: Fault, http: HttpRequest) -> bool:
    """Wait and cut the connection as a fault says; whether the caller is gone.

    If the caller hangs up during the delay, the work is not done; `afterWork` does it before.
    """
    if fault.delay:
        try:
            async with asyncio.timeout(fault.delay):
                while (await http.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
        else:
            return True
    if fault.reset:
        http.scope["extensions"][ABORT]()
        while (await http.receive())["type"] != "http.disconnect":
            pass
    return fault.reset


async def _send(answer: VendorResponse, http: HttpRequest, send: Send) -> None:
    response = Response(answer.body or None, answer.status, dict(answer.headers))
    if answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        response = Response(status_code=answer.status)
    await response(http.scope, http.receive, send)


async def _json(http: HttpRequest) -> Json:
    try:
        return json.loads(await http.body())
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


async def _problem(_: HttpRequest, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, str(error))
    return JSONResponse({"error": detail}, status)


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise HTTPException(400, f"{value} is not a number")
    return int(value)
