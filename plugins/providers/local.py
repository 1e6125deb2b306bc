"""The provider in this process: the trunk of the loaded base itself, over the same tensors as the caller's tail.

Torch is imported by the functions that compute, so that looking at the plugins does not load it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...engine.base.provider import Provider, Session, States
from ...engine.base.supply import ProviderKind
from ...engine.host.hooks import hookimpl
from ...schemas.cards import BaseCard
from ...schemas.errors import PromptTooLong, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine.base.halves import Trunk
    from ...engine.base.library import LoadedBase


@hookimpl
def nightschool_providers() -> list[ProviderKind]:
    """Supply the local provider."""
    return [ProviderKind("local", LocalProvider)]


class LocalProvider:
    """States of a base in this process. The coroutines compute inline: they return without ever having waited."""

    def __init__(self, loaded: LoadedBase) -> None:
        self._loaded = loaded

    @property
    def base(self) -> BaseCard:
        """The card of the loaded base."""
        return self._loaded.card

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences, in the order of ``batch``; alike lengths are computed together.

        Raises:
            UsageError: If the base has no such cut, or a token is not in its vocabulary.
            PromptTooLong: If a sequence does not fit the context.
        """
        import torch

        from ...engine.base.halves import open_trunk

        for tokens in batch:
            _check(tokens, 0, self.base)
        trunk = open_trunk(self._loaded, cut)
        spoken = [index for index, tokens in enumerate(batch) if tokens]
        rows = trunk.sequences([batch[index] for index in spoken]) if spoken else []
        found = dict(zip(spoken, rows, strict=True))
        like = rows[0] if rows else torch.empty(0, device=trunk.device)
        return [States(0, found.get(index, like.new_empty(0, self.base.width))) for index in range(len(batch))]

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut.

        Raises:
            UsageError: If the base has no such cut.
        """
        from ...engine.base.halves import open_trunk

        return LocalSession(open_trunk(self._loaded, cut), self._loaded)


class LocalSession:
    """One conversation's key-value cache in the trunk, and the tokens it stands for."""

    def __init__(self, trunk: Trunk, loaded: LoadedBase) -> None:
        self._trunk = trunk
        self._card = loaded.card
        self._tokens: list[int] = []
        self._cache = trunk.new_cache()
        self._open = True

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return len(self._tokens)

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return their states.

        Raises:
            UsageError: If the session is closed or ``position`` lies beyond what it holds; nothing has changed.
            PromptTooLong: If the tokens do not fit the context; nothing has changed.
        """
        from ...engine.base.cache import crop

        if not self._open:
            raise UsageError("The session is closed; open another one.")
        if not 0 <= position <= self.length:
            raise UsageError(f"The session holds {self.length} tokens and cannot go on from {position}.")
        _check(tokens, position, self._card)
        again = 0
        if position < self.length and not crop(self._cache, position):
            # A sliding window has dropped what the tokens before ``position`` need: feed those once more.
            self._cache, again = self._trunk.new_cache(), position
        feed = self._tokens[position - again : position] + tokens
        del self._tokens[position:]
        try:
            rows = self._run(feed)
        except BaseException:
            # Some blocks have appended to the cache and some have not: an empty session is right, this one is not.
            self._cache, self._tokens = self._trunk.new_cache(), []
            raise
        self._tokens += tokens
        return States(position, rows[again:])

    def held(self) -> dict[str, Tensor]:
        """Return keys and values, where the trunk's cache can be kept."""
        from ...engine.base.lean.stream import LeanCache

        return self._cache.held() if isinstance(self._cache, LeanCache) else {}

    def restore(self, tokens: list[int], held: Mapping[str, Tensor]) -> None:
        """Go on from tokens whose keys and values were held; where nothing was, they are computed again."""
        from ...engine.base.lean.stream import LeanCache

        self._tokens = list(tokens)
        if not held:  # kept by a session elsewhere, which holds tokens alone
            self._cache = self._trunk.new_cache()
            self._run(self._tokens)
            return
        self._cache = LeanCache.of(self._cache.layers, len(tokens), held, self._trunk.device)

    async def close(self) -> None:
        """Free the cache. Closing twice is harmless."""
        self._open = False
        self._tokens = []
        self._cache = self._trunk.new_cache()

    def _run(self, tokens: list[int]) -> Tensor:
        import torch

        if not tokens:
            return torch.empty(0, self._card.width, device=self._trunk.device)
        return self._trunk.extend(torch.tensor([tokens], device=self._trunk.device), self._cache)[0]


def _check(tokens: Sequence[int], position: int, card: BaseCard) -> None:
    if position + len(tokens) > card.context:
        raise PromptTooLong(
            f"{position + len(tokens)} tokens do not fit the {card.context} that {card.name} can read at once; "
            "shorten the message or begin a new conversation."
        )
    if tokens and not (min(tokens) >= 0 and max(tokens) < card.vocabulary):
        raise UsageError(f"A token lies outside the {card.vocabulary} that {card.name} knows.")


_: type[Provider] = LocalProvider  # the type checker proves the contract here
