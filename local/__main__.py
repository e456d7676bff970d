"""The local cloud's command line: `python -m local demo | soak | up | down`, which the Makefile calls."""

import argparse
import sys

from local import demo, service, soak
from local.deploy import ToolFailedError
from local.processes import DidNotStartError


def main() -> int:
    """Runs one command; 0 if it did what it says, 1 if not, 130 if interrupted."""
    commands = {
        "demo": ("run the scenario once on a local cloud of its own", demo.main),
        "soak": ("send thousands of events while every agent fails now and then, and account for each", soak.main),
        "up": ("start a local cloud and leave it running", service.up),
        "down": ("end the local cloud that `up` started", service.down),
        "serve": ("be the local cloud until ended (what `up` starts)", service.serve),
    }
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    choices = parser.add_subparsers(dest="command", required=True)
    for name, (what, _) in commands.items():
        choices.add_parser(name, help=what)
    chosen = parser.parse_args().command
    try:
        return commands[chosen][1]()
    except (DidNotStartError, ToolFailedError) as fault:
        print(f"\n{fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started has been ended.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
