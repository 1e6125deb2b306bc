"""What is held for one conversation: the provider's session, the states it gave, and what the tail read of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...schemas.errors import RemoteError
from ..base.cache import crop
from ..base.halves import Cache, Tail
from ..base.provider import Keepable, LastRows, Provider, Session

CHUNK = 384  # tokens of a long prompt between two looks at whether it is still wanted


class Reading:
    """Tokens, their states and the tail's cache, which all cover the same positions.

    Attributes:
        session: Where states come from; it may hold more tokens, which the next call to it cuts off.
        voice: Name of the voice that ``cache`` was computed with; empty: the plain base.
        text: What ``tokens`` says; empty if not known.
        several: Whether guesses were read together with what they follow; such rows may be rounded otherwise.
        provider: That ``session`` is of; one whose settings changed is another, whatever its name.
        taken: Tokens that were read so far, those that were cut off again included.
    """

    def __init__(self, session: Session, tail: Tail) -> None:
        """Begin with nothing read."""
        self.session = session
        self.voice = ""
        self.tokens: list[int] = []
        self.states: list[Tensor] = []
        self.cache: Cache = tail.new_cache()
        self.text = ""
        self.several = False
        self.provider: Provider | None = None
        self.taken = 0
        self._tail = tail

    @property
    def last_only(self) -> bool:
        """Whether the tail has no blocks, so that no state or cache is of use after its row."""
        return isinstance(self.session, LastRows)

    async def extend(self, tokens: list[int], wanted: int | None = None) -> Tensor:
        """Append tokens and return their rows after the final norm, at least the last ``wanted``; None: all."""
        if isinstance(self.session, LastRows):
            count = len(tokens) if wanted is None else wanted
            return self.take(tokens, (await self.session.last(len(self.tokens), tokens, count)).rows)
        return self.take(tokens, (await self.session.extend(len(self.tokens), tokens)).rows)

    def take(self, tokens: Sequence[int], states: Tensor) -> Tensor:
        """Append tokens whose states ``(T, d)`` came and return their rows after the final norm, ``(T, d)``."""
        states = states.to(self._tail.device)
        cache = self._tail.new_cache() if self.last_only else self.cache
        hidden = self._tail.extend(states[None], cache)[0]
        self.tokens += tokens
        if not self.last_only:
            self.states.append(states)
        self.taken += len(tokens)
        return hidden

    async def move(self, provider: Provider, cut: int) -> None:
        """Go on at another provider of the same base, which reads the tokens; the states that are here stay.

        Raises:
            RemoteError: If it cannot be asked; nothing has changed.
        """
        session = provider.open(cut)
        if isinstance(session, Keepable):
            session.restore(list(self.tokens), {})
        elif self.tokens:
            await session.extend(0, list(self.tokens))
        before, self.session, self.provider = self.session, session, provider
        await let_go(before)

    def cut_back(self, length: int) -> None:
        """Forget the last tokens; the provider hears of it with the next ones."""
        surplus = len(self.tokens) - length
        if not surplus:
            return
        del self.tokens[length:]
        if self.last_only:
            return
        while surplus:
            last = self.states.pop()
            if len(last) > surplus:
                self.states.append(last[:-surplus])
            surplus -= min(surplus, len(last))
        if not crop(self.cache, length):
            self.read_again()

    def read_again(self) -> None:
        """Send all states through the tail once more, as after its adapter was changed."""
        self.cache = self._tail.new_cache()
        if self.states:
            rows = torch.cat(self.states)
            self.states = [rows]
            for start in range(0, len(rows), CHUNK):
                self._tail.extend(rows[None, start : start + CHUNK], self.cache)


async def let_go(session: Session) -> None:
    """Close a session that is not needed any more; that it cannot be told so is no failure."""
    try:
        await session.close()
    except RemoteError:
        return
