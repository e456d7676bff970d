"""The modules that have mutants, and the tests that must kill them, in stages: a later one runs if all before pass."""

RELAY = "layers/runtime/relay"

Stages = tuple[tuple[str, ...], ...]

_FIRST = tuple(f"tests/unit/delivery/test_{name}.py" for name in ("stages", "pipeline", "plan", "retry", "queue"))
_NAMES = ("delivery", "bad_days", "worse_days", "together", "named_culprits", "remarks")
_DELIVERY = tuple(f"tests/unit/delivery/test_{name}.py" for name in _NAMES)
_FUNCTIONS = tuple(f"tests/integration/test_{name}.py" for name in ("agents", "circuit", "receipts"))
_MONTH = ("tests/simulation/test_month.py",)

_VERDICT: Stages = (
    ("tests/unit/agent/test_verdict.py",),
    (*_FIRST, *_DELIVERY),
    ("tests/integration/test_circuit.py",),
)
_PIPELINE: Stages = (_FIRST, _DELIVERY, _FUNCTIONS, _MONTH)
_APP_SETTINGS: Stages = (
    ("tests/unit/delivery/test_app_settings.py",),
    ("tests/integration/test_app_settings.py",),
)
_LEDGER: Stages = (
    ("tests/unit/ledger/test_rows.py", "tests/unit/ledger/test_device_order.py"),
    ("tests/integration/test_claims.py", "tests/integration/test_ledger.py"),
    (*_FIRST, *_DELIVERY, *_FUNCTIONS, *_MONTH),
)

TESTS: dict[str, Stages] = {
    f"{RELAY}/agent/verdict.py": _VERDICT,
    **{
        f"{RELAY}/delivery/{name}.py": _PIPELINE
        for name in (
            "client",
            "item",
            "outcome",
            "pipeline",
            "plan",
            "queue",
            "release",
            "retry",
            "settlement",
            "turns",
        )
    },
    f"{RELAY}/delivery/app_settings.py": _APP_SETTINGS,
    f"{RELAY}/delivery/batch.py": (*_PIPELINE, ("tests/integration/test_google_data_manager.py",)),
    **{f"{RELAY}/ledger/{name}.py": _LEDGER for name in ("ledger", "device_order", "rows")},
}
"""Issue 15's delivery (now pipeline, item, turns, settlement), outcome, verdict, exchange (client), queue, ledger,
order (device_order) and rows."""
