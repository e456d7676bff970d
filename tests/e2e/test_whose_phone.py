"""Whose phone it is: a test on the local cloud for each numbered rule of docs/reliability.md, Whose phone it is."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from local.deploy import Cloud, wait_for
from local.scenario import PHONE
from tests.e2e.conftest import PATIENCE_SECONDS, Caller, store_app
from tests.e2e.test_faults import refusing
from tests.e2e.test_flows import NOBODY, ORDERED, Handset, only

pytestmark = pytest.mark.usefixtures("no_violations")

Unique = Callable[[], str]


@pytest.fixture
def phone(app: Caller, unique: Unique) -> Handset:
    return Handset(app, {**PHONE["device"], "id": unique(), "pushToken": unique()})


@pytest.fixture
def ana(unique: Unique) -> str:
    return f"ana-{unique()}"


@pytest.fixture
def bia(unique: Unique) -> str:
    return f"bia-{unique()}"


def is_hers_or_nobodys(phone: Handset, person: str) -> bool:
    """Whether the pushes that the phone shows are this person's, or nobody's, at each agent."""
    hers = only(person)
    return all(pushed in {None, hers[agent]} for agent, pushed in phone.pushed().items())


def _without(phone: Handset, *names: str) -> dict[str, Any]:
    return {name: value for name, value in phone.device.items() if name not in names}


@pytest.mark.parametrize("missing", ["platform", "timezone", "language", "model"])
def test_1_an_incomplete_login_on_anothers_phone_ends_the_others_pushes(
    phone: Handset, ana: str, bia: str, missing: str
) -> None:
    phone.tell("/login", customerId=ana)
    assert phone.pushed() == only(ana)
    receipts = phone.reset().tell("/login", customerId=bia, device=_without(phone, missing))
    assert is_hers_or_nobodys(phone, bia)
    for receipt in (receipts[agent] for agent in ORDERED):
        assert receipt["state"] == "delivered" or receipt["released"] is True


def test_1_a_login_that_an_agent_refuses_releases_the_phone_and_a_redrive_delivers_it(
    phone: Handset, ana: str, bia: str
) -> None:
    phone.tell("/login", customerId=ana)
    for agent in ORDERED:
        # The login alone: a release must pass.
        phone.app.fault(agent, match=bia if agent != "emarsys" else '"language"', status=400)
    receipts = phone.reset().tell("/login", customerId=bia)
    assert {receipts[agent]["state"] for agent in ("eitri_push", "emarsys")} == {"parked"}
    assert all(receipts[agent]["released"] for agent in ("eitri_push", "emarsys"))
    assert "HTTP 400" in receipts["emarsys"]["reason"]
    assert is_hers_or_nobodys(phone, bia)
    phone.app.clear_faults()
    cloud = Cloud(phone.app.stack.aws_endpoint, phone.app.stack.region)
    for agent in ("Emarsys", "EitriPush"):
        _redrive(cloud, phone, agent)
    pushed = only(bia)
    assert wait_for(
        lambda: all(phone.pushed()[agent] == pushed[agent] for agent in ("emarsys", "eitri_push")), PATIENCE_SECONDS
    )


def _redrive(cloud: Cloud, phone: Handset, agent: str) -> None:
    """Moves the phone's parked messages back, as `relay parked redrive` does."""
    sqs, stack = cloud.client("sqs"), phone.app.stack.stack_name
    urls = {
        kind: cloud.client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId=f"{agent}{kind}"
        )["StackResourceDetail"]["PhysicalResourceId"]
        for kind in ("Queue", "DeadLetterQueue")
    }
    found = sqs.receive_message(
        QueueUrl=urls["DeadLetterQueue"], MaxNumberOfMessages=10, VisibilityTimeout=5, AttributeNames=["All"]
    ).get("Messages", [])
    for message in found:
        if phone.device["id"] in message["Body"]:
            sqs.send_message(
                QueueUrl=urls["Queue"],
                MessageBody=message["Body"],
                MessageGroupId=message["Attributes"]["MessageGroupId"],
                MessageDeduplicationId=f"again-{time.time_ns()}",
            )
            sqs.delete_message(QueueUrl=urls["DeadLetterQueue"], ReceiptHandle=message["ReceiptHandle"])


