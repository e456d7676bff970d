"""The pure parts of the operator's command line: fields and their values, words, lengths of time, errors."""

from typing import Annotated, Literal

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from pydantic import BaseModel, Field, SecretStr

from ops import agent_modules
from ops.errors import CommandError, UsageError, sentence
from ops.events import timeline
from ops.fields import Document, field_errors, fields_of, held, put
from ops.probes import TRIALS
from ops.show import ago


class Part(BaseModel):
    """A part of the settings."""

    code: str = Field(min_length=2)
    password: SecretStr


class Parts(BaseModel):
    """Two that may be there."""

    one: Part | None = None
    other: Part | None = None


class Settings(BaseModel):
    """Settings with every kind of field that an agent has."""

    token: SecretStr
    number: int = Field(ge=1)
    parts: Parts
    secrets: Annotated[list[SecretStr], Field(max_length=2)] = Field(default_factory=list)
    allowed: Literal["all", "none"] | list[str] = "all"
    debug: bool = False
    note: str | None = None


FIELDS = {field.path: field for field in fields_of(Settings)}


def test_the_fields_of_parts_are_fields_too() -> None:
    inner = ["parts.one.code", "parts.one.password", "parts.other.code", "parts.other.password"]
    assert list(FIELDS) == ["token", "number", *inner, "secrets", "allowed", "debug", "note"]
    assert [path for path, field in FIELDS.items() if field.required] == ["token", "number"]
    assert [path for path, field in FIELDS.items() if field.secret] == ["token", inner[1], inner[3], "secrets"]
    assert [path for path, field in FIELDS.items() if field.optional] == ["allowed", "debug"]


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("token", "123", "123"),
        ("number", "7", 7),
        ("secrets", "a, b", ["a", "b"]),
        ("secrets", '["a,b"]', ["a,b"]),
        ("allowed", "none", "none"),
        ("allowed", "plan,method", ["plan", "method"]),
        ("debug", "true", True),
        ("note", "[1]", "[1]"),
    ],
)
def test_a_typed_text_stands_for_what_the_field_admits(path: str, text: str, value: object) -> None:
    assert FIELDS[path].value(text) == value


@pytest.mark.parametrize(
    ("path", "text"), [("number", "0"), ("number", "secret-text"), ("secrets", "a,b,c"), ("debug", "x-")]
)
def test_a_text_that_fits_in_no_way_is_refused_without_quoting_it(path: str, text: str) -> None:
    with pytest.raises(CommandError, match=f"^{path}: ") as refused:
        FIELDS[path].value(text)
    assert "secret-text" not in str(refused.value)


def test_a_value_is_put_into_its_part_and_an_empty_part_goes() -> None:
    document: Document = {"token": "t"}
    filled = put(document, "parts.one.code", "A1")
    assert (filled, held(filled, "parts.one.code"), held(filled, "parts.two.code")) == (
        {"token": "t", "parts": {"one": {"code": "A1"}}},
        "A1",
        None,
    )
    assert put(filled, "parts.one.code", None) == document == {"token": "t"}


def test_faults_name_the_field_and_never_its_value() -> None:
    faults = field_errors(Settings, {"token": "t", "number": "secret-text", "parts": {"one": {"code": "A1"}}})
    assert [fault.partition(":")[0] for fault in faults] == ["number", "parts.one.password"]
    assert not any("secret-text" in fault for fault in faults)


@pytest.mark.parametrize("name", agent_modules.agent_names())
def test_every_field_of_every_agent_that_is_asked_for_is_explained_by_its_readme(name: str) -> None:
    shown = agent_modules.facts(name)
    asked = [field.path for field in fields_of(agent_modules.agent(name).settings) if not field.optional]
    assert [path for path in asked if not any(path.startswith(known) for known in shown)] == []


@pytest.mark.parametrize("name", TRIALS)
def test_every_agent_that_can_be_tried_says_what_stays_unproven(name: str) -> None:
    assert name in agent_modules.agent_names()
    assert TRIALS[name].unproven


def test_an_agent_that_does_not_exist_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="There is no agent 'nobody'; there are appsflyer, "):
        agent_modules.agent("nobody")


def test_a_timeline_is_in_order_and_ends_with_what_nobody_has_looked_at() -> None:
    receipts = {"b": {"state": "delivered", "at": "2"}, "a": {"state": "queued"}, "c": {"state": "held", "at": "1"}}
    rows = timeline({"acceptedAt": "0", "agents": receipts})
    assert [row["state"] for row in rows] == ["accepted", "held", "delivered", "queued"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0 s"), (42, "42 s"), (119, "119 s"), (121, "2 min"), (7200, "2 h"), (864000, "10 d")]
)
def test_a_length_of_time_is_written_in_the_unit_that_says_enough(seconds: float, shown: str) -> None:
    assert ago(seconds) == shown


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "a text that may quote anything"}}, "GetParameter")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_refused("AccessDeniedException"), "may not call GetParameter"),
        (_refused("ExpiredTokenException"), "does not accept these credentials"),
        (_refused("ThrottlingException"), "try again in a minute"),
        (_refused("SomethingElse"), "refused GetParameter"),
        (NoCredentialsError(), "aws sso login"),
        (NoRegionError(), "AWS_REGION"),
        (EndpointConnectionError(endpoint_url="https://example.com"), "AWS_ENDPOINT_URL"),
        (BotoCoreError(), "AWS cannot be called"),
    ],
)
def test_what_aws_says_becomes_one_sentence_that_says_what_to_do(
    fault: BotoCoreError | ClientError, words: str
) -> None:
    shown = sentence(fault)
    assert words in shown
    assert "may quote anything" not in shown
    assert shown.endswith(".")
