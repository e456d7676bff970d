"""What goes wrong in a simulated month, and when: episodes drawn from a seed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

MINUTE, HOUR, DAY = 60, 3600, 86_400

AGENT_TROUBLES = ("down", "hanging", "unreachable", "busy", "credentials", "flaky", "garbage", "hostile")
"""An agent's: 503; no answer in time; no connection; 429; 401; all of them now and then; answers that prove nothing."""

CLOUD_TROUBLES = ("throttled", "answers lost", "crashing", "duplicates", "no parameters", "no queue", "slow")
"""AWS': DynamoDB refuses, or its answer is lost; functions die; messages come twice; SSM or SQS refuses; no time."""

DURATIONS = (MINUTE, 10 * MINUTE, HOUR, HOUR, 6 * HOUR, 26 * HOUR, 3 * DAY)
LONG = 8 * DAY


class Episode(NamedTuple):
    """A trouble, from one moment to another."""

    trouble: str
    begins: datetime
    ends: datetime


class Weather(NamedTuple):
    """The troubles of one thing, in the order of time; after the last all is well."""

    episodes: Sequence[Episode] = ()

    def at(self, moment: datetime) -> str:
        """The trouble at a moment; "" where all is well."""
        return next((one.trouble for one in self.episodes if one.begins <= moment < one.ends), "")

    @classmethod
    def drawn(cls, random: Random, troubles: Sequence[str], start: datetime, days: int) -> "Weather":
        """Troubles for so many days, with good times between them."""
        at = start
        episodes: list[Episode] = []
        while True:
            at += timedelta(seconds=random.expovariate(1 / (3 * DAY)))
            longest = LONG if random.random() < 1 / 20 else random.choice(DURATIONS)
            until = at + timedelta(seconds=random.uniform(longest / 2, longest))
            if until > start + timedelta(days=days):
                return cls(episodes)
            episodes.append(Episode(random.choice(troubles), at, until))
            at = until
