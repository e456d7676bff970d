"""Details as real devices send them: each row of details.json through the door, liberally and strictly."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.errors import InvalidEvent
from relay.event.model import Event
from relay.event.reading import Terms, read_event

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "details.json").read_text())
NOW = datetime(2026, 12, 1, tzinfo=UTC)
STAMPED = {"type": None, "appId": None, "receivedAt": None, "deviceUnusable": None, "orderedBy": None}

every_row = pytest.mark.parametrize(
    "row", ROWS, ids=[f"{at} {row['type']} {json.dumps(row['sent'])[:80]}" for at, row in enumerate(ROWS)]
)


def _kept(event: Event, row: dict[str, Any]) -> dict[str, Any]:
    document = json.loads(event.dump())
    made = STAMPED | {name: None for name in ("eventId", "occurredAt", "sequence") if name not in row["kept"]}
    kept = {name: value for name, value in document.items() if name not in made}
    if "occurredAt" in kept:
        moment = datetime.fromisoformat(kept["occurredAt"]).astimezone(UTC)
        kept["occurredAt"] = moment.isoformat().replace("+00:00", "Z")
    return kept


def _reasons(row: dict[str, Any], terms: Terms) -> dict[str, str]:
    with pytest.raises(InvalidEvent) as invalid:
        read_event(json.dumps(row["sent"]), row["type"], terms)
    return {fault.pointer: fault.detail for fault in invalid.value.errors}


def test_the_table_is_long() -> None:
    assert len(ROWS) >= 250


@every_row
def test_a_detail_is_kept_normalised_or_left_out_and_named(row: dict[str, Any]) -> None:
    terms = Terms(region=row.get("region"))
    if "refused" in row:
        assert list(_reasons(row, terms)) == row["refused"]
        return
    reading = read_event(json.dumps(row["sent"]), row["type"], terms)
    event = reading.mark(Event.stamp(reading.call, row["type"], "shop", "made", NOW))
    assert _kept(event, row) == row["kept"]
    assert [warned.pointer for warned in reading.warnings] == row["warned"]
    assert event.device_unusable is row.get("deviceUnusable", False)
    assert Event.load(event.dump()) == event.model_copy(update={"warnings": ()})


def test_a_name_too_long_for_a_pointer_costs_itself_alone() -> None:
    text = json.dumps({"customerId": "u1", "\U0001f600" * 70: 5, "a": 1})
    reading = read_event(text, "login")
    assert (reading.call.customer_id, [one.pointer for one in reading.warnings]) == ("u1", ["#", "#/a"])


@every_row
def test_strictly_each_of_them_is_named_with_what_it_must_be(row: dict[str, Any]) -> None:
    strictly = Terms(strict=True, region=row.get("region"))
    if row["strict"]:
        assert _reasons(row, strictly) == row["strict"]
    else:
        assert read_event(json.dumps(row["sent"]), row["type"], strictly).warnings == ()
