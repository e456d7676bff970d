"""Usage plans by the authorizer's word: MiniStack 1.5.33 takes an API key from the header x-api-key alone.

Source: API Gateway developer guide, "Choose an API key source": with AUTHORIZER it is `usageIdentifierKey`.
"""

import json
from typing import Any

from ministack.services import apigateway_v1 as gateway

HEADER = "x-api-key"

_keys: dict[str, str] = {}
"""The usage key of each principal that an authorizer has named."""


def install() -> None:
    """Lets the authorizer say whose call it is, and nobody else."""
    invoke, authorize = gateway._invoke_authorizer_lambda, gateway._authorize_request_v1  # noqa: SLF001

    async def invoked(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as MiniStack has it
        result = await invoke(*arguments, **named)
        output = (result or {}).get("body")
        if isinstance(output, str | bytes):
            output = json.loads(output)
        if isinstance(output, dict) and "usageIdentifierKey" in output:
            _keys[output["principalId"]] = output["usageIdentifierKey"]
        return result

    async def authorized(*arguments: Any) -> Any:  # noqa: ANN401 - as above
        headers = arguments[6]
        for name in [name for name in headers if name.lower() == HEADER]:
            del headers[name]
        error, context = await authorize(*arguments)
        key = _keys.get((context or {}).get("principalId", ""))
        if key:
            headers[HEADER] = key
        return error, context

    gateway._invoke_authorizer_lambda, gateway._authorize_request_v1 = invoked, authorized  # noqa: SLF001
