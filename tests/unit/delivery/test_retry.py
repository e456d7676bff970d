"""The retry policy and the release by values alone: each bound, and the value on both sides of it."""

from datetime import datetime, timedelta

import pytest

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.queue import Message
from relay.delivery.release import is_done, release_outcome, retry_rejected
from relay.delivery.retry import RetryPolicy
from relay.errors import CircuitOpen, OutOfTime
from relay.ledger.states import DeliveryState
from tests.unit.delivery.test_delivery import NOW

NINE_DAYS = timedelta(days=9)
SECOND = timedelta(seconds=1)
PENDING = Outcome(DeliveryState.PENDING)
FAILED = Verdict(VerdictKind.RETRY, "HTTP 503", status=503)


def _longest(_low: float, high: float) -> float:
    return high


def _shortest(low: float, _high: float) -> float:
    return low


POLICY = RetryPolicy((5, 30, 120), 86_400, 900, 30, 1800, lambda: NOW, _longest)


def _message(receives: int = 1, sent_at: datetime = NOW) -> Message:
    return Message("m1", "handle", "{}", receives, sent_at, None)


@pytest.mark.parametrize(("attempts", "wait"), [(-1, 5), (0, 5), (1, 5), (2, 30), (3, 120), (4, 120)])
def test_each_attempt_waits_by_its_place_in_the_schedule(attempts: int, wait: int) -> None:
    assert POLICY.backoff(attempts) == wait


def test_a_wait_is_chosen_from_nothing_to_the_schedules_value_and_is_a_second_at_least() -> None:
    asked: list[tuple[float, float]] = []
    chosen = POLICY._replace(jitter=lambda low, high: asked.append((low, high)) or 3.2)  # type: ignore[func-returns-value]
    assert (chosen.backoff(2), asked) == (4, [(0, 30)])
    assert POLICY._replace(jitter=_shortest).backoff(2) == 1


@pytest.mark.parametrize(
    ("down_for", "longest"), [(0, 60), (299, 60), (300, 60), (305, 61), (8995, 1799), (9000, 1800), (86_400, 1800)]
)
def test_the_wait_for_a_probe_is_a_fifth_of_the_outage_within_bounds(down_for: int, longest: int) -> None:
    held = POLICY.hold_open(_message(), PENDING, CircuitOpen("circuit open", down_for=down_for))
    assert held == PENDING._replace(state=DeliveryState.HELD, reason="circuit open", wait=longest)


def test_the_wait_for_a_probe_spreads_over_its_last_fifth() -> None:
    circuit_open = CircuitOpen("circuit open", down_for=8640)
    assert POLICY._replace(jitter=_shortest).hold_open(_message(), PENDING, circuit_open).wait == 1383


@pytest.mark.parametrize(
    ("receives", "age", "state", "reason"),
    [
        (979, NINE_DAYS, "held", "why"),
        (980, SECOND, "parked", "still held after 980 looks: why"),
        (981, SECOND, "parked", "still held after 980 looks: why"),
        (1, NINE_DAYS + SECOND, "parked", "still held after nine days: why"),
    ],
)
def test_a_held_delivery_is_parked_before_sqs_would_move_it(
    receives: int, age: timedelta, state: str, reason: str
) -> None:
    held = POLICY.hold(_message(receives, NOW - age), PENDING, "why")
    assert (held.state, held.reason, held.wait) == (state, reason, 900 if state == "held" else None)


def test_a_hold_without_a_wait_takes_the_settings_and_one_of_no_time_keeps_it() -> None:
    assert POLICY.hold(_message(), PENDING, "why", 0).wait == 0
    assert POLICY.hold(_message(), PENDING, "why").wait == 900


