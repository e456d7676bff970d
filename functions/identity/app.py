"""identity: mints a DashX identity token for a customer whom the caller's back end has authenticated."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError
from pydantic_core import PydanticCustomError

from relay.api.body import read as read_body
from relay.api.identity_tokens import IdentityKeys, Lifetime, mint
from relay.api.responses import HANDLED_ERRORS, ProxyResponse, error_response, json_response, problem_response
from relay.aws import parameters
from relay.aws.environment import identity_path
from relay.aws.log import emit_metric, logger
from relay.errors import InvalidEvent, SettingsUnavailable
from relay.event.types import TokenUid, WireModel

MAX_BODY_BYTES = 4096

_APP = re.compile(r"[a-z][a-z0-9-]{0,31}")


def _app(app_id: str) -> str:
    if not _APP.fullmatch(app_id):
        raise PydanticCustomError(
            "app", "must be an app's id: 1 to 32 lower-case letters, digits or '-', a letter first"
        )
    return app_id


class TokenCall(WireModel):
    """The body of `POST /identity-tokens`: for whom, and for how many seconds (the app's own lifetime if absent)."""

    uid: TokenUid
    expires_in: Lifetime | None = None


class DirectCall(TokenCall):
    """What the function is invoked with inside AWS: the same, and which app's key signs."""

    app_id: Annotated[str, AfterValidator(_app)]


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answers an API Gateway proxy request, or a direct invocation with the answer's document alone.

    A direct invocation is `{"appId", "uid", "expiresIn"}`; each of its callers may mint for every app.
    """
    over_http = "requestContext" in event
    if over_http and event["requestContext"]["authorizer"]["kind"] != "secret":
        response = problem_response(
            HTTPStatus.FORBIDDEN, "A public key may not mint tokens; call from a server, with a secret key."
        )
    else:
        response = _answered(event, over_http=over_http)
    response["headers"]["Cache-Control"] = "no-store"
    document: dict[str, Any] = response if over_http else json.loads(response["body"])
    return document


def _answered(event: Mapping[str, Any], *, over_http: bool) -> ProxyResponse:
    try:
        if not over_http:
            direct = DirectCall.model_validate(event)
            return _minted(direct.app_id, direct)
        text = read_body(event, MAX_BODY_BYTES).valid_text()
        return _minted(event["requestContext"]["authorizer"]["appId"], TokenCall.model_validate_json(text))
    except ValidationError as invalid:
        from relay.event.explain import field_errors  # noqa: PLC0415 - see its first line

        found = InvalidEvent(field_errors(invalid))
        return error_response(found, f"No token was minted. {found}")
    except HANDLED_ERRORS as error:
        return error_response(error, f"No token was minted. {error}")


def _minted(app_id: str, call: TokenCall) -> ProxyResponse:
    name = f"{identity_path()}/{app_id}"
    try:
        parameters.read(name)
    except SettingsUnavailable as fault:
        return _without_key(app_id, name, fault)
    try:
        keys = _keys(name)
    except SettingsUnavailable as fault:
        logger().error("key not usable", extra={"app": app_id, "reason": str(fault)})
        return problem_response(HTTPStatus.CONFLICT, f"This app's identity key is not usable: {fault}.")
    expires_in = call.expires_in or keys.expires_in
    token = mint(keys, call.uid, expires_in, datetime.now(UTC))
    emit_metric("Minted")
    logger().info("minted", extra={"app": app_id, "expires_in": expires_in})
    expires_at = token.expires_at.isoformat().replace("+00:00", "Z")
    return json_response(
        HTTPStatus.OK, {"token": token.token, "uid": token.uid, "kind": token.kind, "expiresAt": expires_at}
    )


def _keys(name: str) -> IdentityKeys:
    try:
        return parameters.load(IdentityKeys, name)
    except SettingsUnavailable:
        # A corrected key counts at once, not when the old text's five minutes are over.
        return parameters.load(IdentityKeys, name, force_refresh=True)


def _without_key(app_id: str, name: str, fault: SettingsUnavailable) -> ProxyResponse:
    logger().error("key not available", extra={"app": app_id, "reason": str(fault)})
    if fault.missing:
        return problem_response(
            HTTPStatus.CONFLICT, f"This app has no identity key; store one at {name} (docs/api.md, Identity tokens)."
        )
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This app's identity key cannot be read just now; no token was minted, ask again.",
    )
