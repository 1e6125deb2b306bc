"""Guessing on the server: what the plain tail would say, drawn with the client's noise, one token after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....schemas.hsp import Code, Noise, Stream
from ....schemas.messages import Sampling
from ...base.cache import crop
from .refused import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from ...base.halves import Cache, Tail


@dataclass(eq=False)
class RunningAhead:
    """A stream that is being answered. Whoever asks the session for something else stops it.

    ``is_stream``: else a step, which is not stopped.
    """

    is_stream: bool = True
    stopped: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """Let it end after what is being computed, and wait for that."""
        self.stopped = True
        await self.ended.wait()


@dataclass
class Read:
    """What a session's tail has read.

    Attributes:
        cache: Its keys and values.
        length: How many tokens of the session they are of.
    """

    cache: Cache
    length: int = 0


class Guesser:
    """The plain tails of a base, for the thread that computes: between the trunk's passes.

    Attributes:
        token_bytes: By cut: bytes of one token's keys and values in the tail.
    """

    def __init__(self, tails: dict[int, Tail], token_bytes: dict[int, int]) -> None:
        self._tails = tails
        self.token_bytes = token_bytes

    def begin(self, cut: int) -> Read:
        """Return a reading of nothing."""
        return Read(self._tails[cut].new_cache())

    def cut_back(self, cut: int, read: Read, length: int) -> None:
        """Forget what was read after the first tokens."""
        if read.length > length:
            if crop(read.cache, length):
                read.length = length
            else:  # a sliding window has dropped what would be needed: all is read again
                read.cache, read.length = self._tails[cut].new_cache(), 0

    def read(self, cut: int, read: Read, states: Tensor) -> Tensor:
        """Read states ``(n, d)`` that were not read yet; return what the head is given after the last, ``(d,)``."""
        import torch

        tail = self._tails[cut]
        with torch.inference_mode():
            hidden = tail.extend(states[None].to(tail.device), read.cache)[0, -1]
        read.length += len(states)
        return hidden

    def guess(self, cut: int, read: Read, states: Tensor, tokens: Sequence[int], noise: Noise) -> int:
        """Read the last states that were not read yet and return the token to follow. ``tokens``: all that are held."""
        import torch

        from ...chat.sampler import Sampler

        hidden = self.read(cut, read, states)
        with torch.inference_mode():
            return Sampler(sampling_of(noise)).choose(self._tails[cut].ranked(hidden), list(tokens))


def sampling_of(noise: Noise) -> Sampling:
    """Return what a request draws with."""
    return Sampling(
        temperature=min(noise.temperature, 5.0),
        top_k=noise.top_k,
        top_p=noise.top_p,
        min_p=noise.min_p,
        repetition_penalty=min(noise.repetition, 10.0),
        seed=noise.seed,
    )


def parted(asked: Stream, tokens: list[int]) -> tuple[list[int], list[int]]:
    """Return the tokens of a stream that the client is sure of, and those that it guesses to follow.

    Raises:
        Refused: If it is sure of none.
    """
    sure = len(tokens) - asked.guessed
    if sure < 1:
        raise Refused(Code.BAD_REQUEST, "A stream begins with at least one token that is not guessed.")
    return tokens[:sure], tokens[sure:]


def guesses_of(asked: Stream, length: int, context: int) -> int:
    """Return how many guesses a stream that holds ``length`` tokens may have."""
    return max(0, min(asked.ahead, asked.most, context - length))
