"""The two halves of a base as the rest of the engine sees them, and which kind of halves a base gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .cut import check_range, split
from .lean.halves import FAMILIES as LEAN
from .lean.halves import LeanTail, LeanTrunk

if TYPE_CHECKING:
    from torch import Tensor

    from .library import LoadedBase
    from .lora import Lora, Place

Cache = Any
"""What one stream has seen, as keys and values; crop it with ``cache.crop``."""


class ManyRows(Protocol):
    """What many streams of different lengths have seen."""

    def move(self, source: int, target: int) -> None:
        """Let one row take the place of another."""
        ...


class Trunk(Protocol):
    """Embeddings and the lower blocks: from token ids to states. Never differentiated."""

    def sequences(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the states ``(T, d)`` of whole sequences, none of them empty."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache for :meth:`extend`."""
        ...

    def extend(self, ids: Tensor, cache: Cache) -> Tensor:
        """Append tokens ``(1, T)`` to what ``cache`` holds and return their states ``(1, T, d)``."""
        ...

    def new_rows(self, count: int, room: int) -> Any:
        """Return empty streams of at most ``room`` tokens for :meth:`fill` and :meth:`step`."""
        ...

    def fill(self, rows: Any, numbers: Sequence[int], batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Begin the rows of these numbers anew with whole sequences and return their states ``(T, d)``."""
        ...

    def step(self, rows: Any, tokens: Tensor) -> Tensor:
        """Append one token to each of the first ``(n,)`` rows and return their states ``(n, d)``."""
        ...


class Tail(Protocol):
    """The upper blocks, final norm and head: from states to logits. Carries the LoRA."""

    first_layer: int

    def shapes(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of every projection that can carry an update."""
        ...

    def carry(self, loras: Mapping[Place, Lora]) -> None:
        """Speak with these updates, in place of those before."""
        ...

    def sequences(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """Return rows after the final norm, ``(T, d)``, for states ``(T, d)`` of whole sequences. Differentiable."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache for :meth:`extend`."""
        ...

    def extend(self, states: Tensor, cache: Cache) -> Tensor:
        """Append states ``(1, T, d)`` and return their rows after the final norm, ``(1, T, d)``."""
        ...

    def new_rows(self, count: int, room: int) -> Any:
        """Return empty streams of at most ``room`` tokens for :meth:`fill` and :meth:`step`."""
        ...

    def fill(self, rows: Any, numbers: Sequence[int], batch: Sequence[Tensor]) -> list[Tensor]:
        """Begin the rows of these numbers anew with the states of whole sequences; return rows as ``sequences``."""
        ...

    def step(self, rows: Any, states: Tensor) -> Tensor:
        """Append one state to each of the first rows, ``(n, d)``, and return their rows after the final norm."""
        ...

    def head(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., V)`` of rows ``(..., d)`` after the final norm. Differentiable."""
        ...


def is_lean(base: LoadedBase) -> bool:
    """Whether the lean halves are for this base: a family they are proven on, with the activation they compute."""
    config: Any = base.model.config
    return base.card.family in LEAN and config.hidden_act == "silu"


def open_trunk(base: LoadedBase, cut: int) -> Trunk:
    """Return the trunk of a base, the same one for all who ask.

    Raises:
        UsageError: If the base has no such cut.
    """
    check_range(cut, base.card.layers)
    name = f"trunk {cut}"
    if name not in base.halves:
        lean = is_lean(base)
        base.halves[name] = LeanTrunk(base.model, cut, base.numbers) if lean else split(base.model, cut)[0]
    trunk: Trunk = base.halves[name]
    return trunk


def open_tail(base: LoadedBase, cut: int) -> Tail:
    """Return a tail of a base, with a voice of its own; to be differentiated the base's numbers must be dense.

    Raises:
        UsageError: If the base has no such cut.
    """
    check_range(cut, base.card.layers)
    return LeanTail(base.model, cut, base.numbers) if is_lean(base) else split(base.model, cut)[1]
