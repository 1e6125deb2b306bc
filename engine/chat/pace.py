"""How far a provider shall run ahead, and whether it shall at all: learned from what came true and what took how long.

A run that ends at its bound costs a round trip for nothing; one that goes on past a wrong guess costs the provider work
for nothing, but only until it hears of it. So the bound, which matters where it never hears, is where hardly any run
would come to: as many guesses as come true with a chance of 1 in 250.
Where a round trip takes no longer than a step it may be quicker to ask for each token; that is tried now and then, and
what took less a token is gone on with.
"""

from __future__ import annotations

import math

_RARE = 0.004  # chance with which a run may reach its bound
_LEAST, _MOST = 2, 64  # guesses of one run
_FIRST_RATE, _WEIGHT = 0.85, 8.0  # what is believed of the agreement before anything is known, and as how many guesses
_FORGET = 0.98  # weight of a guess, each guess later
_TRIAL = 8  # tokens of a trial
_AGAIN = 192  # tokens between two trials
_NEAR = 4.0  # a correction that takes longer than this many steps is never worth asking each token for
_SMOOTH = 0.2  # weight of the latest time


class Pace:
    """Learns from guesses and times. One for all replies through one provider.

    Args:
        streams: Whether the provider may run ahead, where it can.
        drafts: Whether guesses of our own may be read along, where no provider runs ahead; None: where that pays.
    """

    def __init__(self, *, streams: bool = True, drafts: bool | None = None) -> None:
        self.streams, self.drafts = streams, drafts
        self._right, self._judged = _FIRST_RATE * _WEIGHT, _WEIGHT
        self._run: float | None = None  # seconds of a token that was guessed
        self._turn: float | None = None  # seconds of one that was not
        self._step: float | None = None  # seconds of one that was asked for alone
        self._streamed = False  # whether the last token was of a stream
        self._trial = 0  # tokens to the end of a trial
        self._trying = True  # whether it tries to stream
        self._rest = 2 * _TRIAL  # tokens to the next trial

    @property
    def agreement(self) -> float:
        """Share of guesses that come true, the latest weighing most."""
        return self._right / self._judged

    def ahead(self, room: int) -> int:
        """Return how many guesses the provider shall send at most, of ``room`` that could be used."""
        wanted = math.log(_RARE) / math.log(min(0.999, max(0.05, self.agreement)))
        return max(0, min(room, _MOST, max(_LEAST, math.ceil(wanted))))

    def judge(self, right: bool) -> None:
        """Learn whether a guess came true."""
        self._right = self._right * _FORGET + right
        self._judged = self._judged * _FORGET + 1

    def streams_next(self) -> bool:
        """Whether the next token that must be asked for shall be followed by guesses."""
        if not self.streams:
            return False
        return self._trying if self._trial else not self._stepping()

    def took(self, seconds: float, *, streamed: bool, agreed: bool) -> None:
        """Learn what a token took, from its choice to its row after the tail.

        Args:
            seconds: What it took.
            streamed: Whether the provider ran ahead.
            agreed: Whether it had guessed this token.
        """
        if agreed:
            self._run = _mean(self._run, seconds)
        elif streamed:
            self._turn = _mean(self._turn, seconds)
        elif not self._streamed:  # the first one also waits for the stream to end
            self._step = _mean(self._step, seconds)
        self._streamed = streamed
        if self._trial:
            self._trial -= streamed is self._trying  # a stream that runs is not broken off for it
        elif self._rest:
            self._rest -= 1
        elif self._could_step():
            self._trial, self._rest, self._trying = _TRIAL, _AGAIN, self._stepping()

    def _could_step(self) -> bool:
        return self._run is not None and self._turn is not None and self._turn < _NEAR * self._run

    def _stepping(self) -> bool:
        """Whether asking for each token was found to be quicker."""
        if self._step is None or self._run is None or self._turn is None:
            return False
        streamed = self.agreement * self._run + (1 - self.agreement) * self._turn
        return self._step < streamed


def _mean(before: float | None, now: float) -> float:
    return now if before is None else before + _SMOOTH * (now - before)
