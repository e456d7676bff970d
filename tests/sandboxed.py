"""An agent of the sandbox as the vendor that a test's requests go to, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from local.sandbox.exchange import Agent
from local.sandbox.exchange import Request as ArrivedRequest
from relay.agent.http import Request, Response, unmasked


@dataclass
class Vendor:
    """Answers as the sandbox's agent does, whose address is `url`, and remembers requests and violations.

    `failing` names parts of paths whose requests fail with this status instead.
    """

    agent: Agent
    url: str
    now: Callable[[], datetime]
    sent: list[Request] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: Request) -> Response:
        """Takes one request."""
        self.sent.append(request)
        path = request.url.removeprefix(self.url)
        for part, status in self.failing.items():
            if part in path:
                return Response(status)
        headers = {name.lower(): value for name, value in unmasked(request.headers).items()}
        arrived = ArrivedRequest(request.method, path, unmasked(request.query), headers, request.body)
        result = self.agent.check(arrived, self.now().timestamp())
        self.violations += result.violations
        answer = result.work()
        return Response(answer.status, answer.body.encode(), dict(answer.headers))

    def paths(self) -> list[str]:
        """The paths of the requests."""
        return [request.url.removeprefix(self.url) for request in self.sent]
