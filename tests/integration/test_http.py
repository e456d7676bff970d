"""Sending over real connections of this machine: answers, their bounds, and the addresses that are refused."""

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import certifi
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from relay.agent.http import Request
from relay.aws import clients
from relay.delivery import transport
from relay.delivery.transport import is_public, send, send_unrestricted
from relay.errors import AddressRefused, SettingsUnavailable, Unreachable

Serve = Callable[[Callable[[socket.socket], None]], str]


def _asked(connection: socket.socket) -> bytes:
    """A whole request, whose body is `{}`: its head and its body may come one after the other."""
    heard = b""
    while not heard.endswith(b"{}"):
        more = connection.recv(65536)
        if not more:
            break
        heard += more
    return heard


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
                _asked(connection)
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
        send_unrestricted(Request(url, b"{}", query={"api_secret": SecretStr("s3cret-value")}))
    assert "s3cret-value" not in str(unreachable.value)
    return unreachable.value


def test_an_answer_is_its_status_headers_in_lower_case_and_body(serve: Serve) -> None:
    answer = b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate"
    response = send_unrestricted(Request(serve(_answering(answer)), b"{}"))
    assert (response.status, response.headers["retry-after"], response.body) == (429, "7", b"late")


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    assert send_unrestricted(Request(serve(_answering(answer)), b"{}")).status == 302


