"""Facts of the profile: read from traits in the spellings that apps use, and never digested twice."""

from typing import Any

import pytest

from relay.agent.profile import digest, fact
from relay.encoding import sha256
from relay.event.model import Traits


@pytest.mark.parametrize(
    ("traits", "name", "value"),
    [
        ({"city": " Oslo "}, "city", "Oslo"),
        ({"address": {"city": "Oslo"}}, "city", "Oslo"),
        ({"city": "Oslo", "address": {"city": "Bergen"}}, "city", "Oslo"),
        ({"region": "SP"}, "state", "SP"),
        ({"zipCode": 94025}, "zip", "94025"),
        ({"address": {"postalCode": "01310-100"}}, "zip", "01310-100"),
        ({"birth_date": "1997-02-16"}, "birthday", "1997-02-16"),
        ({"address": "Storgata 12"}, "city", ""),
        ({"city": " ", "gender": True}, "gender", ""),
        ({}, "country", ""),
    ],
)
def test_a_fact_is_found_in_the_traits_or_in_their_address(traits: dict[str, Any], name: str, value: str) -> None:
    assert fact(Traits.model_validate(traits), name) == value


@pytest.mark.parametrize("text", [sha256("mary"), sha256("mary").upper(), f" {sha256('mary')}\n"])
def test_a_digest_is_not_digested_again(text: str) -> None:
    assert digest(text, text.strip().lower()) == sha256("mary")


def test_nothing_has_no_digest() -> None:
    assert digest("!!!", "") == ""
    assert digest("Mary", "mary") == sha256("mary")
