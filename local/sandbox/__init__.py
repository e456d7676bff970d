"""The sandbox: one process that plays the external agents and judges what it is sent."""
