"""Unit tests open no sockets: what they test is values in, values out."""

from collections.abc import Iterator

import pytest
import pytest_socket


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STAGE", "test")
    pytest_socket.disable_socket()
    yield
    pytest_socket.enable_socket()
