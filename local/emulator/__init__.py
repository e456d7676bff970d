"""MiniStack 1.5.33 with what it lacks of AWS: move tasks, metrics, alarms, saved queries, and services that refuse.

Runs in the environment of its own that MiniStack needs: `.venv/cloud/bin/python local/emulator`.
"""
