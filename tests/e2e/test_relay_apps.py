"""`relay apps` against the local cloud: an app that it makes can call the API, and its keys come and go."""

import json
from dataclasses import replace

from local.deploy import STAGE, Cloud, wait_for
from tests.e2e.conftest import PATIENCE_SECONDS, Caller
from tests.e2e.terminal import Terminal


def test_an_app_that_was_made_can_call_the_api_with_its_keys(app: Caller) -> None:
    terminal = Terminal(app.stack)
    made = terminal.answered("apps", "create", "ops-new", "--name", "New", "--identity", "optional")
    assert made["keys"]["public"].startswith("pk_ops-new_")
    keys = {"public_key": made["keys"]["public"], "secret_key": made["keys"]["secret"]}
    caller = Caller(replace(app.stack, app_id="ops-new", **keys))
    event_id = caller.accepted("/logout")
    assert caller.receipts(event_id)
    (listed,) = [row for row in terminal.answered("apps", "list") if row["app"] == "ops-new"]
    assert listed == {
        "app": "ops-new",
        "name": "New",
        "identity": "optional",
        "region": "",
        "publicKeys": 1,
        "secretKeys": 1,
        "identityKey": False,
        "usagePlan": True,
    }


def test_an_app_of_a_region_reads_its_national_phone_numbers(app: Caller) -> None:
    terminal = Terminal(app.stack)
    made = terminal.answered("apps", "create", "ops-region", "--region", "BR")
    assert made["region"] == "BR"
    caller = Caller(replace(app.stack, app_id="ops-region", secret_key=made["keys"]["secret"]))
    sent = {"type": "login", "customerId": "12345", "phone": "(11) 99988-7766"}
    shown = caller.call("/dry-run", sent, key="secret").json()
    assert [one["detail"].split(":")[0] for one in shown["warnings"]] == ["was normalised"]
    assert "+5511999887766" in json.dumps(shown["agents"]["dashx"])
    wrong = terminal.relay("apps", "create", "ops-nowhere", "--region", "br")
    assert (wrong.code, "two capital letters" in wrong.stderr) == (2, True)


def test_only_digests_are_stored_and_a_key_is_shown_once(app: Caller) -> None:
    terminal = Terminal(app.stack)
    made = terminal.answered("apps", "create", "ops-once")
    ssm = Cloud(app.stack.aws_endpoint, app.stack.region).client("ssm")
    stored = ssm.get_parameter(Name=f"/session-relay/{STAGE}/apps/ops-once", WithDecryption=True)["Parameter"]
    later = terminal.well("apps", "keys", "ops-once").out + terminal.well("apps", "list").out
    assert stored["Type"] == "SecureString"
    for key in made["keys"].values():
        assert key not in stored["Value"]
        assert key not in later


def test_an_app_is_not_made_twice_nor_under_an_id_that_no_key_could_name(app: Caller) -> None:
    terminal = Terminal(app.stack)
    terminal.well("apps", "create", "ops-twice")
    again, wrong = terminal.relay("apps", "create", "ops-twice"), terminal.relay("apps", "create", "Ops_Twice")
    assert (again.code, again.out, wrong.code, wrong.out) == (1, "", 2, "")
    assert "exists already" in again.stderr
    assert "a letter first" in wrong.stderr


def test_rotating_leaves_the_old_key_its_grace_and_revoking_takes_one_away(app: Caller) -> None:
    terminal = Terminal(app.stack)
    first = terminal.answered("apps", "create", "ops-rotate")
    second = terminal.answered("apps", "rotate", "ops-rotate", "--kind", "secret", "--grace", "1")
    assert second["key"] != first["keys"]["secret"]
    keys = terminal.answered("apps", "keys", "ops-rotate")
    assert [(key["kind"], key["state"]) for key in keys] == [
        ("public", "valid"),
        ("secret", "expiring"),
        ("secret", "valid"),
    ]
    old = Caller(replace(app.stack, app_id="ops-rotate", secret_key=first["keys"]["secret"]))
    new = Caller(replace(app.stack, app_id="ops-rotate", secret_key=second["key"]))
    assert [one.call("/logout", key="secret").status_code for one in (old, new)] == [202, 202]
    assert terminal.relay("apps", "revoke", "ops-rotate", keys[1]["key"]).code == 1
    assert len(terminal.answered("apps", "keys", "ops-rotate")) == 3
    terminal.well("apps", "revoke", "ops-rotate", keys[1]["key"], "--yes")
    assert [key["key"] for key in terminal.answered("apps", "keys", "ops-rotate")] == [keys[0]["key"], keys[2]["key"]]
    unknown = terminal.relay("apps", "revoke", "ops-rotate", "00000000", "--yes")
    assert (unknown.code, f"relay apps keys ops-rotate --stage {STAGE}\n" in unknown.stderr) == (1, True)


def test_a_rotation_without_grace_takes_the_old_key_away_and_each_takes_those_that_have_expired(app: Caller) -> None:
    terminal = Terminal(app.stack)
    first = terminal.answered("apps", "create", "ops-expired")
    terminal.well("apps", "rotate", "ops-expired", "--grace", "0")
    assert [key["state"] for key in terminal.answered("apps", "keys", "ops-expired")] == ["valid", "valid"]
    gone = Caller(replace(app.stack, app_id="ops-expired", secret_key=first["keys"]["secret"]))
    assert gone.call("/logout", key="secret").status_code == 401
    terminal.well("apps", "rotate", "ops-expired", "--grace", "0.00003")

    def expired() -> int:
        return [key["state"] for key in terminal.answered("apps", "keys", "ops-expired")].count("expired")

    assert wait_for(lambda: expired() == 1, PATIENCE_SECONDS)
    terminal.well("apps", "rotate", "ops-expired")
    assert expired() == 0


def test_an_identity_key_is_stored_and_rotated_in_three_steps(app: Caller) -> None:
    terminal = Terminal(app.stack)
    made = terminal.answered("apps", "create", "ops-identity")
    old, new = "an-old-identity-key-of-32-bytes-or-more", "a-new-identity-key-of-32-bytes-or-more"
    typed = terminal.typed("apps", "identity", "ops-identity", answers=[("Identity key", old)])
    assert (typed.code, old in typed.out) == (0, False)
    caller = Caller(replace(app.stack, app_id="ops-identity", secret_key=made["keys"]["secret"]))
    assert caller.mint("12345")
    assert terminal.relay("apps", "identity", "ops-identity", "--swap").code == 1
    terminal.well("apps", "identity", "ops-identity", "--beside", "--from-stdin", given=new)
    terminal.well("apps", "identity", "ops-identity", "--swap")
    terminal.well("apps", "identity", "ops-identity", "--forget")
    ssm = Cloud(app.stack.aws_endpoint, app.stack.region).client("ssm")
    stored = ssm.get_parameter(Name=f"/session-relay/{STAGE}/identity/ops-identity", WithDecryption=True)
    assert json.loads(stored["Parameter"]["Value"]) == {"keys": [new]}


def test_an_identity_key_that_could_sign_nothing_is_refused_without_being_quoted(app: Caller) -> None:
    terminal = Terminal(app.stack)
    terminal.well("apps", "create", "ops-short")
    run = terminal.relay("apps", "identity", "ops-short", "--from-stdin", given="too-short")
    assert (run.code, "32 bytes" in run.stderr, "too-short" in run.out + run.stderr) == (1, True, False)
    assert terminal.relay("apps", "identity", "ops-nobody", "--from-stdin", given="x" * 40).code == 1
