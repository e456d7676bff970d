"""AWS and the agents over HTTP in a process of their own: they answer after a set time, and count what they are asked.

`python -m bench.stub PORT AWS_MS AGENT_MS`, the SSM parameters as a JSON object on standard input. `GET /_counts` says
how often each call was made since it was last asked, about how many rows, with the bytes of its bodies; `GET /_bodies`
the bodies themselves of the last publishes and invocations.
"""

import asyncio
import json
import sys
from collections import defaultdict, deque
from collections.abc import Mapping

from bench.canned_responses import CannedResponse, answer

Counts = dict[str, dict[str, int]]


class Stub:
    """What all connections share: the times to answer after, the parameters, the counts."""

    def __init__(self, aws_seconds: float, agent_seconds: float, stored: Mapping[str, str]) -> None:
        self._seconds = {"agent": agent_seconds}
        self._aws_seconds = aws_seconds
        self.stored = stored
        self._counts: Counts = defaultdict(lambda: {"calls": 0, "rows": 0, "bytes": 0})
        self._bodies = {call: deque[str](maxlen=100) for call in ("sns.Publish", "lambda.Invoke")}

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[CannedResponse, float]:
        """The answer, and the seconds after which it is due."""
        if path == "/_counts":
            canned = CannedResponse("counts", body=json.dumps(self._counts).encode())
            self._counts.clear()
            return canned, 0.0
        if path == "/_bodies":
            return CannedResponse(
                "bodies", body=json.dumps({call: list(kept) for call, kept in self._bodies.items()}).encode()
            ), 0.0
        canned = answer(path, headers, body, self.stored)
        counted = self._counts[canned.call]
        counted["calls"] += 1
        counted["rows"] += canned.rows
        counted["bytes"] += len(body)
        if canned.call in self._bodies:
            self._bodies[canned.call].append(body.decode())
        return canned, self._seconds.get(canned.call.split(".")[0], self._aws_seconds)


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that is kept open, its requests one after the other."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers a request as soon as all of it is there."""
        self._read += data
        head, found, rest = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        if headers.get("expect") == "100-continue" and not rest:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(rest) < int(headers.get("content-length", "0")):
            return
        self._read = b""
        canned, seconds = self._stub.answer(line.split(" ")[1].split("?")[0], headers, rest)
        first = f"HTTP/1.1 {canned.status} -\r\ncontent-type: application/json\r\n"
        # 204 has no body, and so no length.
        length = "" if canned.status == 204 else f"content-length: {len(canned.body)}\r\n"  # noqa: PLR2004
        asyncio.get_running_loop().call_later(seconds, self._write, f"{first}{length}\r\n".encode() + canned.body)

    def _write(self, data: bytes) -> None:
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.write(data)


async def serve(port: int, stub: Stub) -> None:
    """Answers on 127.0.0.1 until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stub), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    at, aws_ms, agent_ms = sys.argv[1:4]
    asyncio.run(serve(int(at), Stub(float(aws_ms) / 1000, float(agent_ms) / 1000, json.load(sys.stdin))))
