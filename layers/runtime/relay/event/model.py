"""The event: what a caller may say, and what every agent reads of it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    SkipValidation,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from relay.encoding import sha256
from relay.errors import InvalidEvent, Warned
from relay.event import checks
from relay.event.nested import MAX_DEPTH, Nested, name_fault
from relay.event.types import (
    MAX_SEQUENCE,
    AgentId,
    AlsoTakes,
    ContextText,
    CustomerId,
    DeviceId,
    Email,
    EventId,
    Language,
    LongAgentId,
    LongText,
    OneSentence,
    Phone,
    PropertyName,
    Sha256,
    Text,
    Timestamp,
    WireModel,
    integral,
)

EventType = Literal["login", "logout", "open", "signup", "identify", "track", "push_token"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
Purpose = Literal["advertising", "analytics", "messaging"]
OrderSource = Literal["sequence", "occurredAt", "receipt"]
"""What an event is ordered by: its `sequence`, else when it happened, else when session-relay received it."""

MAX_PROPERTIES = 100


def _declined(value: object) -> object:
    # Emarsys' own API takes the word as well as the boolean, so apps send either. To Python, 0 is False as well.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("push_token", "must be the token, or false where push is declined")
    return False if value == "false" else value


PushToken = Annotated[LongAgentId | Literal[False], BeforeValidator(_declined), AlsoTakes("false")]
SafeInteger = Annotated[int, Field(ge=-MAX_SEQUENCE, le=MAX_SEQUENCE)]
PropertyValue = Annotated[
    LongText | bool | SafeInteger | Annotated[float, Field(ge=-MAX_SEQUENCE, le=MAX_SEQUENCE)] | Nested,
    OneSentence(f"must be text, a boolean, a number, or a list or object of these that is at most {MAX_DEPTH} deep"),
]
"""Text, a boolean, a number, or a list or object of these; beyond these bounds a whole number would change."""

NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_SEQUENCE), BeforeValidator(integral)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    """A time in whole epoch milliseconds."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class Screen(WireModel):
    """The device's screen: width and height in pixels, density as a factor (3.0)."""

    width: NonNegativeInt | None = None
    height: NonNegativeInt | None = None
    density: float | None = Field(default=None, gt=0, le=100)


class Device(WireModel):
    """The installation that an event came from.

    `push_token` is False where push is declined or the token has ended; `previous_push_token` is the one it replaces.
    """

    id: DeviceId | None = Field(default=None, alias="id", description="The installation, by which events are ordered.")
    platform: Literal["ios", "android", "web"] | None = None
    model: Text | None = None
    manufacturer: Text | None = None
    os_version: Text | None = None
    app_id: Text | None = None
    app_version: Text | None = None
    app_build: Text | None = None
    language: Language | None = None
    timezone: Text | None = None
    push_token: PushToken | None = Field(
        default=None, alias="pushToken", description="Where pushes go; false where push is declined."
    )
    previous_push_token: LongAgentId | None = Field(
        default=None, alias="previousPushToken", description="The token that pushToken replaces."
    )
    advertising_id: AgentId | None = None
    vendor_id: AgentId | None = None
    app_set_id: AgentId | None = None
    app_set_scope: Literal[1, 2] | None = Field(
        default=None, alias="appSetScope", description="Android's scope of appSetId: 1 app, 2 developer."
    )
    oaid: AgentId | None = None
    amazon_aid: AgentId | None = None
    ad_tracking: bool | None = None
    att_status: Literal["notDetermined", "restricted", "denied", "authorized"] | None = None
    carrier: Text | None = None
    screen: Screen | None = None
    cpu_cores: NonNegativeInt | None = None
    storage_gb: NonNegativeInt | None = None
    free_storage_gb: NonNegativeInt | None = None


class Ids(WireModel):
    """What the agents' own SDKs call this installation or visitor."""

    appsflyer_id: AgentId | None = None
    ga_app_instance_id: AgentId | None = None
    ga_client_id: AgentId | None = None
    ga_session_id: AgentId | None = None
    fbp: AgentId | None = None
    fbc: LongAgentId | None = None
    fb_anon_id: AgentId | None = None


class Tcf(WireModel):
    """The IAB Transparency and Consent Framework's answer, as the consent dialog stored it on the device."""

    policy_version: NonNegativeInt
    cmp_sdk_id: NonNegativeInt
    cmp_sdk_version: NonNegativeInt
    tc_string: LongText


class Consent(WireModel):
    """What the person allowed, purpose by purpose; absent means that the deployment's default applies.

    `ad_personalization` narrows `advertising`; `sale_opt_out` is the opt-out of sale or sharing of US state laws.
    """

    analytics: bool | None = None
    advertising: bool | None = None
    messaging: bool | None = None
    ad_personalization: bool | None = None
    sale_opt_out: bool | None = None
    gdpr_applies: bool | None = None
    tcf: Tcf | None = None


