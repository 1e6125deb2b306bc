"""The provider in this process: the trunk of the loaded base itself, over the same tensors as the caller's tail.

Torch is imported by the functions that compute, so that looking at the plugins does not load it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...engine.base.provider import Provider, Session, States
from ...engine.base.supply import ProviderKind
from ...engine.host.hooks import hookimpl
from ...schemas.cards import BaseCard
from ...schemas.errors import PromptTooLong, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...engine.base.cut import Trunk
    from ...engine.base.library import LoadedBase

_BATCH_TOKENS = 4096  # padded tokens in one forward pass: enough to fill the cores, little memory


@hookimpl
def nightschool_providers() -> list[ProviderKind]:
    """Supply the local provider."""
    return [ProviderKind("local", LocalProvider)]


class LocalProvider:
    """States of a base in this process. The coroutines compute inline: they return without ever having waited."""

    def __init__(self, loaded: LoadedBase) -> None:
        self._loaded = loaded
        self._trunks: dict[int, Trunk] = {}

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

        for tokens in batch:
            _check(tokens, 0, self.base)
        trunk = self._trunk(cut)
        device = self._loaded.model.device
        found: list[States | None] = [None] * len(batch)
        for group in _groups(batch):
            ids, mask = _pad([batch[index] for index in group], device)
            rows = trunk.states(ids, mask)
            for row, index in enumerate(group):
                found[index] = States(0, rows[row, : len(batch[index])])
        empty = States(0, torch.empty(0, self.base.width, dtype=self._loaded.model.dtype, device=device))
        return [item or empty for item in found]

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut.

        Raises:
            UsageError: If the base has no such cut.
        """
        return LocalSession(self._trunk(cut), self.base)

    def _trunk(self, cut: int) -> Trunk:
        from ...engine.base.cut import split

        if cut not in self._trunks:
            self._trunks[cut], _ = split(self._loaded.model, cut)
        return self._trunks[cut]


class LocalSession:
    """One conversation's key-value cache in the trunk, and the tokens it stands for."""

    def __init__(self, trunk: Trunk, card: BaseCard) -> None:
        self._trunk = trunk
        self._card = card
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
        from ...engine.base.cut import crop

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

    async def close(self) -> None:
        """Free the cache. Closing twice is harmless."""
        self._open = False
        self._tokens = []
        self._cache = self._trunk.new_cache()

    def _run(self, tokens: list[int]) -> Tensor:
        import torch

        weight = self._trunk.decoder.embed_tokens.weight
        if not tokens:
            return torch.empty(0, weight.shape[1], dtype=weight.dtype, device=weight.device)
        return self._trunk.extend(torch.tensor([tokens], device=weight.device), self._cache)[0]


def _check(tokens: Sequence[int], position: int, card: BaseCard) -> None:
    if position + len(tokens) > card.context:
        raise PromptTooLong(
            f"{position + len(tokens)} tokens do not fit the {card.context} that {card.name} can read at once; "
            "shorten the message or begin a new conversation."
        )
    if tokens and not (min(tokens) >= 0 and max(tokens) < card.vocabulary):
        raise UsageError(f"A token lies outside the {card.vocabulary} that {card.name} knows.")


def _groups(batch: list[list[int]]) -> Iterator[list[int]]:
    """Give the numbers of non-empty sequences in groups of like length, shortest first, each small enough."""
    group: list[int] = []
    for index in sorted((i for i, tokens in enumerate(batch) if tokens), key=lambda i: len(batch[i])):
        if group and (len(group) + 1) * len(batch[index]) > _BATCH_TOKENS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _pad(sequences: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return ids ``(B, T)``, padded on the right, and their mask, None if nothing had to be padded."""
    import torch

    width = max(map(len, sequences))
    ids = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens in sequences], device=device)
    if all(len(tokens) == width for tokens in sequences):
        return ids, None
    return ids, torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in sequences], device=device)


_: type[Provider] = LocalProvider  # the type checker proves the contract here