@pytest.mark.parametrize(
    ("receives", "age", "failing", "is_parked"),
    [
        (979, NINE_DAYS, timedelta(days=1), False),
        (980, SECOND, SECOND, True),
        (981, SECOND, SECOND, True),
        (1, NINE_DAYS + SECOND, SECOND, True),
        (1, SECOND, timedelta(days=1) + SECOND, True),
    ],
)
def test_a_failing_delivery_is_parked_after_the_horizon_and_before_sqs_would_move_it(
    receives: int,
    age: timedelta,
    failing: timedelta,
    is_parked: bool,  # noqa: FBT001
) -> None:
    since = int((NOW - failing).timestamp())
    outcome = POLICY.retry(_message(receives, NOW - age), FAILED, PENDING._replace(failing_since=since, attempts=2))
    expected = {
        False: PENDING._replace(
            state=DeliveryState.RETRYING, reason="HTTP 503", wait=30, failing_since=since, attempts=2
        ),
        True: PENDING._replace(
            state=DeliveryState.PARKED,
            reason="still failing after the horizon: HTTP 503",
            failing_since=since,
            attempts=2,
        ),
    }
    assert outcome == expected[is_parked]


def test_the_first_failure_of_a_row_starts_the_horizon_and_the_longer_wait_counts() -> None:
    outcome = POLICY.retry(_message(), FAILED._replace(wait=31), PENDING._replace(attempts=2))
    assert (outcome.failing_since, outcome.wait) == (int(NOW.timestamp()), 31)
    assert POLICY.retry(_message(), FAILED._replace(wait=29), PENDING._replace(attempts=2)).wait == 30


def test_where_no_attempt_is_known_the_receives_count() -> None:
    assert POLICY.retry(_message(3), FAILED, PENDING).wait == 120
    assert POLICY.retry(_message(3), FAILED, PENDING._replace(attempts=1)).wait == 5


@pytest.mark.parametrize(
    ("verdict", "more"),
    [
        (Verdict(VerdictKind.DELIVERED, "HTTP 200", status=200), {"state": "delivered", "attempts": 3, "status": 200}),
        (Verdict(VerdictKind.REJECTED, "HTTP 400", status=400), {"state": "parked", "attempts": 3, "status": 400}),
        (Verdict(VerdictKind.UNCONFIRMED, "silence"), {"state": "unconfirmed", "attempts": 3, "in_doubt": True}),
        (Verdict(VerdictKind.UNCONFIRMED, "odd", status=0), {"state": "unconfirmed", "attempts": 3, "status": 0}),
        (
            Verdict(VerdictKind.UNAUTHORIZED, "HTTP 401", status=401),
            {"state": "held", "attempts": 2, "status": 401, "wait": 900, "refused": True},
        ),
        (
            FAILED,
            {
                "state": "retrying",
                "attempts": 3,
                "status": 503,
                "wait": 120,
                "failing_since": int(NOW.timestamp()),
            },
        ),
    ],
)
def test_each_verdict_makes_one_outcome(verdict: Verdict, more: dict[str, object]) -> None:
    previous = PENDING._replace(attempts=2, done=1, withheld=3, remarks=("a",))
    expected = previous._replace(reason=verdict.reason, **more)  # type: ignore[arg-type]
    assert POLICY.decide(_message(), verdict, previous) == expected


def test_the_first_attempt_is_the_first_and_one_without_time_is_none() -> None:
    assert POLICY.decide(_message(), FAILED, PENDING).attempts == 1
    late = POLICY.decide(_message(), OutOfTime("no time left"), PENDING._replace(attempts=2))
    assert late == PENDING._replace(attempts=2, state=DeliveryState.RETRYING, reason="no time left", wait=0)


SKIPPED = Outcome(DeliveryState.SKIPPED, "consent: messaging")
BOTH = "consent: messaging; not released: "


