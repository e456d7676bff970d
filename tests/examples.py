"""How many cases a property is tried with: few in `make test`, many in `make properties`."""

import os

TIMES = int(os.environ.get("PROPERTY_TIMES", "1"))


def examples(usual: int) -> int:
    """Returns how many examples, or seeds, a test tries: the usual number, or PROPERTY_TIMES as many."""
    return usual * TIMES
