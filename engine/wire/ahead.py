"""The guessing side of optimistic streaming: a session that goes on by itself with what the plain base would say.

The caller's next token needs an adapter that is not here. Where the plain base, with the same noise, says the same, the
caller has the next state without having asked for it; where not, it asks again from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..base.cache import crop
from ..base.provider import Frame, Guess, Session, States

if TYPE_CHECKING:
    from torch import Tensor

    from ...schemas.cards import BaseCard
    from ..base.halves import Tail


class RunsAhead:
    """A session in this process that also streams.

    Attributes:
        computed: Rows that were computed by guess, also those that nobody took, for benchmarks and tests.
    """

    def __init__(self, session: Session, tail: Tail, card: BaseCard) -> None:
        """Wrap an empty session.

        Args:
            session: The trunk's side.
            tail: The plain tail of the same cut, without updates; several sessions may share it.
            card: Tells the context, and which tokens end a turn.
        """
        self._session, self._tail = session, tail
        self._context, self._ends = card.context, frozenset(card.end_of_turn)
        self._tokens: list[int] = []
        self._cache = tail.new_cache()
        self._waiting: list[Tensor] = []  # rows that the tail has not read: it reads them when a guess is wanted
        self.computed = 0

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return self._session.length

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate, append, and return the states, as any session does."""
        states = await self._session.extend(position, tokens)
        unread = states.rows
        if not self._cut_back(position):
            # A sliding window of the tail has dropped what it would need: it reads all once more.
            unread = (await self._session.extend(0, self._tokens[:position] + tokens)).rows
            self._cache, self._waiting = self._tail.new_cache(), []
        self._tokens[position:] = tokens
        if len(unread):
            self._waiting.append(unread)
        return states

    async def stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Frame]:
        """Send the states of ``tokens``, then those of the caller's guesses, then of as many as are wanted."""
        from ..chat.sampler import Sampler

        sampler = Sampler(guess.sampling.model_copy(update={"seed": guess.seed}))
        sent = list(guess.sent)
        for left in range(len(sent) + guess.ahead, -1, -1):
            rows = (await self.extend(position, tokens)).rows
            token = None
            if left > 0 and self.length < self._context:
                token = sent.pop(0) if sent else sampler.choose(self._logits(), self._tokens)
            yield Frame(position, tuple(tokens), rows, token)
            if token is None or token in self._ends:
                return
            position, tokens = position + len(tokens), [token]
            self.computed += 1

    async def close(self) -> None:
        """Free what is held."""
        await self._session.close()
        self._tokens, self._waiting = [], []
        self._cache = self._tail.new_cache()

    def _logits(self) -> Tensor:
        """Return logits ``(V,)`` after the last token; the tail has read all rows then."""
        import torch

        with torch.no_grad():
            rows = torch.cat(self._waiting).to(self._tail.device)
            self._waiting = []
            return self._tail.ranked(self._tail.extend(rows[None], self._cache)[0, -1])

    def _cut_back(self, length: int) -> bool:
        """Forget the last rows, those first that the tail has not read; False if it cannot forget as many."""
        surplus = len(self._tokens) - length
        while surplus > 0 and self._waiting:
            last = self._waiting.pop()
            if len(last) > surplus:
                self._waiting.append(last[:-surplus])
            surplus -= min(surplus, len(last))
        return surplus <= 0 or crop(self._cache, length)
