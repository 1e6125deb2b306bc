"""How much a key may have."""

from __future__ import annotations

import time
from collections.abc import Callable

from pydantic import Field

from ....schemas.records import Record

MB = 1_000_000


class Allowance(Record):
    """The limits of one key; None: only those of the whole server."""

    sessions: int = Field(default=64, ge=1, description="Open at once; the one idle longest makes room.")
    step_tokens: int = Field(default=8192, ge=1, description="Tokens, and so rows, of one step.")
    capture_tokens: int = Field(default=32768, ge=0, description="Tokens of one capture; 0: none.")
    capture_sequences: int = Field(default=256, ge=0)
    tails: int = Field(default=4, ge=0, description="Files and tensors of the tail sent at once; 0: none.")
    cache_mb: int | None = Field(default=None, ge=1, description="Of the budget for keys and values.")
    tokens_a_second: float | None = Field(default=None, gt=0)

    @property
    def cache_bytes(self) -> int | None:
        """Bytes of keys and values; None: the whole budget."""
        return None if self.cache_mb is None else self.cache_mb * MB


class Meter:
    """Lets so many tokens a second pass, ten seconds' worth at once. A larger step is let in and paid off after it."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._clock = rate, clock
        self._left = (rate or 0.0) * _BURST
        self._at = clock()

    def wait(self) -> float:
        """Return the seconds until the next step may come; 0: now."""
        if self.rate is None:
            return 0.0
        now = self._clock()
        self._left = min(self.rate * _BURST, self._left + (now - self._at) * self.rate)
        self._at = now
        return max(0.0, -self._left / self.rate)

    def spend(self, tokens: int) -> None:
        """Count tokens that were let in."""
        self._left -= tokens


_BURST = 10.0  # seconds
