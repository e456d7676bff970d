"""Who sends: the app whose key was shown, and the person who is proven to be behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from relay.api import headers
from relay.api.preferences import Handling, handling
from relay.aws import parameters
from relay.aws.environment import identity_path
from relay.errors import Forbidden, IncorrectToken, SettingsUnavailable
from relay.event.model import Context, EventInput
from relay.event.reading import Terms

MAX_USER_AGENT = 4096


class Caller(NamedTuple):
    """Who sends: the app and its key's kind; who is proven to be behind it; where on the network it is.

    `region` is where the app's national phone numbers are (ISO 3166); `handling` what it prefers for wrong details.
    """

    app_id: str
    kind: str
    token_required: bool
    verified_customer_id: str | None
    connection: Mapping[str, str | None]
    region: str | None = None
    handling: Handling | None = None

    @classmethod
    def from_request(cls, request: Mapping[str, Any], now: datetime) -> Self:
        """Who sends a request, as the authorizer and the identity token say.

        Raises:
            IncorrectToken: there is an identity token, and it proves nothing.
        """
        context = request["requestContext"]
        known, connection = context["authorizer"], context.get("identity") or {}
        # Apps that have no token yet send the header all the same.
        tokens = [token for token in headers.values(request, "x-identity-token") if token.strip()]
        return cls(
            app_id=known["appId"],
            kind=known["kind"],
            token_required=known["kind"] == "public" and known["identity"] == "required",
            verified_customer_id=_proven(tokens, known["appId"], now) if tokens else None,
            connection={
                "ip": connection.get("sourceIp"),
                "user_agent": (connection.get("userAgent") or "")[:MAX_USER_AGENT] or None,
            },
            region=known.get("region"),
            handling=handling(request),
        )

    @property
    def terms(self) -> Terms:
        """How this caller's events are read."""
        return Terms(self.handling == "strict", self.region, self.verified_customer_id)

    def apply_identity(self, call: EventInput) -> EventInput:
        """The call, bound to the person who is proven to make it.

        Raises:
            Forbidden: it speaks for another person.
            IncorrectToken: it speaks for a person, and there is no proof where one is needed.
        """
        if call.customer_id is not None and call.customer_id != self.verified_customer_id:
            if self.verified_customer_id is not None:
                raise Forbidden("The identity token is another customer's than customerId.")
            if self.token_required:
                raise IncorrectToken("Missing; a public key needs X-Identity-Token to speak for a customer")
        if self.kind == "public":
            # A public key speaks from the person's own device, so the connection says more than the body could.
            return call.model_copy(update={"context": (call.context or Context()).model_copy(update=self.connection)})
        return call


def _proven(tokens: list[str], app_id: str, now: datetime) -> str:
    if len(tokens) > 1:
        raise IncorrectToken("Sent more than once")
    # Calls without a token, of servers and of people who are not logged in, need none of it.
    from relay.api import identity_tokens  # noqa: PLC0415

    try:
        keys = parameters.load(identity_tokens.IdentityKeys, f"{identity_path()}/{app_id}")
    except SettingsUnavailable as fault:
        if fault.missing:
            raise IncorrectToken("The app has no identity key to check it by") from None
        raise
    return identity_tokens.verify(tokens[0], keys, now)
