"""What the emulator does again and again, beside its requests."""

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger("emulator")


def every(seconds: float, *acts: Callable[[float], None]) -> None:
    """Calls each of these with the time (epoch seconds), one after the other, for as long as the process lives."""

    def go_on() -> None:
        while True:
            now = time.time()
            for act in acts:
                try:
                    act(now)
                except RuntimeError as fault:
                    # The requests change MiniStack's dictionaries meanwhile; the next look will see them whole.
                    _log.debug("%s: %s", act.__module__, fault)
                except Exception:  # noqa: BLE001 - it is logged, and the next look may go well
                    _log.exception("%s failed", act.__module__)
            time.sleep(seconds)

    threading.Thread(target=go_on, daemon=True, name="every").start()
