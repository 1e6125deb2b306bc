"""The provider contract (DESIGN 3.1): anything that turns token ids into hidden states for one base.

A provider knows where the trunk is; it knows nothing of slots, adapters, sampling or text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ...schemas.cards import BaseCard

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class States:
    """Hidden states at the cut: the input of block L - cut (for cut 0: of the final norm).

    Attributes:
        position: Position of the first row in its sequence.
        rows: ``(T, d)``, the provider's dtype, on the CPU or the device of the tail.
    """

    position: int
    rows: torch.Tensor


class Session(Protocol):
    """One conversation's stream of states. Not thread-safe: one caller at a time."""

    @property
    def length(self) -> int:
        """Number of tokens the session holds."""
        ...

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate the session to ``position`` tokens, append ``tokens``, and return their states.

        Raises:
            UsageError: If ``position`` lies beyond what the session holds.
            PromptTooLong: If the session would outgrow the base's context.
        """
        ...

    async def close(self) -> None:
        """Free what the session holds. Closing twice is harmless."""
        ...


@runtime_checkable
class Keepable(Protocol):
    """A session may let itself be kept: what it holds, in tensors, for the same provider to open it with again."""

    def held(self) -> dict[str, torch.Tensor]:
        """Return what it holds beside its tokens; {}: nothing that could be kept."""
        ...

    def restore(self, tokens: list[int], held: Mapping[str, torch.Tensor]) -> None:
        """Hold, in place of nothing, these tokens and what was held with them."""
        ...


class Provider(Protocol):
    """Supplies states of one base, wherever its trunk runs."""

    @property
    def base(self) -> BaseCard:
        """What is served; checked by the probe before it is trusted."""
        ...

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences, one item per sequence, without a session (study and prefill)."""
        ...

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut.

        Raises:
            UsageError: If the provider does not offer this cut.
        """
        ...
