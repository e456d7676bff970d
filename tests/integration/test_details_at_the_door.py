"""The table of details through the functions themselves: ingest and the dry run say the same of each."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.dry_run.app import handler as dry_run
from functions.ingest.app import CALLS, handler
from relay.api import registry
from relay.event.model import Event
from tests.integration.test_ingest_properties import JSON, _published, _request

ROWS = json.loads((Path(__file__).parent.parent / "unit/event/details.json").read_text())
STRICT = {"Prefer": "handling=strict"}
PATHS = {event_type: path for path, event_type in CALLS.items()}


def _answers(row: dict[str, Any], headers: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any], list[Event]]:
    """What ingest and the dry run answer, and what is published."""
    caller = {"appId": "shop", "kind": "secret", "identity": "required"}
    caller |= {"region": row["region"]} if "region" in row else {}
    more = {"headers": headers, "requestContext": {"authorizer": caller}}
    with _published() as heard:
        taken = handler(_request(f"/{PATHS[row['type']]}", json.dumps(row["sent"]), **more), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.dry_run.app.deployed_agents", dict[str, registry.DeployedAgent])
        shown = dry_run(_request("/dry-run", json.dumps({**row["sent"], "type": row["type"]}), **more), None)
    return taken, shown, heard


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[f"{at} {json.dumps(row['sent'])[:60]}" for at, row in enumerate(ROWS)])
def test_ingest_and_the_dry_run_answer_as_the_table_says(row: dict[str, Any]) -> None:
    taken, shown, heard = _answers(row, {})
    document, beside = json.loads(taken["body"]), json.loads(shown["body"])
    if "refused" in row:
        assert (taken["statusCode"], shown["statusCode"], heard) == (400, 400, [])
        assert [fault["pointer"] for fault in document["errors"]] == row["refused"]
    else:
        assert (taken["statusCode"], shown["statusCode"], len(heard)) == (202, 200, 1)
        assert [one["pointer"] for one in document.get("warnings", [])] == row["warned"]
        assert document["eventId"] == heard[0].event_id
    assert beside.get("warnings") == document.get("warnings")
    assert beside.get("errors") == document.get("errors")


@pytest.mark.parametrize("row", ROWS[::7])
def test_strictly_they_answer_400_with_the_places(row: dict[str, Any]) -> None:
    taken, shown, heard = _answers(row, STRICT)
    assert taken["headers"]["Preference-Applied"] == shown["headers"]["Preference-Applied"] == "handling=strict"
    assert {fault["pointer"]: fault["detail"] for fault in json.loads(taken["body"]).get("errors", [])} == row["strict"]
    assert json.loads(shown["body"]).get("errors") == json.loads(taken["body"]).get("errors")
    assert len(heard) == (0 if row["strict"] else 1)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(details=st.dictionaries(st.text(max_size=12) | st.sampled_from(["email", "device", "consent", "traits"]), JSON))
def test_a_login_with_a_sound_customer_is_202_whatever_else_it_holds(details: dict[str, Any]) -> None:
    text = json.dumps({**details, "customerId": "12345"})
    if "\\ud" in text.lower() or "9" * 5000 in text:
        return  # no JSON in UTF-8, or a number that is the body's own fault
    with _published() as heard:
        answer = handler(_request("/login", text), None)
    assert answer["statusCode"] == 202, answer["body"]
    assert heard[0].customer_id == "12345"
    warnings = json.loads(answer["body"]).get("warnings", [])
    assert len(warnings) <= 25
    assert all(one["pointer"].startswith("#") and one["detail"] for one in warnings)
