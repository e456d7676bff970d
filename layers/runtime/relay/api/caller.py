"""Who sends: the app whose key was shown, and the person who is proven to be behind it."""

from collections.abc import Mapping, Sequence
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


class Prover(NamedTuple):
    """Who proved a call: a secret key, a customer by an identity token, or nobody."""

    kind: str
    customer_id: str | None = None


class Caller(NamedTuple):
    """Who sends: the app and its key's kind; the header's identity tokens; where on the network it is.

    `region` is where the app's national phone numbers are (ISO 3166); `handling` what it prefers for wrong details.
    """

    app_id: str
    kind: str
    token_required: bool
    tokens: tuple[str, ...]
    connection: Mapping[str, str | None]
    region: str | None = None
    handling: Handling | None = None

    def __repr__(self) -> str:
        """Neither tokens nor addresses."""
        return f"Caller(app_id={self.app_id!r}, kind={self.kind!r})"

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Self:
        """Who sends a request, as the authorizer says."""
        context = request["requestContext"]
        known, connection = context["authorizer"], context.get("identity") or {}
        return cls(
            app_id=known["appId"],
            kind=known["kind"],
            token_required=known["kind"] == "public" and known["identity"] == "required",
            # Apps that have no token yet send the header all the same.
            tokens=tuple(token for token in headers.values(request, "x-identity-token") if token.strip()),
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
        return Terms(self.handling == "strict", self.region)

    def verify_header(self, now: datetime) -> None:
        """Checks the header's identity token, where events have none of their own.

        Raises:
            IncorrectToken: there is one, and it proves nothing.
        """
        if self.tokens:
            _proven(self.tokens, self.app_id, now)

    def apply_identity(self, call: EventInput, own_tokens: Sequence[str], now: datetime) -> tuple[EventInput, Prover]:
        """The call, bound to the person who is proven to make it, and who proved it.

        The proof is the event's own token, else the header's.

        Raises:
            Forbidden: it speaks for another person.
            IncorrectToken: its token proves nothing, or it speaks for a person without one where one is needed.
            SettingsUnavailable: its token cannot be checked now.
        """
        tokens = own_tokens or self.tokens
        verified = _proven(tokens, self.app_id, now) if tokens else None
        if verified is None:
            if call.customer_id is not None and self.token_required:
                raise IncorrectToken("Missing; a public key needs an identity token to speak for a customer")
        elif call.customer_id is None:
            call = call.model_copy(update={"customer_id": verified})
        elif call.customer_id != verified:
            raise Forbidden("The identity token is another customer's than customerId.")
        if self.kind == "public":
            # A public key speaks from the person's own device, so the connection says more than the body could.
            call = call.model_copy(update={"context": (call.context or Context()).model_copy(update=self.connection)})
        return call, self._prover(verified)

    def _prover(self, verified: str | None) -> Prover:
        """Who proved the call; the ids of events are apart by it, or anybody could use up another's."""
        if self.kind == "secret":
            return Prover("secret key")
        return Prover("nobody" if verified is None else "customer", verified)


def _proven(tokens: Sequence[str], app_id: str, now: datetime) -> str:
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
