"""relay: what session-relay's functions share, from the event on its way in to the delivery on its way out."""

import gc
import logging

# A start makes 70,000 objects that all stay; looking through them again and again takes 10 ms of it.
gc.set_threshold(100_000)

# Lambda gives the root logger the level of the function. Below WARNING botocore and urllib3 write whole
# requests: the person's address, the signature, the agent's secret. Ours has its own level (relay.aws.log).
logging.getLogger().setLevel(max(logging.getLogger().level, logging.WARNING))

__version__ = "0.1.0"
