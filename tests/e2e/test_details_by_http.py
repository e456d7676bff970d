"""A sample of the table of details over HTTP: liberally each is answered as the table says, strictly as well."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Caller

TABLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parent.parent / "unit/event/details.json").read_text()
)
SAMPLE = [row for row in TABLE if "region" not in row][::5][:90]


def _results(app: Caller, **headers: str) -> list[dict[str, Any]]:
    events = [{"type": row["type"], **row["sent"]} for row in SAMPLE]
    answer = app.call("/batch", {"events": events}, key="secret", headers=headers)
    assert answer.status_code == 207
    assert answer.headers.get("preference-applied") == headers.get("prefer")
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_detail_over_http_is_answered_as_the_table_says(app: Caller) -> None:
    for row, result in zip(SAMPLE, _results(app), strict=True):
        if "refused" in row:
            assert [fault["pointer"] for fault in result["errors"]] == row["refused"], row
        else:
            assert result["status"] == 202, row
            assert [one["pointer"] for one in result.get("warnings", [])] == row["warned"], row


def test_strictly_it_is_400_with_its_place(app: Caller) -> None:
    for row, result in zip(SAMPLE, _results(app, prefer="handling=strict"), strict=True):
        assert {fault["pointer"]: fault["detail"] for fault in result.get("errors", [])} == row["strict"], row
        assert result["status"] == (400 if row["strict"] else 202), row


def test_the_receipts_name_what_was_normalised_or_left_out(app: Caller) -> None:
    body = {"customer_id": 12345, "device": {"platform": "iOS", "made-up": "x"}, "phone": "(11) 99988-7766"}
    answer = app.call("/login", body, key="secret").json()
    found = app.call(f"/events/{answer['eventId']}", key="secret", method="GET").json()
    assert {one["pointer"] for one in answer["warnings"]} == {
        "#/customer_id",
        "#/device/platform",
        "#/device/made-up",
        "#/phone",
    }
    assert {one["pointer"] for one in found["warnings"]} == {"#/customerId", "#/device/platform", "#/device", "#/phone"}
