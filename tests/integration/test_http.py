"""Sending over real connections of this machine: answers, and what can be said of a request without one."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from relay import http
from relay.errors import Unreachable
from relay.http import Request, send

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server of one connection; gives its URL."""
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def start(speak: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(65536)
                speak(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/collect"

    yield start
    for listener in listeners:
        listener.close()
    for thread in threads:
        thread.join(5)


def _answering(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


def _silent(url: str) -> Unreachable:
    with pytest.raises(Unreachable) as unreachable:
        send(Request(url, b"{}", query={"api_secret": SecretStr("s3cret-value")}))
    assert "s3cret-value" not in str(unreachable.value)
    return unreachable.value


def test_an_answer_is_its_status_headers_in_lower_case_and_body(serve: Serve) -> None:
    answer = b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate"
    response = send(Request(serve(_answering(answer)), b"{}"))
    assert (response.status, response.headers["retry-after"], response.body) == (429, "7", b"late")


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    assert send(Request(serve(_answering(answer)), b"{}")).status == 302


def test_an_answer_is_read_to_64_kib_at_most(serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
    response = send(Request(serve(_answering(head + b"x" * 200_000)), b"{}"))
    assert len(response.body) == 65536


def test_a_cookie_is_not_kept_for_the_next_person(serve: Serve) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: person=ana; Path=/\r\nContent-Length: 0\r\n\r\n"
    send(Request(serve(_answering(answer)), b"{}"))
    assert len(http._session().cookies) == 0  # noqa: SLF001


def test_a_connection_that_nobody_takes_was_never_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert not _silent(f"http://127.0.0.1:{port}/collect").sent


def test_a_connection_that_is_cut_may_have_been_sent(serve: Serve) -> None:
    assert _silent(serve(lambda _connection: None)).sent


def test_an_answer_that_comes_too_late_may_have_been_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)
    released = threading.Event()
    try:
        assert _silent(serve(lambda _connection: (released.wait(5), None)[1])).sent
    finally:
        released.set()
