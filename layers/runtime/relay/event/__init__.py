"""The event: what a caller may send and what an agent reads; no AWS, no HTTP."""
