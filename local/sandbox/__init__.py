"""The sandbox: one process that plays all six external agents and judges what it is sent."""
