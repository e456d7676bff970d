"""The soak's account finds what is lost, done twice, out of order and sent to the wrong person."""

from typing import Any

import pytest

from local.soak_account import Account, Evidence, account_of
from local.soak_life import DEVICES, LIFE, LOGIN_OF_SECOND, Sent

FIRST_EVENT = Sent(1, 0).event_id
KEY = (FIRST_EVENT, "eitri_push")


def _request(sequence: int, fault: dict[str, Any] | None = None, event_id: str = FIRST_EVENT) -> dict[str, Any]:
    body = {"id": event_id, "device": {"id": "device-0001"}, "sequence": sequence}
    return {"agent": "eitri_push", "fault": fault, "status": 202, "body": body}


def _account(
    received: list[dict[str, Any]], state: str = "delivered", owners: dict[str, dict[str, str]] | None = None
) -> Account:
    ordered = ("emarsys", "dashx", "eitri_push")
    logins = [Sent(device, LOGIN_OF_SECOND).event_id for device in range(DEVICES)]
    # A login that was superseded where it was redriven leaves nobody on the phone, which is right too.
    rows = {(login, agent): {"state": {"S": "skipped"}} for login in logins for agent in ordered}
    devices = {agent: {"devices": owners or {}} for agent in ordered}
    return account_of({KEY}, Evidence({**rows, KEY: {"state": {"S": state}}}, received, devices, {FIRST_EVENT}))


def test_a_delivery_that_was_made_once_keeps_every_promise() -> None:
    assert _account([_request(1)]).kept


@pytest.mark.parametrize("state", ["parked", "retrying", "nothing"])
def test_a_delivery_that_is_not_settled_is_lost(state: str) -> None:
    account = _account([], state)
    assert (account.lost["eitri_push"], account.kept) == (1, False)


def test_work_done_twice_is_a_duplicate_unless_its_answer_had_been_lost() -> None:
    assert _account([_request(1), _request(1)]).duplicates["eitri_push"] == 1
    lost = _account([_request(1, {"afterWork": True}), _request(1)])
    assert (lost.duplicates["eitri_push"], lost.in_doubt["eitri_push"], lost.kept) == (0, 1, True)


def test_an_older_message_after_a_newer_one_is_out_of_order() -> None:
    account = _account([_request(2), _request(1, event_id=Sent(1, 1).event_id)])
    assert (account.out_of_order["eitri_push"], account.kept) == (1, False)


def test_a_phone_whose_pushes_go_to_the_person_who_left_is_out_of_order() -> None:
    device = next(device for device in range(DEVICES) if Sent(device, len(LIFE) - 1).kind != "logout")
    left = {f"device-{device:04d}": {"pushesGoTo": f"a-{device:04d}"}}
    assert _account([], owners=left).out_of_order["eitri_push"] == 1