def test_an_answer_is_read_to_64_kib_at_most(serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
    response = send_unrestricted(Request(serve(_answering(head + b"x" * 200_000)), b"{}"))
    assert len(response.body) == 65536


def test_a_cookie_is_not_kept_for_the_next_person(serve: Serve) -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: person=ana; Path=/\r\nContent-Length: 0\r\n\r\n"

    def twice(connection: socket.socket) -> None:
        connection.sendall(answer)
        heard.append(_asked(connection))
        connection.sendall(answer)

    url = serve(twice)
    for _ in range(2):
        send_unrestricted(Request(url, b"{}"))
    assert b"POST" in heard[0]
    assert b"ookie" not in heard[0]


def test_a_connection_that_nobody_takes_was_never_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert not _silent(f"http://127.0.0.1:{port}/collect").sent


def test_a_connection_that_is_cut_may_have_been_sent(serve: Serve) -> None:
    assert _silent(serve(lambda _connection: None)).sent


def test_an_answer_that_comes_too_late_may_have_been_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    released = threading.Event()
    try:
        assert _silent(serve(lambda _connection: (released.wait(5), None)[1])).sent
    finally:
        released.set()


def test_a_connection_is_used_again_for_the_next_request() -> None:
    """Two requests to a server that takes one connection only."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                for _ in range(2):
                    _asked(connection)
                    connection.sendall(answer)

        server = threading.Thread(target=run, daemon=True)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert [send_unrestricted(Request(url, b"{}")).body for _ in range(2)] == [b"ok", b"ok"]
        server.join(5)


def test_a_connection_that_was_idle_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests to a server that cuts a connection without a word when it is used a second time."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with closing(connection):
                    _asked(connection)
                    connection.sendall(answer)
                    connection.recv(1)

        threading.Thread(target=run, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert send_unrestricted(Request(url, b"{}")).body == b"ok"
        later = time.time() + transport.MAX_IDLE_SECONDS + 1
        monkeypatch.setattr("relay.delivery.transport.time.time", lambda: later)
        assert send_unrestricted(Request(url, b"{}")).body == b"ok"


def _compressed(encoding: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (encoding, len(body)) + body


@pytest.mark.parametrize(
    ("encoding", "squeeze"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    ],
)
def test_a_compressed_bomb_is_cut_at_64_kib_and_never_unpacked_further(
    serve: Serve, encoding: bytes, squeeze: Callable[[bytes], bytes]
) -> None:
    bomb = _compressed(encoding, squeeze(bytes(40_000_000)))
    url = serve(_answering(bomb))
    tracemalloc.start()
    try:
        response = send_unrestricted(Request(url, b"{}"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(response.body) == 65536
    assert most < 4_000_000


def test_an_answer_that_is_not_what_its_encoding_says_is_no_answer(serve: Serve) -> None:
    assert _silent(serve(_answering(_compressed(b"gzip", b"not gzip at all")))).sent


def _dripping(head: bytes, drop: bytes, released: threading.Event) -> Callable[[socket.socket], None]:
    """A server that sends one drop after the other for as long as anybody listens."""

    def speak(connection: socket.socket) -> None:
        try:
            connection.sendall(head)
            while not released.wait(0.05):
                connection.sendall(drop)
        except OSError:
            return

    return speak


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(b"", b"H", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="chunks"),
    ],
)
def test_an_answer_that_drips_is_given_up_when_the_exchange_is_to_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, head: bytes, drop: bytes
) -> None:
    # Every drop comes well within READ_SECONDS: silence alone would never end this.
    monkeypatch.setattr(transport, "EXCHANGE_SECONDS", 0.5)
    released = threading.Event()
    try:
        assert _silent(serve(_dripping(head, drop, released))).sent
    finally:
        released.set()


def test_an_endless_header_is_no_answer(serve: Serve) -> None:
    assert _silent(serve(_answering(b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 200_000))).sent


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104 - addresses to refuse
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:0a00:0001::1", "2001:0:7f00:1::", "fe80::1", "fe80::1%eth0", "fec0::1",
    "fc00::1", "fd00:ec2::254", "fd00::1", "ff02::1", "2001:db8::1", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "157.240.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a03:2880:f101::1",
          "::ffff:8.8.8.8", "64:ff9b::808:808"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_a_host_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_all_its_ipv6_forms(address: Any) -> None:
    assert (
        is_public(ip_address(f"::ffff:{address}")) == is_public(ip_address(f"64:ff9b::{address}")) == is_public(address)
    )


class Name:
    """A host name whose addresses are these, one list at each look-up, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers, self.looks = list(answers), 0
        self.reached: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)
        monkeypatch.setattr(socket.socket, "connect", self.connect)

    def look_up(self, _host: str, port: int, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        found = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(family[ip_address(one).version], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    def connect(self, address: tuple[str, int]) -> None:
        self.reached.append(address[0])
        raise ConnectionRefusedError


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_is_sent_to_a_name_that_leads_to_a_private_address(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    name = Name(monkeypatch, [address])
    with pytest.raises(AddressRefused):
        send(Request("https://agent.example/hook", b"{}"))
    assert name.reached == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    name = Name(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        send(Request("https://agent.example/hook", b"{}"))
    assert name.reached == []


def test_a_name_that_changes_between_look_and_use_is_reached_where_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = Name(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(Unreachable) as unreachable:
        send(Request("https://agent.example/hook", b"{}"))
    assert (name.looks, name.reached, unreachable.value.sent) == (1, ["8.8.8.8"], False)


def test_the_next_address_is_tried_when_nobody_answers_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    name = Name(monkeypatch, ["8.8.8.8", "1.1.1.1"])
    with pytest.raises(Unreachable):
        send(Request("https://agent.example/hook", b"{}"))
    assert name.reached == ["8.8.8.8", "1.1.1.1"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0",
             "agent.example@127.0.0.1"],
)  # fmt: skip
def test_a_listening_port_of_this_machine_is_never_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003
        with pytest.raises(AddressRefused):
            send(Request(f"https://{host}:{listener.getsockname()[1]}/", b"{}"))
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("url", ["http://agent.example/hook", "ftp://agent.example/", "file:///etc/hosts", "//a/b"])
def test_only_https_leaves(url: str) -> None:
    with pytest.raises(AddressRefused):
        send(Request(url, b"{}"))


def test_a_refusal_holds_the_delivery_and_names_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch, ["10.0.0.1"])
    with pytest.raises(SettingsUnavailable) as refused:
        send(Request("https://agent.example/s3cret-value", b"{}", query={"api_secret": SecretStr("s3cret-value")}))
    assert str(refused.value) == "the agent's host leads to an address that is not public"


def test_a_name_that_nobody_knows_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable) as unreachable:
        send(Request("https://agent.example/", b"{}"))
    assert not unreachable.value.sent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "agent.pem"
    file.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    return file


def _over_tls(certificate: Path, speak: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrapped(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                _asked(secured)
                speak(secured)
        except OSError:
            return

    return wrapped


@pytest.fixture
def serve_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server of one TLS connection, which counts as a public address here; gives its URL."""
    monkeypatch.setattr(transport, "is_public", lambda _address: True)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def start(speak: Callable[[socket.socket], None]) -> str:
            def run() -> None:
                connection, _ = listener.accept()
                _over_tls(certificate, speak)(connection)

            threading.Thread(target=run, daemon=True).start()
            return f"https://127.0.0.1:{listener.getsockname()[1]}/hook"

        yield start


def test_a_request_over_tls_is_sent_and_answered(serve_tls: Serve) -> None:
    url = serve_tls(_answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert send(Request(url, b"{}")).body == b"ok"


@pytest.fixture
def trusted(serve_tls: Serve, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the certificates that are trusted, which no connection has read yet."""
    del serve_tls  # It sets another file, so that it comes first.
    file = tmp_path / "trusted.pem"
    file.write_bytes(certificate.read_bytes())
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(file))
    return file


def test_the_trusted_certificates_are_read_once(serve_tls: Serve, trusted: Path) -> None:
    ended = _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    assert send(Request(serve_tls(ended), b"{}")).ok
    trusted.write_text("no certificate")
    assert send(Request(serve_tls(ended), b"{}")).ok


@pytest.mark.usefixtures("trusted")
def test_the_shared_context_is_not_changed_by_the_connections_that_it_opens(
    serve_tls: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 sets the ALPN protocols for each: a use after free while another thread connects (cpython#141012)."""
    offered: list[list[str]] = []
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _context, protocols: offered.append(protocols))
    ended = _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    for _ in range(2):
        assert send(Request(serve_tls(ended), b"{}")).ok
    assert offered == [["http/1.1"]]


def test_a_trusted_certificate_of_another_host_is_refused_after_a_connection_that_was_trusted(serve_tls: Serve) -> None:
    heard: list[bytes] = []
    ended = _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    assert send(Request(serve_tls(ended), b"{}")).ok
    url = serve_tls(lambda connection: heard.append(connection.recv(10))).replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable) as refused:
        send(Request(url, b"{}"))
    assert (str(refused.value), refused.value.sent, heard) == ("SSLError", False, [])


def test_clients_of_aws_share_them(serve_tls: Serve, certificate: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(certificate.read_bytes())
    session = clients.session()
    for _ in range(2):
        url = serve_tls(_answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
        client: Any = session.create_client("dynamodb", "us-east-1", endpoint_url=url, verify=str(trusted))
        assert _status(client) == 200
        trusted.write_text("no certificate")


def test_a_client_of_aws_speaks_to_nobody_whose_certificate_it_does_not_trust(serve_tls: Serve) -> None:
    heard: list[bytes] = []
    url = serve_tls(lambda connection: heard.append(connection.recv(10)))
    config = Config(retries={"total_max_attempts": 1})
    client: Any = clients.session().create_client("dynamodb", "us-east-1", endpoint_url=url, config=config)
    with pytest.raises(SSLError):
        _status(client)
    assert heard == []


def test_a_bundle_of_certificates_that_is_not_there_is_named_in_the_fault(serve_tls: Serve, tmp_path: Path) -> None:
    config = Config(retries={"total_max_attempts": 1})
    missing: dict[str, Any] = {"endpoint_url": serve_tls(_answering(b"")), "verify": str(tmp_path / "missing.pem")}
    client: Any = clients.session().create_client("dynamodb", "us-east-1", config=config, **missing)
    with pytest.raises(SSLError, match="No such file"):
        _status(client)


def _status(client: Any) -> int:
    return int(client.list_tables()["ResponseMetadata"]["HTTPStatusCode"])


def test_an_answer_that_drips_over_tls_is_given_up_too(serve_tls: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "EXCHANGE_SECONDS", 0.5)
    released = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
    try:
        with pytest.raises(Unreachable) as unreachable:
            send(Request(serve_tls(_dripping(head, b"x", released)), b"{}"))
    finally:
        released.set()
    assert unreachable.value.sent


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
    serve_tls: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", certifi.where())
    with pytest.raises(Unreachable) as unreachable:
        send(Request(serve_tls(lambda connection: heard.append(connection.recv(10))), b"{}"))
    assert heard == []
    assert not unreachable.value.sent


@pytest.mark.parametrize("hello", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_fails_before_tls_is_complete_was_never_sent(hello: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "is_public", lambda _address: True)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(10)
                connection.sendall(hello)

        threading.Thread(target=run, daemon=True).start()
        with pytest.raises(Unreachable) as unreachable:
            send(Request(f"https://127.0.0.1:{listener.getsockname()[1]}/hook", b"{}"))
    assert not unreachable.value.sent


def test_a_handshake_that_takes_too_long_was_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "is_public", lambda _address: True)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Unreachable) as unreachable:
        send(Request(f"https://127.0.0.1:{listener.getsockname()[1]}/hook", b"{}"))
    assert not unreachable.value.sent
