"""The kit for agents: all that an agent's app.py imports."""
