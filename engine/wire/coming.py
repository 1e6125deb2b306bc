"""What a stream brings, read as it comes whether or not anybody still wants it, so that its connection stays of use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...schemas.cards import BaseCard
from ...schemas.errors import BadFrame, NightSchoolError
from ...schemas.hsp import Noise, Stream
from ..base.provider import Frame, Guess
from .answers import Asked
from .client import Client
from .patience import Patience
from .prefix import Prefix
from .rows import Writing

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 8  # guesses that are handed on together


@dataclass
class Line:
    """What all sessions of one provider share. How rows are written may be settled when it is first asked."""

    card: BaseCard
    client: Client
    writing: Writing
    patience: Patience


class Coming:
    """A stream that was asked for. Whoever stops taking frames leaves the rest to be read and dropped.

    The server ends it when the session is asked for something else, at the latest with the last guess.
    """

    def __init__(self, line: Line, name: str, after: Prefix, position: int, *, number: int, guess: Guess) -> None:
        """Ask.

        Args:
            line: To whom.
            name: Of the session.
            after: Its history with the tokens that are given and those guessed here, which stand from ``position`` on.
            position: Of the first of these.
            number: Of the step.
            guess: What is guessed with.
        """
        self._position = position
        self._come: asyncio.Queue[tuple[Tensor, int | None] | None] = asyncio.Queue()
        self._error: NightSchoolError | None = None
        self._wanted = True
        sampling = guess.sampling
        noise = Noise(
            seed=guess.seed,
            temperature=sampling.temperature or 0.0,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition=sampling.repetition_penalty,
        )
        stream = Stream(
            step=number,
            hash=after.hash(position),
            first=position,
            ahead=guess.ahead,
            most=guess.ahead,
            ends=list(line.card.end_of_turn)[:64],
            guessed=len(guess.sent),
            noise=noise,
        )
        asked = Asked(line.card.width, line.writing, lambda sequence, rows: None)
        self.task = asyncio.ensure_future(self._read(line.client, name, stream, after, asked))

    async def frames(self, given: list[int]) -> AsyncGenerator[Frame]:
        """Give what comes: the rows of ``given``, then those of guesses.

        Raises:
            RemoteError: If it breaks off.
        """
        position, expected = self._position, list(given)
        try:
            while (first := await self._come.get()) is not None:
                parts, guess = [first[0]], first[1]
                tokens = self._tokens(expected, len(first[0]))
                while guess is not None and len(tokens) < _AT_ONCE and not self._come.empty():
                    more = self._come.get_nowait()
                    if more is None:
                        self._come.put_nowait(None)
                        break
                    tokens.append(guess)
                    parts, guess = [*parts, more[0]], more[1]
                if guess is not None:
                    expected.append(guess)
                yield Frame(position, tuple(tokens), _joined(parts), guess)
                position += len(tokens)
            if self._error is not None:
                raise self._error
        finally:
            self._wanted = False

    def _tokens(self, expected: list[int], count: int) -> list[int]:
        if count > len(expected):
            raise BadFrame("The server sent states of tokens that nobody named; do not use it.")
        tokens = expected[:count]
        del expected[:count]
        return tokens

    async def _read(self, client: Client, name: str, stream: Stream, after: Prefix, asked: Asked) -> None:
        def take(rows: Tensor, guess: int | None) -> None:
            if self._wanted:
                self._come.put_nowait((rows, guess))

        try:
            await client.stream(name, stream, after, self._position, asked, take=take)
        except NightSchoolError as error:
            self._error = error
        finally:
            self._come.put_nowait(None)


def _joined(parts: list[Tensor]) -> Tensor:
    import torch

    return parts[0] if len(parts) == 1 else torch.cat(parts)
