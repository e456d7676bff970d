"""Benchmarks of session-relay: how soon, how cheap, and against what."""
