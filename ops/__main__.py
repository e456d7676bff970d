"""Runs the operator's command line."""

import sys

from ops import agents, apps, check, doctor, events, forget, ledger, parked, send, status, tail
from ops.command import command, group, main

relay = group("Runs session-relay in an AWS account: apps and keys, agents, deliveries, and what is wrong.")

command(agents.commands, "check")(check.check)
relay.add_typer(apps.commands, name="apps")
relay.add_typer(agents.commands, name="agents")
command(relay, "status")(status.status)
relay.add_typer(events.commands, name="events")
command(relay, "send")(send.send)
relay.add_typer(parked.commands, name="parked")
relay.add_typer(ledger.commands, name="ledger")
command(relay, "tail")(tail.tail)
command(relay, "doctor")(doctor.doctor)
command(relay, "forget")(forget.forget)

if __name__ == "__main__":
    sys.exit(main(relay, sys.argv[1:]))