def test_1_a_customer_id_that_is_an_address_and_a_denied_consent_release_the_phone(
    phone: Handset, ana: str, bia: str
) -> None:
    phone.tell("/login", customerId=ana)
    assert phone.reset().tell("/login", customerId=f"{bia}@example.com")["emarsys"]["released"] is True
    assert phone.pushed()["emarsys"] is None
    phone.tell("/login", customerId=ana)
    receipts = phone.reset().tell("/login", customerId=bia, consent={"messaging": False})
    assert {agent: receipts[agent]["state"] for agent in ORDERED} == dict.fromkeys(ORDERED, "skipped")
    assert all(receipts[agent]["reason"].startswith("consent: messaging; ") for agent in ORDERED)
    assert phone.pushed() == NOBODY


def test_1_an_incomplete_event_of_the_person_on_the_phone_cuts_nobody_off(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    phone.tell("/open", customerId=ana, device=_without(phone, "platform", "timezone"))
    assert phone.pushed() == only(ana)


@pytest.mark.parametrize("event", ["/logout", "/push-token"])
def test_2_the_device_id_alone_is_enough_to_let_go(phone: Handset, ana: str, event: str) -> None:
    phone.tell("/login", customerId=ana)
    device = {"id": phone.device["id"]} | ({"pushToken": False} if event == "/push-token" else {})
    receipts = phone.app.settled(phone.app.accepted(event, {"device": device}))
    assert {receipts[agent]["state"] for agent in ("eitri_push", "emarsys")} == {"delivered"}
    assert {agent: phone.pushed()[agent] for agent in ("eitri_push", "emarsys")} == {
        "eitri_push": None,
        "emarsys": None,
    }


def test_3_an_event_that_happened_earlier_does_not_take_the_phone_back(phone: Handset, ana: str, bia: str) -> None:
    phone.tell("/login", customerId=bia)
    before = (datetime.now(UTC) - timedelta(hours=2)).isoformat(timespec="seconds")
    event_id = phone.app.accepted("/login", {"customerId": ana, "device": phone.device, "occurredAt": before})
    receipts = phone.app.settled(event_id)
    assert {receipts[agent]["reason"] for agent in ORDERED} == {"superseded"}
    assert all(7_190_000 < receipts[agent]["lateMs"] < 7_300_000 for agent in ORDERED)
    assert phone.app.call(f"/events/{event_id}", key="secret", method="GET").json()["orderedBy"] == "occurredAt"
    assert phone.pushed() == only(bia)


def test_3_of_equal_whole_seconds_the_later_received_counts(phone: Handset, ana: str, bia: str) -> None:
    second = datetime.now(UTC).isoformat(timespec="seconds")
    phone.tell("/login", customerId=ana, occurredAt=second)
    phone.tell("/logout", customerId=ana, occurredAt=second)
    phone.reset().tell("/login", customerId=bia, occurredAt=second)
    assert phone.pushed() == only(bia)


def test_4_what_is_sent_again_after_a_503_stays_in_its_place(phone: Handset, ana: str) -> None:
    body = {"customerId": ana, "anonymousId": phone.visitor, "device": phone.device}
    with refusing("sns"):
        refused = phone.app.call("/login", body)
    assert refused.status_code == 503
    again = {name: refused.json()[name] for name in ("eventId", "sequence")}
    phone.tell("/logout", customerId=ana)
    receipts = phone.app.settled(phone.app.accepted("/login", body | again))
    assert {receipts[agent]["reason"] for agent in ORDERED} == {"superseded"}
    assert phone.pushed() == NOBODY


def test_5_an_event_id_that_was_used_without_proof_is_still_free_for_the_person(
    app: Caller, phone: Handset, ana: str, unique: Unique
) -> None:
    phone.tell("/login", customerId=ana)
    event_id = unique()
    app.settled(app.accepted("/logout", {"eventId": event_id}))
    proof = {"X-Identity-Token": app.mint(ana)}
    body = {"eventId": event_id, "customerId": ana, "device": phone.device}
    assert app.accepted("/logout", body, headers=proof) == event_id
    assert wait_for(lambda: phone.pushed() == NOBODY, PATIENCE_SECONDS)
    events = app.call(f"/events/{event_id}", key="secret", method="GET").json()["events"]
    assert [event["type"] for event in events] == ["logout", "logout"]


def test_5_events_of_one_batch_that_share_an_id_are_all_delivered(phone: Handset, ana: str, unique: Unique) -> None:
    phone.tell("/login", customerId=ana)
    known = {"eventId": unique(), "customerId": ana, "device": phone.device}
    events = [{"type": "track", "name": "checkout_started", **known}, {"type": "logout", **known}]
    answer = phone.app.call("/batch", {"events": events})
    assert [result["status"] for result in answer.json()["results"]] == [202, 202]
    assert wait_for(lambda: phone.pushed() == NOBODY, PATIENCE_SECONDS)


def test_6_an_unproven_push_token_binds_no_token_to_the_next_person(app: Caller, unique: Unique, ana: str) -> None:
    keyed = store_app(app.stack, "unproven", [unique() * 2], identity="required")
    phone = Handset(keyed, {**PHONE["device"], "id": unique(), "pushToken": unique()})
    foreign = {**phone.device, "pushToken": unique()}
    receipts = keyed.settled(keyed.accepted("/push-token", {"device": foreign}))
    assert receipts["eitri_push"]["state"] == "skipped"
    keyed.settled(keyed.accepted("/open", {"device": foreign}))
    silent = {"customerId": ana, "device": _without(phone, "pushToken")}
    keyed.settled(keyed.accepted("/open", silent, headers={"X-Identity-Token": keyed.mint(ana)}))
    device = keyed.state("eitri_push")["devices"][phone.device["id"]]
    assert (device["customer"], device["pushToken"]) == (ana, None)


def test_7_at_dashx_a_token_has_one_owner(phone: Handset, ana: str, bia: str) -> None:
    phone.tell("/login", customerId=ana)
    phone.reset().tell("/login", customerId=bia)
    assert phone.app.state("dashx")["contacts"][phone.token]["accounts"] == [bia]
    # The contact is kept sealed: a logout that names the device alone ends it.
    receipts = phone.app.settled(phone.app.accepted("/logout", {"device": {"id": phone.device["id"]}}))
    assert receipts["dashx"]["released"] is True
    assert phone.pushed() == NOBODY


def test_7_the_ledgers_keys_made_themselves_and_hold_no_agents_credential(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    ssm = Cloud(phone.app.stack.aws_endpoint, phone.app.stack.region).client("ssm")
    (name,) = [
        found["Name"]
        for page in ssm.get_paginator("describe_parameters").paginate()
        for found in page["Parameters"]
        if found["Name"].endswith("/ledger-keys")
    ]
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Type"] == "SecureString"


def test_8_rows_outlive_what_can_come_back_and_what_is_older_expires(phone: Handset, ana: str) -> None:
    phone.tell("/login", customerId=ana)
    cloud = Cloud(phone.app.stack.aws_endpoint, phone.app.stack.region)
    dynamodb, table = cloud.client("dynamodb"), cloud.table()
    rows = [row for page in dynamodb.get_paginator("scan").paginate(TableName=table) for row in page["Items"]]
    ends = {float(row["expires"]["N"]) for row in rows if row["event"]["S"] != "circuit"}
    assert min(ends) > time.time() + timedelta(days=24, hours=23).total_seconds()
    old = int((datetime.now(UTC) - timedelta(days=24, hours=1)).timestamp() * 1000)
    other = replace(phone, device={**phone.device, "id": f"{phone.device['id']}-other"})
    receipts = other.tell("/login", customerId=ana, sequence=old)
    assert {receipts[agent]["state"] for agent in ORDERED} == {"expired"}


def test_9_a_client_with_a_slow_clock_learns_its_offset_from_date(phone: Handset, ana: str, bia: str) -> None:
    phone_is_slow_by = timedelta(minutes=5)
    answers = [phone.app.call("/open", {"device": phone.device}), phone.app.call("/login", {}), phone.app.call("/x")]
    answers.append(phone.app.call("/open", {}, key=None))
    assert all("Date" in answer.headers for answer in answers)
    own_clock = datetime.now(UTC) - phone_is_slow_by
    offset = parsedate_to_datetime(answers[0].headers["Date"]) - own_clock
    phone.tell("/logout", customerId=ana)
    time.sleep(2)
    corrected = datetime.now(UTC) - phone_is_slow_by + offset
    receipts = phone.reset().tell("/login", customerId=bia, sequence=int(corrected.timestamp() * 1000))
    assert {receipts[agent]["state"] for agent in ORDERED} == {"delivered"}
    assert phone.pushed() == only(bia)
