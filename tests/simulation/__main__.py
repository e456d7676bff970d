"""`python -m tests.simulation`: simulates months by their seeds, and prints what each has broken."""

import argparse
import sys
from time import monotonic

from rich.console import Console
from rich.progress import track

from tests.simulation.month import EVENTS, simulate


def main() -> int:
    """Simulates the months; 1 if one of them broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many months (1000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events in a month ({EVENTS})")
    asked = parser.parse_args()
    console, began, broken = Console(stderr=True), monotonic(), 0
    seeds = range(asked.first, asked.first + asked.seeds)
    for seed in track(seeds, "months", console=console):
        found = simulate(seed, asked.events)
        broken += bool(found)
        for fault in found:
            console.print(f"seed {seed}: {fault}", highlight=False)
    seconds = monotonic() - began
    console.print(f"{asked.seeds} months simulated in {seconds:.0f} s, {broken} of them with a promise broken.")
    if broken:
        console.print("Replay one: python -m tests.simulation --seeds 1 --first SEED")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
