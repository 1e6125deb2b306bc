"""What a reply cost on the way to its provider and back, in numbers that a line on the screen can show."""

from __future__ import annotations

from dataclasses import dataclass

from ...schemas.providers import TrafficFacts


@dataclass
class Traffic:
    """Counts of one reply.

    Attributes:
        round_trips: Times that states were asked for and waited for, the prompt's included.
        tokens: Tokens that were said or drawn to end a reply.
        guessed: Guesses of the provider that were compared with what was drawn.
        agreed: How many of them were the same.
        drafted: Guesses of our own that were read along.
        wasted: States that came and were of no use: what followed a wrong guess.
        near_ties: Draws between tokens so close that rows computed one at a time might have decided otherwise.
        failures: Streams that broke off and were taken up again.
        read: Round trips of the prompt alone, the one that gave the first token's row included.
        moved: Bytes that went either way after the prompt, where the provider counts them.
        seconds: From the first token on.
    """

    round_trips: int = 0
    tokens: int = 0
    guessed: int = 0
    agreed: int = 0
    drafted: int = 0
    wasted: int = 0
    near_ties: int = 0
    failures: int = 0
    read: int = 0
    moved: int = 0
    seconds: float = 0.0

    @property
    def saved(self) -> int:
        """Round trips that guesses spared: each token after the first would have been waited for."""
        return max(0, self.tokens - 1 - (self.round_trips - self.read))

    @property
    def agreement(self) -> float:
        """Share of the provider's guesses that came true; 0 where there were none."""
        return self.agreed / self.guessed if self.guessed else 0.0

    @property
    def round_trips_per_100_tokens(self) -> float:
        """100 where each token is waited for; 0 where nothing was said."""
        return 100 * self.round_trips / self.tokens if self.tokens else 0.0

    def facts(self, provider: str) -> TrafficFacts:
        """Return what a screen shows of it."""
        return TrafficFacts(
            provider=provider,
            tokens=self.tokens,
            tokens_per_second=self.tokens / self.seconds if self.seconds else 0.0,
            bytes_per_token=self.moved / self.tokens if self.tokens else 0.0,
            agreement=self.agreement if self.guessed else None,
            round_trips=self.round_trips,
            saved=self.saved,
        )
