"""The heart of a reply: a token is drawn from the row after the one before, and its own row is got for the next."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from torch import Tensor

from ..base.halves import Tail
from .next_rows import NextRows
from .reading import Reading
from .sampler import Sampler
from .traffic import Traffic


@dataclass(frozen=True)
class Drawing:
    """What draws the tokens of one reply.

    Attributes:
        rows: Gets the row after each.
        reading: What ``rows`` reads into.
        tail: From rows to logits.
        sampler: From logits to a token.
        traffic: Where it is counted.
        near: Margin in nats below which a draw counts as a near tie.
    """

    rows: NextRows
    reading: Reading
    tail: Tail
    sampler: Sampler
    traffic: Traffic
    near: float = 0.0

    async def tokens(self, hidden: Tensor, room: int) -> AsyncGenerator[int, None]:
        """Give at most ``room`` tokens; who takes one that ends the reply stops there. Guesses may stay in the reading.

        Args:
            hidden: ``(1 + guessed, d)``, what ``rows.begin`` returned.
            room: Most tokens of the reply.

        Raises:
            RemoteError: If the provider is lost and cannot be had again.
        """
        rows, reading = self.rows, self.reading
        said, right = len(reading.tokens) - len(rows.guessed), 0  # how many of the guessed tokens came true
        for left in range(room - 1, -1, -1):
            token = self.sampler.choose(self.tail.ranked(hidden[right]), reading.tokens[:said])
            self.traffic.tokens += 1
            self.traffic.near_ties += reading.several and self.sampler.margin < self.near
            yield token
            said += 1
            rows.said(token)
            if right < len(rows.guessed) and rows.guessed[right] == token:
                right += 1
                continue
            hidden, right = await rows.after(token, right, left - 1), 0