@pytest.mark.parametrize(
    ("result", "more"),
    [
        (
            Verdict(VerdictKind.DELIVERED),
            {"reason": "consent: messaging; the device was released, nobody is on it", "released": True},
        ),
        (OutOfTime("no time left"), {"state": "retrying", "reason": f"{BOTH}no time left", "wait": 0}),
        (CircuitOpen("circuit open", down_for=0), {"state": "held", "reason": f"{BOTH}circuit open", "wait": 60}),
        (
            Verdict(VerdictKind.UNAUTHORIZED, "HTTP 401"),
            {"state": "held", "reason": f"{BOTH}HTTP 401", "wait": 900, "refused": True},
        ),
        (FAILED, {"state": "retrying", "reason": f"{BOTH}HTTP 503", "wait": 30}),
        (
            FAILED._replace(wait=31),
            {"state": "retrying", "reason": f"{BOTH}HTTP 503", "wait": 31},
        ),
        (
            FAILED._replace(wait=43_201),
            {"state": "retrying", "reason": f"{BOTH}HTTP 503", "wait": 43_200},
        ),
    ],
)
def test_each_result_of_a_release_makes_one_outcome(result: Verdict | CircuitOpen, more: dict[str, object]) -> None:
    ended = release_outcome(POLICY, _message(2), result, SKIPPED)
    assert ended == SKIPPED._replace(**more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("receives", "age", "state"),
    [(979, NINE_DAYS, "retrying"), (980, SECOND, "parked"), (981, SECOND, "parked"), (1, NINE_DAYS + SECOND, "parked")],
)
def test_a_release_that_keeps_failing_is_parked_before_sqs_would_move_it(
    receives: int, age: timedelta, state: str
) -> None:
    assert release_outcome(POLICY, _message(receives, NOW - age), FAILED, SKIPPED).state == state


def test_a_release_counts_attempts_or_receives_whichever_are_more() -> None:
    ended = SKIPPED._replace(attempts=2)
    waits = [release_outcome(POLICY, _message(receives), FAILED, ended).wait for receives in (1, 3)]
    assert waits == [30, 120]


def test_of_two_long_reasons_the_second_is_kept_whole() -> None:
    long = SKIPPED._replace(reason="x" * 400)
    reason = release_outcome(POLICY, _message(), FAILED, long).reason
    assert len(reason) == MAX_REASON == 250
    assert reason.endswith("x; not released: HTTP 503")


def test_only_a_refusal_for_good_of_a_release_is_tried_again() -> None:
    assert retry_rejected(Verdict(VerdictKind.REJECTED, "HTTP 400", None, 400)) == Verdict(
        VerdictKind.RETRY, "HTTP 400", None, 400
    )
    refused = Verdict(VerdictKind.UNAUTHORIZED)
    assert retry_rejected(refused) is refused
    assert [is_done(Verdict(kind)) for kind in VerdictKind] == [True, True, False, False, False]


def test_an_outcome_writes_what_is_known_of_it_and_nothing_else() -> None:
    milliseconds = int(NOW.timestamp() * 1000)
    assert PENDING.attributes(NOW) == {"reason": "", "at": milliseconds}
    full = Outcome(
        DeliveryState.RETRYING,
        "y" * 251,
        wait=5,
        attempts=2,
        done=0,
        status=503,
        withheld=3,
        remarks=("a", "b"),
        failing_since=7,
        released=True,
        late_by=0,
    )
    assert full.attributes(NOW) == {
        "reason": "y" * 250,
        "attempts": 2,
        "done": 0,
        "at": milliseconds,
        "status": 503,
        "wait": 5,
        "failing": 7,
        "withheld": 3,
        "remarks": "a\nb",
        "released": 1,
        "late": 0,
    }


def test_a_hold_ends_the_row_of_failures_and_has_no_next_attempt() -> None:
    held = Outcome(DeliveryState.HELD, wait=900, failing_since=7).attributes(NOW)
    assert (held.get("failing"), held.get("wait")) == (0, None)
    assert "failing" not in Outcome(DeliveryState.DELIVERED, failing_since=7).attributes(NOW)
