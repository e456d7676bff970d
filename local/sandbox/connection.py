"""The HTTP/1.1 protocol of uvicorn with one thing more: an application may cut its connection with a TCP reset."""

import asyncio
import socket
import struct

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

ABORT = "sandbox.abort"
# SO_LINGER on with zero seconds: closing the socket then sends RST instead of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


class AbortableProtocol(H11Protocol):
    """Offers the application a function, in the scope's extensions, that resets the TCP connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hand the transport's abort to each request that comes over this connection."""
        super().connection_made(transport)
        application = self.app

        def abort() -> None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()

        async def abortable(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = abort
            await application(scope, receive, send)

        self.app = abortable
