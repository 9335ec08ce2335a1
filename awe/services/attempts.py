"""Failed attempts to be let in, counted by address, so that nobody can try on and on."""

import threading

from cachetools import TTLCache

from awe.errors import TooManyAttempts

ALLOWED = 10
"""Attempts that may fail before no more are looked at."""
MINUTES = 5
"""For so long, counted from the first one."""


class Attempts:
    """Counts what failed, for each address it came from, in this process."""

    def __init__(self, allowed: int = ALLOWED, minutes: float = MINUTES) -> None:
        self._allowed, self._minutes = allowed, minutes
        self._failed: TTLCache[str, list[int]] = TTLCache(10_000, ttl=minutes * 60)
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Raise TooManyAttempts if too many failed from an address."""
        with self._lock:
            failed = self._failed.get(address, [0])[0]
        if failed >= self._allowed:
            raise TooManyAttempts(
                f"{failed} attempts to sign in failed from this address: wait {self._minutes:g} minutes"
            )

    def failed(self, address: str) -> None:
        """Note that an attempt failed."""
        with self._lock:
            count = self._failed.get(address)
            if count is None:
                self._failed[address] = count = [0]
            count[0] += 1  # not stored anew, which would begin the time again

    def forget(self, address: str) -> None:
        """Note that somebody from an address is known."""
        with self._lock:
            self._failed.pop(address, None)
