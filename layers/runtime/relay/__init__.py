"""relay: what session-relay's functions share, from the event on its way in to the delivery on its way out."""

__version__ = "0.1.0"
