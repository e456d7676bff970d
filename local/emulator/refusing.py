"""Services that refuse: those named in a file (`dynamodb sns ssm`) answer every call as throttled ones do."""

from collections.abc import Awaitable, Callable
from pathlib import Path

RawResponse = tuple[int, dict[str, str], bytes]
Handler = Callable[..., Awaitable[RawResponse]]

ABLE = ("dynamodb", "sns", "ssm")
_XML = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>slow</Message></Error></ErrorResponse>"


def install(services: dict[str, Handler], named: Path) -> None:
    """Lets these services refuse while the file names them."""
    for name in ABLE:
        services[name] = _able_to_refuse(name, services[name], named)


def _is_named(service: str, named: Path) -> bool:
    return named.is_file() and service in named.read_text().split()


def _able_to_refuse(service: str, handler: Handler, named: Path) -> Handler:
    async def handle(*request: object) -> RawResponse:
        if _is_named(service, named):
            if service == "sns":
                return 400, {"Content-Type": "text/xml"}, _XML.encode()
            return 400, {"Content-Type": "application/x-amz-json-1.0"}, b'{"__type":"ThrottlingException"}'
        return await handler(*request)

    return handle
