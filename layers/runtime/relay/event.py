"""The event: what a caller may say, and what every agent reads of it."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from relay.errors import Fault, InvalidEvent
from relay.hashing import sha256

EventType = Literal["login", "logout", "open", "signup", "identify", "track", "push_token"]
Purpose = Literal["advertising", "analytics", "messaging"]

MAX_SEQUENCE = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

_NOBODY = {"null", "undefined", "none", "nil", "nan", "unknown", "00000000-0000-0000-0000-000000000000"}
"""What programs send when they do not know: as an id it would make one person, or one phone, of many."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def _own_id(value: str) -> str:
    if value != value.strip() or value.lower() in _NOBODY:
        raise PydanticCustomError("own_id", "must be an id of its own, not blank, padded, 'null' or 'undefined'")
    return value


def _recent(value: datetime) -> datetime:
    if value < EARLIEST:
        raise PydanticCustomError("recent", "must be when the event happened, not before the year 2000")
    return value


def _declined(value: object) -> object:
    # Emarsys' own API takes the word as well as the boolean, so apps send either.
    return False if value == "false" else value


def _form(pattern: str, sentence: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("form", "{sentence}", {"sentence": sentence})
        return value

    return AfterValidator(check)


_PRINTABLE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_PRINTABLE)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
PropertyName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
EventId = Annotated[str, _form(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 letters, digits, '_' or '-'")]
CustomerId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE), AfterValidator(_own_id)
]
DeviceId = Annotated[Text, AfterValidator(_own_id)]
PushToken = Annotated[LongText | Literal[False], BeforeValidator(_declined)]
Moment = Annotated[AwareDatetime, AfterValidator(_recent)]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    _form(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+", "must be an e-mail address, as in ana@example.com"),
]
Phone = Annotated[
    str, _form(r"\+[1-9][0-9]{6,14}", "must be in E.164: '+', country code and digits only, as in +5511999887766")
]
Language = Annotated[
    str, _form(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", "must be a language tag, as in pt or pt-BR")
]
Whole = Annotated[int, Field(ge=-MAX_SEQUENCE, le=MAX_SEQUENCE)]
PropertyValue = LongText | bool | Whole | float
Count = Annotated[int, Field(ge=0, le=MAX_SEQUENCE)]


class Part(BaseModel):
    """A piece of an event on the wire: camelCase names, no guessing of types, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        serialize_by_alias=True,
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class Screen(Part):
    """The device's screen: width and height in pixels, density as a factor (3.0)."""

    width: Count | None = None
    height: Count | None = None
    density: float | None = Field(default=None, gt=0)


class Device(Part):
    """The installation that an event came from.

    `push_token` is False where push is declined or the token has ended; `previous_push_token` is the one it replaces.
    """

    id: DeviceId | None = None
    platform: Literal["ios", "android", "web"] | None = None
    model: Text | None = None
    manufacturer: Text | None = None
    os_version: Text | None = None
    app_id: Text | None = None
    app_version: Text | None = None
    app_build: Text | None = None
    language: Language | None = None
    timezone: Text | None = None
    push_token: PushToken | None = None
    previous_push_token: LongText | None = None
    advertising_id: Text | None = None
    vendor_id: Text | None = None
    ad_tracking: bool | None = None
    att_status: Literal["notDetermined", "restricted", "denied", "authorized"] | None = None
    carrier: Text | None = None
    screen: Screen | None = None
    cpu_cores: Count | None = None
    storage_gb: Count | None = None
    free_storage_gb: Count | None = None


class Ids(Part):
    """What the agents' own SDKs call this installation or visitor."""

    appsflyer_id: Text | None = None
    ga_app_instance_id: Text | None = None
    ga_client_id: Text | None = None
    ga_session_id: Text | None = None
    fbp: Text | None = None
    fbc: LongText | None = None
    fb_anon_id: Text | None = None


class Tcf(Part):
    """The IAB Transparency and Consent Framework's answer, as the consent dialog stored it on the device."""

    policy_version: Count
    cmp_sdk_id: Count
    cmp_sdk_version: Count
    tc_string: LongText


class Consent(Part):
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


class Traits(Part):
    """The person's profile, for signup and identify."""

    first_name: Text | None = None
    last_name: Text | None = None
    name: Text | None = None


class Context(Part):
    """Where the event came from on the network: the person's own address and browser, never a server's."""

    ip: Text | None = None
    user_agent: LongText | None = None
    url: LongText | None = None


class Call(Part):
    """What a caller may send; strings under any other top-level name become properties (the seed's index signature)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[PropertyName, LongText | None] = Field(init=False)

    event_id: EventId | None = None
    occurred_at: Moment | None = None
    sequence: Annotated[int, Field(ge=1, le=MAX_SEQUENCE)] | None = None
    customer_id: CustomerId | None = None
    anonymous_id: DeviceId | None = None
    email: Email | None = None
    phone: Phone | None = None
    method: Text | None = None
    name: Text | None = None
    traits: Traits | None = None
    properties: Annotated[dict[PropertyName, PropertyValue], Field(max_length=100)] | None = None
    device: Device | None = None
    ids: Ids | None = None
    consent: Consent | None = None
    context: Context | None = None

    @classmethod
    def read(cls, body: str | bytes, event_type: EventType, proven: str | None = None) -> Self:
        """A caller's JSON text as a call of this type; the customer, where it names none, is the one proven by a token.

        Raises:
            InvalidEvent: with every fault and its place.
        """
        try:
            call = cls.model_validate_json(body)
        except ValidationError as invalid:
            raise InvalidEvent(faults_of(invalid)) from None
        if call.customer_id is None and proven is not None:
            call = call.model_copy(update={"customer_id": proven})
        faults = [*_missing(call, event_type), *_given_twice(call)]
        if faults:
            raise InvalidEvent(faults)
        return call


class Event(Call):
    """One thing that happened in an app, stamped by ingest: all that a delivery will ever know of it.

    `sequence` orders the events of one device (epoch milliseconds); `received_at` is when session-relay took it on;
    `trusted` where the caller may speak for any customer, so that the event's other words on who it is count as well.
    """

    type: EventType
    app_id: str
    event_id: str
    occurred_at: AwareDatetime
    received_at: AwareDatetime
    sequence: int
    trusted: bool = False

    device: Device = Device()
    ids: Ids = Ids()
    consent: Consent = Consent()
    context: Context = Context()
    traits: Traits = Traits()
    properties: dict[PropertyName, PropertyValue] = Field(default_factory=dict)

    @classmethod
    def stamp(  # noqa: PLR0913 - all that a call does not say itself
        cls, call: Call, event_type: EventType, app_id: str, event_id: str, now: datetime, *, trusted: bool = False
    ) -> "Event":
        """The event that a call becomes: ids, times and order filled in.

        A time or sequence in the future is set to now: a wrong clock must not decide who owns a device for years.
        """
        given = {name: getattr(call, name) for name in Call.model_fields if getattr(call, name) is not None}
        loose = {name: value for name, value in (call.__pydantic_extra__ or {}).items() if value is not None}
        milliseconds = int(now.timestamp() * 1000)
        return cls.model_construct(
            **{
                **given,
                "type": event_type,
                "app_id": app_id,
                "trusted": trusted,
                "event_id": call.event_id or event_id,
                "occurred_at": min(call.occurred_at or now, now),
                "received_at": now,
                "sequence": min(call.sequence or milliseconds, milliseconds),
                "properties": {**(call.properties or {}), **loose},
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
            raise InvalidEvent(faults_of(invalid)) from None

    @property
    def group(self) -> str:
        """What the event's order is kept by: its device, else its visitor, else its customer; a digest, never in clear.

        Never the customer where there is a device, or a phone handed from one person to another is not protected.
        """
        device = self.device.id or self.anonymous_id or self.customer_id or self.event_id
        return sha256(f"{self.app_id}\0{device}")

    def dump(self) -> str:
        """The event as JSON text for the topic."""
        return self.model_dump_json(exclude_none=True, exclude_defaults=True)

    def allows(self, purpose: Purpose, *, default: bool) -> bool:
        """Whether this may be told to an agent of that purpose.

        A logout and a declined push always reach messaging agents: they protect the person.
        """
        declined = self.type == "push_token" and self.device.push_token is False
        if purpose == "messaging" and (self.type == "logout" or declined):
            return True
        granted: bool | None = getattr(self.consent, purpose)
        return default if granted is None else granted


_REQUIRED: dict[EventType, list[tuple[str, ...]]] = {
    "login": [("customerId",)],
    "signup": [("customerId",)],
    "identify": [("customerId", "anonymousId")],
    "track": [("name",)],
}


def _missing(call: Call, event_type: EventType) -> list[Fault]:
    given = call.model_dump(by_alias=True, exclude_none=True, include={"customer_id", "anonymous_id", "name"})
    faults = [
        Fault(f"#/{names[0]}", f"{' or '.join(names)} is required for {event_type}")
        for names in _REQUIRED.get(event_type, [])
        if not any(name in given for name in names)
    ]
    if event_type == "push_token" and (call.device is None or call.device.push_token is None):
        faults.append(Fault("#/device/pushToken", "the token, or false when push is declined, is required"))
    return faults


def _given_twice(call: Call) -> list[Fault]:
    twice = (call.properties or {}).keys() & (call.__pydantic_extra__ or {}).keys()
    return [Fault(f"#/{name}", "is given at the top level and in properties; send it once") for name in sorted(twice)]


def faults_of(invalid: ValidationError) -> list[Fault]:
    """Each fault once, at the place in the caller's JSON that it is about."""
    faults: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        pointer = "#" + "".join(f"/{step}" for step in _steps(error["loc"]))
        sentence = _SENTENCES.get(error["type"]) or _SUBJECT.sub("must", error["msg"])
        said = faults.setdefault(pointer, [])
        if sentence not in said:
            said.append(sentence)
    return [Fault(pointer, ", or ".join(sentences)) for pointer, sentences in faults.items()]


_SUBJECT = re.compile(r"^(Input|String|Value|List|Dictionary) should")
_BRANCH = re.compile(r"^(constrained-|function-|literal\[|str$|bool$|int$|float$|nullable|\[key\])")
_SENTENCES = {
    "string_pattern_mismatch": "must be text that is not blank and has no control characters",
    "json_invalid": "the body is not valid JSON in UTF-8",
    "model_type": "must be a JSON object",
    "missing": "is required",
    "extra_forbidden": "is not a known field here; remove it, or send it as a property",
    "timezone_aware": "must end with an offset, as in 2026-11-20T09:15:42Z",
}


def _steps(place: tuple[int | str, ...]) -> list[Any]:
    return [step for step in place if not (isinstance(step, str) and _BRANCH.match(step))]
