"""The provider contract (DESIGN 3.1): anything that turns token ids into hidden states for one base.

A provider knows where the trunk is; it knows nothing of slots, adapters, sampling or text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ...schemas.cards import BaseCard
from ...schemas.messages import Sampling

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
class LastRows(Protocol):
    """A session of final states may give the last rows alone: with no blocks above, those before are of no use."""

    async def last(self, position: int, tokens: list[int], count: int) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return the last ``count`` rows of them, at least one.

        Raises:
            UsageError, PromptTooLong: As of ``extend``.
            RemoteError: If they cannot be had; nothing has changed.
        """
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


@dataclass(frozen=True)
class Guess:
    """How a provider guesses what comes next.

    Attributes:
        sampling: As the caller draws; whose maximum of tokens and seed do not count here.
        seed: Of the noise that both sides draw with (engine/chat/noise.py).
        ahead: Most tokens of its own that the provider puts behind those it was given.
        sent: What the caller guesses itself; read first, one at a time, as the provider's own guesses are.
    """

    sampling: Sampling
    seed: int
    ahead: int
    sent: tuple[int, ...] = ()


@dataclass(frozen=True)
class Frame:
    """States that a stream brings, in order and without gaps.

    Attributes:
        position: Position of the first row.
        tokens: What the rows stand for: the tokens that were given, then guessed ones.
        rows: ``(T, d)``, as of ``States``.
        guess: Which token the provider believes to follow; None: it will send no more.
    """

    position: int
    tokens: tuple[int, ...]
    rows: torch.Tensor
    guess: int | None


@runtime_checkable
class Streaming(Protocol):
    """A session may run ahead with tokens of its own guess, so that the caller need not wait for each one's states."""

    def stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Frame]:
        """Truncate to ``position`` tokens, append ``tokens``, at least one, and send their states; then run ahead.

        As long as the caller draws what was guessed it takes the next frame. Where it draws another token it asks for
        another stream, from that position on: the one before ends, what it guessed is forgotten. ``extend`` ends it
        likewise. Until then ``length`` counts what has come.

        Raises:
            UsageError, PromptTooLong: As of ``extend``.
            RemoteError: If the states cannot be had; those that came are right.
        """
        ...


async def end_stream(frames: AsyncIterator[Frame]) -> None:
    """Say that no more frames of a stream are wanted; the session is free for something else then."""
    close = getattr(frames, "aclose", None)  # a generator has it; another iterator has nothing to end
    if close is not None:
        await close()


@runtime_checkable
class Distant(Protocol):
    """A session may be far away: each call costs a round trip, so that it pays to ask for several tokens at once."""

    @property
    def distant(self) -> bool:
        """Whether it is."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A provider may count the bytes that go to it and come back."""

    @property
    def moved(self) -> int:
        """How many went either way so far."""
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
