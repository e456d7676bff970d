"""authorizer: tells API Gateway whose key a request carries, and which calls that key may make."""

from collections.abc import Mapping
from typing import Any

from relay.api import headers, keys
from relay.aws import clients
from relay.aws.environment import apps_path, is_snapstart, stage
from relay.aws.log import logger

PUBLIC_CALLS = tuple(
    f"POST/{call}" for call in ("login", "logout", "open", "signup", "identify", "track", "push-token", "batch")
)
"""What a public key may call; a secret key may call everything."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answers a REQUEST authorizer's event with a policy, and `{appId, kind, identity, region}` for the functions.

    API Gateway caches the answer per key, so the policy names every call that the key may make, not just this one. The
    usage plan counts the calls of all keys of an app together, by `usageIdentifierKey`.

    Raises:
        Exception: with the text `Unauthorized`, which API Gateway turns into 401, for any key that is not valid.
        SettingsUnavailable: the key could not be looked up; API Gateway answers 503, and caches nothing.
    """
    known = keys.authenticate(_key(event), apps_path())
    if known is None:
        logger().info("refused", extra={"source": "key"})
        raise Exception("Unauthorized")  # noqa: TRY002 - the text is API Gateway's protocol for 401
    app_id, kind, app = known
    stage_arn = "/".join(event["methodArn"].split("/")[:2])
    calls = ("*",) if kind == "secret" else PUBLIC_CALLS
    return {
        "principalId": app_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "execute-api:Invoke",
                    "Resource": [f"{stage_arn}/{call}" for call in calls],
                }
            ],
        },
        "context": {
            "appId": app_id,
            "kind": kind,
            "identity": app.identity,
            **({"region": app.region} if app.region else {}),
        },
        "usageIdentifierKey": keys.usage_key(stage(), app_id),
    }


def _key(event: Mapping[str, Any]) -> str:
    shown = headers.values(event, "authorization")
    scheme, _, key = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
    return key.strip() if scheme.lower() == "bearer" else ""


if is_snapstart():
    # A client is without connections until its first call, and reads its credentials anew when these have ended.
    clients.ssm()