_OTHERS = ""
"""The name under which other traits stand while they are checked: a caller's names have a character at least."""


class Traits(WireModel):
    """The person's profile, for signup and identify: names, and others under names of the app's own choice."""

    first_name: Text | None = None
    last_name: Text | None = None
    name: Text | None = None
    others: Annotated[
        dict[PropertyName, PropertyValue], Field(alias=_OTHERS, default_factory=dict, max_length=MAX_PROPERTIES)
    ]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        known = {name: value for name, value in given.items() if name in _TRAITS}
        # Null means absent, but under a name that is none: there any value shows what is wrong with the name.
        others = {
            name: True if value is None else value
            for name, value in given.items()
            if name not in _TRAITS and (value is not None or name_fault(name))
        }
        return {**known, _OTHERS: others} if others else known

    def __hash__(self) -> int:
        """By the names alone: a default that has no hash is copied with each event."""
        return hash((self.first_name, self.last_name, self.name))

    @model_serializer(mode="wrap")
    def _flatten_others(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        others: dict[str, Any] = written.pop(_OTHERS, {})
        return written | others


_TRAITS = {"firstName", "lastName", "name"}


class Context(WireModel):
    """Where the event came from on the network: the person's own address and browser, never a server's."""

    ip: Text | None = None
    user_agent: ContextText | None = None
    url: ContextText | None = None
    referrer: ContextText | None = None
    title: ContextText | None = None


class EventInput(WireModel):
    """What a caller may send; strings under any other top-level name become properties (the seed's index signature)."""

    # Agents read events alone.
    model_config = ConfigDict(extra="allow", defer_build=True)
    __pydantic_extra__: dict[PropertyName, LongText | None] = Field(init=False)

    event_id: EventId | None = Field(
        default=None, alias="eventId", description="The idempotency key: events of one id are one; made if absent."
    )
    occurred_at: Timestamp | None = Field(
        default=None,
        alias="occurredAt",
        description="When it happened; the time of receipt if absent or later.",
    )
    sequence: Annotated[int, Field(ge=1, le=MAX_SEQUENCE), BeforeValidator(integral)] | None = Field(
        default=None, alias="sequence", description="The order of a device's events, in epoch milliseconds."
    )
    customer_id: CustomerId | None = Field(
        default=None, alias="customerId", description="The account that the app's back end knows the person by."
    )
    anonymous_id: DeviceId | None = Field(
        default=None, alias="anonymousId", description="The visitor before and beside the account, best a UUID."
    )
    email: Email | None = Field(
        default=None, alias="email", description="In clear; each agent gets it in the form that its contract asks for."
    )
    phone: Phone | None = Field(
        default=None, alias="phone", description="In E.164 and in clear; each agent gets it in its own form."
    )
    email_sha256: Sha256 | None = Field(
        default=None,
        alias="emailSha256",
        description="The SHA-256 of the trimmed, lower-case address, for callers who do not have email.",
    )
    phone_sha256: Sha256 | None = Field(
        default=None,
        alias="phoneSha256",
        description="The SHA-256 of the number in E.164 with its plus sign, for callers who do not have phone.",
    )
    method: Text | None = None
    name: Text | None = None
    traits: Traits | None = None
    properties: Annotated[dict[PropertyName, PropertyValue | None], Field(max_length=MAX_PROPERTIES)] | None = None
    device: Device | None = None
    ids: Ids | None = None
    consent: Consent | None = None
    context: Context | None = None

    @classmethod
    def parse(cls, body: str | bytes, event_type: EventType) -> Self:
        """A caller's JSON text as a call of this type, read strictly.

        Raises:
            InvalidEvent: with every fault and its place.
        """
        try:
            call = cls.model_validate_json(body)
        except ValidationError as invalid:
            from relay.event.explain import field_errors  # noqa: PLC0415 - see its first line

            raise InvalidEvent(field_errors(invalid, body)) from None
        faults = checks.faults(call, event_type)
        if faults:
            raise InvalidEvent(faults)
        return call


class Event(EventInput):
    """One thing that happened in an app, stamped by ingest: all that a delivery will ever know of it.

    `sequence` orders the events of one device (epoch milliseconds), and `ordered_by` says where it comes from;
    `received_at` is when session-relay received it; `trusted` where the caller may speak for any customer, so that the
    event's other words on who it is count as well. `scope` is a digest of who proved the event, its type, person and
    device: events that share an `event_id` are the same only in the same scope. `device_unusable` where the caller
    named a device in a form that names none; `warnings` are ingest's own.
    """

    model_config = ConfigDict(defer_build=False)

    type: EventType
    app_id: str
    event_id: str
    occurred_at: AwareDatetime
    received_at: AwareDatetime
    sequence: int
    ordered_by: OrderSource = "sequence"
    trusted: bool = False
    scope: str = ""

    device: Device = Device()
    ids: Ids = Ids()
    consent: Consent = Consent()
    context: Context = Context()
    traits: Traits = Traits()
    # Without the nulls of what a caller sends.
    properties: dict[PropertyName, PropertyValue] = Field(default_factory=dict)  # type: ignore[assignment]
    device_unusable: bool = False
    warnings: Annotated[tuple[Warned, ...], SkipValidation] = Field(default=(), exclude=True)

    @classmethod
    def stamp(  # noqa: PLR0913 - all that a call does not say itself
        cls,
        call: EventInput,
        event_type: EventType,
        app_id: str,
        event_id: str,
        now: datetime,
        *,
        trusted: bool = False,
    ) -> "Event":
        """The event that a call becomes: ids, times and order filled in.

        Without a sequence it is ordered by when it happened, else by `now`. A time or sequence in the future is set to
        now: a wrong clock must not decide who owns a device for years.
        """
        values = call.__dict__
        given = {name: values[name] for name in EventInput.model_fields if values[name] is not None}
        properties = {**(call.properties or {}), **(call.__pydantic_extra__ or {})}
        occurred_at = min(call.occurred_at or now, now)
        return cls.model_construct(
            **{
                **_NOTHING_SENT,
                **given,
                "type": event_type,
                "app_id": app_id,
                "trusted": trusted,
                "event_id": call.event_id or event_id,
                "occurred_at": occurred_at,
                "received_at": now,
                "sequence": min(call.sequence or to_milliseconds(occurred_at), to_milliseconds(now)),
                "ordered_by": "sequence" if call.sequence else "occurredAt" if call.occurred_at else "receipt",
                "properties": {name: value for name, value in properties.items() if value is not None},
            }
        )

    @classmethod
    def load(cls, message: str | bytes) -> Self:
        """The event in a queue's message; fields that a newer version wrote are passed over.

        Raises:
            InvalidEvent: the message is not an event.
        """
        try:
            return cls.model_validate_json(message, extra="ignore")
        except ValidationError as invalid:
            from relay.event.explain import field_errors, redact_property  # noqa: PLC0415 - as above

            raise InvalidEvent([redact_property(fault) for fault in field_errors(invalid)]) from None

    @property
    def group(self) -> str:
        """What the event's order is kept by: its device, else its visitor, else its customer; a digest, never in clear.

        Never the customer where there is a device, or a phone handed from one person to another is not protected.
        """
        device = self.device.id or self.anonymous_id or self.customer_id or self.event_id
        return sha256(f"{self.app_id}\0{device}")

    @property
    def protects(self) -> bool:
        """Whether it is a logout or a declined push: it protects the person, so it always reaches messaging agents."""
        return self.type == "logout" or (self.type == "push_token" and self.device.push_token is False)

    @property
    def unique_id(self) -> str:
        """The event's id in its scope, which no other event of its app shares."""
        return f"{self.event_id}#{self.scope}" if self.scope else self.event_id

    @property
    def received(self) -> int:
        """When session-relay received it, in epoch microseconds: what decides between equal times."""
        return (self.received_at - _EPOCH) // timedelta(microseconds=1)

    @property
    def names_owner(self) -> bool:
        """Whether it says who is on its device, or that nobody is.

        A push token without a customer does not; a declined push ends everybody's pushes there.
        """
        if self.type == "push_token":
            return self.customer_id is not None or self.device.push_token is False
        return self.type in {"login", "signup", "open", "logout"}

    @property
    def owner(self) -> str | None:
        """The customer on the device after the event; None where nobody is known to be."""
        return None if self.type == "logout" else self.customer_id

    def dump(self) -> str:
        """The event as JSON text for the topic."""
        return self.model_dump_json(exclude_none=True, exclude_defaults=True)

    def allows(self, purpose: Purpose, *, default: bool) -> bool:
        """Whether an agent of that purpose may receive this event.

        A logout and a declined push always reach messaging agents: they protect the person.
        """
        granted: bool | None = getattr(self.consent, purpose)
        if default if granted is None else granted:
            return True
        return purpose == "messaging" and self.protects


_NOTHING_SENT = {part: Event.model_fields[part].default for part in ("device", "ids", "consent", "context", "traits")}
"""The parts of which nothing was sent: pydantic would copy them for each event."""
