"""Who sends: the app whose key was shown, and the person who is proven to be behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from relay.api import headers
from relay.aws import parameters
from relay.aws.environment import identity_path
from relay.errors import Forbidden, IncorrectToken, SettingsUnavailable
from relay.event.model import Context, EventInput

MAX_USER_AGENT = 4096


class Prover(NamedTuple):
    """Who proved a call: a secret key, a customer by an identity token, or nobody."""

    kind: str
    customer_id: str | None = None


class Caller(NamedTuple):
    """Who sends: the app and its key's kind; who is proven to be behind it; where on the network it is.

    `fault` where a token was sent, and the key that it is checked by cannot be read.
    """

    app_id: str
    kind: str
    token_required: bool
    verified_customer_id: str | None
    connection: Mapping[str, str | None]
    fault: SettingsUnavailable | None = None

    @classmethod
    def from_request(cls, request: Mapping[str, Any], now: datetime) -> Self:
        """Who sends a request, as the authorizer and the identity token say.

        Raises:
            IncorrectToken: there is an identity token, and it proves nothing.
        """
        context = request["requestContext"]
        known, connection = context["authorizer"], context.get("identity") or {}
        tokens = headers.values(request, "x-identity-token")
        verified, fault = None, None
        try:
            verified = _proven(tokens, known["appId"], now) if tokens else None
        except SettingsUnavailable as unavailable:
            fault = unavailable
        return cls(
            app_id=known["appId"],
            kind=known["kind"],
            token_required=known["kind"] == "public" and known["identity"] == "required",
            verified_customer_id=verified,
            fault=fault,
            connection={
                "ip": connection.get("sourceIp"),
                "user_agent": (connection.get("userAgent") or "")[:MAX_USER_AGENT] or None,
            },
        )

    @property
    def prover(self) -> Prover:
        """Who proved the call; the ids of events are apart by it, or anybody could use up another's."""
        if self.kind == "secret":
            return Prover("secret key")
        return Prover("nobody" if self.verified_customer_id is None else "customer", self.verified_customer_id)

    def apply_identity(self, call: EventInput) -> EventInput:
        """The call, bound to the person who is proven to make it.

        Raises:
            Forbidden: it speaks for another person.
            IncorrectToken: it speaks for a person, and there is no proof where one is needed.
            SettingsUnavailable: its token cannot be checked now.
        """
        if self.fault:
            raise self.fault
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
