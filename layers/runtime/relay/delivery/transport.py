"""Sends requests to agents: by https to public addresses, without redirects, for seven seconds and 64 KiB at most."""

import io
import socket
import time
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from http.client import HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from relay import __version__
from relay.agent.http import Request, Response, unmasked
from relay.aws.trust import TrustingConnection
from relay.errors import AddressRefused, Unreachable

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
EXCHANGE_SECONDS = CONNECT_SECONDS + READ_SECONDS
"""No exchange lasts longer, however slowly its answer drips; only the look-up of the name is not counted."""

MAX_RESPONSE_BYTES = 64 * 1024
POOL_SIZE = 32
"""Connections kept open to one host."""

MAX_IDLE_SECONDS = 5.0
"""A connection that was idle for longer is opened again: Lambda purges idle connections, and a reset on reuse leaves it
open whether the agent has the request. Source: AWS Lambda developer guide, best practices, "keep-alive" (2026)."""

_NAME = f"session-relay/{__version__}"
_deadline: ContextVar[float] = ContextVar("_deadline")
_is_written: ContextVar[bool] = ContextVar("_is_written")
"""Whether a byte of the request went to a connection that was open to the end of its TLS handshake."""


def send(request: Request) -> Response:
    """Sends one request by https to a public address: pooled, no redirects, cookies, proxy or netrc.

    Raises:
        AddressRefused: the URL is not https, or its host leads to an address that is not public; nothing was sent.
        Unreachable: no answer within the time-outs (2 s to connect, 5 s of silence, 7 s in all).
    """
    if not request.url.lower().startswith("https://"):
        raise AddressRefused("the agent's URL must begin with https://")
    return _exchanged(request, _adapter(unrestricted=False))


def send_unrestricted(request: Request) -> Response:
    """Sends one request as `send` does, but by http as well and to any address: for the local cloud alone.

    Raises:
        Unreachable: no answer within the time-outs.
    """
    return _exchanged(request, _adapter(unrestricted=True))


def _exchanged(request: Request, adapter: HTTPAdapter) -> Response:
    _deadline.set(time.monotonic() + EXCHANGE_SECONDS)
    _is_written.set(False)
    try:
        headers = {"user-agent": _NAME, **unmasked(request.headers)}
        # A text, even of nothing, is taken as it is; what kind of mapping another is, is asked at length.
        query = urlencode(unmasked(request.query))
        made = requests.Request(request.method, request.url, headers, data=request.body, params=query)
        # By the adapter itself: a session would add cookies, proxies, netrc and redirects, at a third of the cost.
        with adapter.send(made.prepare(), stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
            body = answer.raw.read(MAX_RESPONSE_BYTES, decode_content=True)
    except (requests.RequestException, HTTPError, OSError, ValueError) as fault:
        # The exception's own text holds the URL, and Google's URL holds a secret.
        raise Unreachable(type(fault).__name__, sent=_is_written.get()) from None
    return Response(answer.status_code, body, {name.lower(): value for name, value in answer.headers.items()})


@cache
def _adapter(*, unrestricted: bool) -> HTTPAdapter:
    adapter = HTTPAdapter(pool_maxsize=POOL_SIZE)
    adapter.poolmanager.pool_classes_by_scheme = _ANYWHERE if unrestricted else _PUBLIC
    return adapter


_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is on the internet, and not of this machine, its network, or its cloud's metadata.

    An IPv4 address within an IPv6 one is judged as what it is; 6to4 and Teredo, which hide one, are not public.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    if address.ipv4_mapped:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    hides = address.sixtofour or address.teredo
    return address in _GLOBAL_UNICAST and address.is_global and not (hides or address.is_reserved)


class _DeadlineResponse(HTTPResponse):
    """An answer whose every piece must come before the exchange is to end: a read time-out alone bounds silence."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - http.client's
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_DeadlineReader(_deadline.get(), sock, self.fp))


class _DeadlineReader(io.RawIOBase):
    """What a socket's file reads, until a moment of the monotonic clock."""

    def __init__(self, ends: float, connection: socket.socket, file: io.BufferedReader) -> None:
        self._deadline, self._connection, self._file = ends, connection, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange has lasted too long")
        self._connection.settimeout(min(left, READ_SECONDS))
        return self._file.raw.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


def _connected(connection: HTTPConnection, *, public: bool) -> socket.socket:
    """Connects to the very addresses that were looked at: a name cannot lead elsewhere between the look and the use."""
    try:
        found = socket.getaddrinfo(connection.host, connection.port, allowed_gai_family(), socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as fault:
        raise NewConnectionError(connection, "the name is not known") from fault
    if public and not all(is_public(ip_address(address[0])) for *_, address in found):
        raise AddressRefused("the agent's host leads to an address that is not public")
    return _first_to_answer(connection, found)


def _first_to_answer(connection: HTTPConnection, found: Sequence[tuple[Any, ...]]) -> socket.socket:
    ends, fault = time.monotonic() + CONNECT_SECONDS, OSError()
    for family, kind, protocol, _, address in found:
        try:
            return _connect(socket.socket(family, kind, protocol), address, ends - time.monotonic())
        except OSError as refused:
            fault = refused
    if isinstance(fault, TimeoutError):
        raise ConnectTimeoutError(connection, "connecting took too long") from fault
    raise NewConnectionError(connection, "nobody takes the connection") from fault


def _connect(opened: socket.socket, address: Any, seconds: float) -> socket.socket:  # noqa: ANN401 - of any family
    try:
        if seconds <= 0:
            raise TimeoutError
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(seconds)
        opened.connect(address)
    except OSError:
        opened.close()
        raise
    return opened


class _Connection(HTTPConnection):
    """A connection that knows when it was last used, and when a request's first byte is about to be written."""

    response_class = _DeadlineResponse
    idle_since: float | None = None

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's
        if self.sock is None:
            self.connect()
        _is_written.set(True)
        super().send(data)


class _AnyHttp(_Connection):
    def _new_conn(self) -> socket.socket:
        return _connected(self, public=False)


class _AnyHttps(_Connection, TrustingConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self, public=False)


class _PublicHttps(_Connection, TrustingConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self, public=True)


class _Pool(HTTPConnectionPool):
    """Connections to one host, none of which is used after it was idle for too long."""

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - urllib3's
        connection: Any = super()._get_conn(timeout)
        # By the wall clock: the others may stand still while Lambda freezes the function.
        if connection.idle_since is not None and not 0 <= time.time() - connection.idle_since <= MAX_IDLE_SECONDS:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401 - urllib3's
        if conn is not None:
            conn.idle_since = time.time()
        super()._put_conn(conn)


class _AnyHttpPool(_Pool):
    ConnectionCls = _AnyHttp


class _AnyHttpsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _AnyHttps


class _PublicHttpsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _PublicHttps


_ANYWHERE = {"http": _AnyHttpPool, "https": _AnyHttpsPool}
_PUBLIC = {"https": _PublicHttpsPool}
