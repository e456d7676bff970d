"""The circuit breaker against DynamoDB: opened by failures in a row, closed by one success."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base
from botocore.exceptions import ClientError

from relay.agent.verdict import Verdict, VerdictKind
from relay.aws import clients
from relay.delivery import breaker, circuit
from relay.delivery.breaker import FAILURES_THAT_OPEN
from relay.delivery.circuit import Circuit
from relay.errors import CircuitOpen

DOWN = Verdict(VerdictKind.RETRY, "HTTP 503", status=503)
SILENT = Verdict(VerdictKind.RETRY, "no answer: ConnectTimeout")
BUSY = Verdict(VerdictKind.RETRY, "HTTP 429", status=429)
WELL = Verdict(VerdictKind.DELIVERED, "HTTP 200", status=200)


@dataclass
class Exchange:
    """Gives one answer and counts how often it was asked."""

    verdict: Verdict
    made: list[Verdict] = field(default_factory=list)

    def __call__(self) -> Verdict:
        self.made.append(self.verdict)
        return self.verdict


@pytest.fixture
def agent(table: str, request: pytest.FixtureRequest) -> Iterator[Circuit]:
    """A circuit that no other test has used; its state is read from the table each time."""
    yield Circuit(request.node.name, table, seconds=60)
    breaker._guarded.cache_clear()  # noqa: SLF001
    circuit._failing.clear()  # noqa: SLF001
    circuit._healthy_until.clear()  # noqa: SLF001


def _fail(agent: Circuit, times: int, verdict: Verdict = DOWN) -> None:
    for _ in range(times):
        assert agent.call(Exchange(verdict)) == verdict


def _later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    at = int((datetime.now().astimezone() + timedelta(seconds=seconds)).timestamp())
    monkeypatch.setattr(base.CircuitBreakerHandler, "_now", staticmethod(lambda: at))


@pytest.mark.parametrize("verdict", [DOWN, SILENT])
def test_failures_in_a_row_open_it_and_nothing_is_sent(agent: Circuit, verdict: Verdict) -> None:
    _fail(agent, FAILURES_THAT_OPEN, verdict)
    exchange = Exchange(WELL)
    with pytest.raises(CircuitOpen, match="does not answer"):
        agent.call(exchange)
    assert exchange.made == []


def test_a_success_between_failures_keeps_it_closed(agent: Circuit) -> None:
    _fail(agent, FAILURES_THAT_OPEN - 1)
    assert agent.call(Exchange(WELL)) == WELL
    _fail(agent, FAILURES_THAT_OPEN - 1)
    assert agent.call(Exchange(WELL)) == WELL


def test_an_agent_that_asks_to_slow_down_is_not_failing(agent: Circuit) -> None:
    _fail(agent, FAILURES_THAT_OPEN * 3, BUSY)
    assert agent.call(Exchange(WELL)) == WELL


def test_after_a_while_one_success_closes_it(agent: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(agent, FAILURES_THAT_OPEN)
    _later(monkeypatch, 61)
    assert agent.call(Exchange(WELL)) == WELL
    assert agent.call(Exchange(WELL)) == WELL


def test_after_a_while_one_failure_keeps_it_open(agent: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(agent, FAILURES_THAT_OPEN)
    _later(monkeypatch, 61)
    assert agent.call(Exchange(DOWN)) == DOWN
    with pytest.raises(CircuitOpen):
        agent.call(Exchange(WELL))


def test_an_instance_that_has_seen_no_failure_knows_of_the_others(agent: Circuit) -> None:
    _fail(agent, FAILURES_THAT_OPEN)
    circuit._failing.clear()  # noqa: SLF001 - as another instance, which has just started
    circuit._healthy_until.clear()  # noqa: SLF001
    with pytest.raises(CircuitOpen):
        agent.call(Exchange(WELL))


def test_a_failure_of_a_quiet_agent_is_counted_and_its_request_made_once(agent: Circuit) -> None:
    exchange = Exchange(DOWN)
    assert agent.call(exchange) == DOWN
    assert exchange.made == [DOWN]
    _fail(agent, FAILURES_THAT_OPEN - 1)
    with pytest.raises(CircuitOpen):
        agent.call(Exchange(WELL))


def test_who_cannot_ask_for_the_state_goes_on(agent: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetItem")

    monkeypatch.setattr(clients.dynamodb(), "get_item", throttled)
    assert agent.call(Exchange(WELL)) == WELL


def test_silence_at_an_agent_that_must_not_receive_an_event_twice_opens_it(agent: Circuit) -> None:
    _fail(agent, FAILURES_THAT_OPEN, Verdict(VerdictKind.UNCONFIRMED, "in doubt: no answer: ReadTimeout"))
    with pytest.raises(CircuitOpen):
        agent.call(Exchange(WELL))


def test_a_probe_that_hangs_keeps_it_open(agent: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(agent, FAILURES_THAT_OPEN)
    _later(monkeypatch, 61)
    silent = Verdict(VerdictKind.UNCONFIRMED, "in doubt: no answer: ReadTimeout")
    assert agent.call(Exchange(silent)) == silent
    with pytest.raises(CircuitOpen):
        agent.call(Exchange(WELL))


def test_it_knows_since_when_it_is_open_however_often_a_probe_fails(
    agent: Circuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "time", lambda: 1_000_000.0)
    _fail(agent, FAILURES_THAT_OPEN)
    monkeypatch.setattr(breaker, "time", lambda: 1_090_000.0)
    _later(monkeypatch, 61)
    assert agent.call(Exchange(DOWN)) == DOWN
    monkeypatch.setattr(circuit, "time", lambda: 1_100_000.0)
    with pytest.raises(CircuitOpen) as held:
        agent.call(Exchange(WELL))
    assert held.value.down_for == 100_000
    _later(monkeypatch, 200)
    assert agent.call(Exchange(WELL)) == WELL
    monkeypatch.setattr(circuit, "time", lambda: 1_200_000.0)
    monkeypatch.setattr(breaker, "time", lambda: 1_200_000.0)
    _fail(agent, FAILURES_THAT_OPEN)
    with pytest.raises(CircuitOpen) as again:
        agent.call(Exchange(WELL))
    assert again.value.down_for == 0


def test_it_says_without_a_request_whether_one_would_be_sent(agent: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.check()
    _fail(agent, FAILURES_THAT_OPEN)
    with pytest.raises(CircuitOpen):
        agent.check()
    later = datetime.now().astimezone() + timedelta(seconds=61)
    monkeypatch.setattr(circuit, "time", later.timestamp)
    agent.check()


def test_a_probe_that_dynamodb_does_not_let_begin_sends_nothing(
    agent: Circuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")

    _fail(agent, FAILURES_THAT_OPEN)
    _later(monkeypatch, 61)
    monkeypatch.setattr(clients.dynamodb(), "put_item", throttled)
    exchange = Exchange(WELL)
    with pytest.raises(CircuitOpen):
        agent.call(exchange)
    assert exchange.made == []


IN_DOUBT = Verdict(VerdictKind.UNCONFIRMED, "in doubt: no answer: ReadTimeout")


def test_requests_that_hang_side_by_side_are_all_in_doubt_though_the_first_of_them_open_it(agent: Circuit) -> None:
    number = FAILURES_THAT_OPEN * 2
    under_way = Barrier(number)

    def hang() -> Verdict:
        under_way.wait(timeout=10)
        return IN_DOUBT

    with ThreadPoolExecutor(number) as threads:
        verdicts = list(threads.map(lambda _: agent.call(hang), range(number)))
    assert verdicts == [IN_DOUBT] * number
    with pytest.raises(CircuitOpen):
        agent.check()


def test_a_request_under_way_while_another_instance_opens_it_was_sent(agent: Circuit) -> None:
    def hang() -> Verdict:
        known = circuit._healthy_until.copy()  # noqa: SLF001 - the other instance knows less
        _fail(agent, FAILURES_THAT_OPEN)
        circuit._failing.clear()  # noqa: SLF001
        circuit._healthy_until.update(known)  # noqa: SLF001
        return IN_DOUBT

    assert agent.call(hang) == IN_DOUBT
