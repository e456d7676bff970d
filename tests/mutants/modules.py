"""The modules that have mutants, and the tests that must kill them: the quick ones first."""

RELAY = "layers/runtime/relay"
_VERDICT = ("tests/unit/agent/test_verdict.py",)
_DELIVERY = tuple(
    f"tests/unit/delivery/test_{name}.py"
    for name in ("queue", "delivery", "bad_days", "together", "named_culprits", "remarks")
)
_LEDGER = ("tests/unit/ledger/test_rows.py", "tests/unit/ledger/test_device_order.py", "tests/integration/test_ledger.py")
_ALL = ("tests/integration/test_agents.py", "tests/integration/test_circuit.py", "tests/integration/test_receipts.py")
_MONTH = ("tests/simulation/test_month.py",)

TESTS: dict[str, tuple[str, ...]] = {
    f"{RELAY}/agent/verdict.py": (*_VERDICT, *_DELIVERY, "tests/integration/test_circuit.py"),
    **{
        f"{RELAY}/delivery/{name}.py": (*_DELIVERY, *_ALL, *_MONTH)
        for name in ("pipeline", "plan", "retry", "release", "outcome", "client", "queue")
    },
    **{f"{RELAY}/ledger/{name}.py": (*_LEDGER, *_DELIVERY, *_ALL, *_MONTH) for name in ("ledger", "device_order", "rows")},
}
"""Today's delivery, outcome, verdict, exchange (client), queue, ledger, order (device_order) and rows."""
