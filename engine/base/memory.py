"""How much memory a base takes, and whether this machine has it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from ...schemas.models import Fit

_BYTES_AT_4_BITS = 0.6
"""Of one parameter: half a byte, and the scales of its group."""
_BESIDES = 1_000_000_000
"""What the engine takes whatever the base: Python, PyTorch, tokenizer, caches of a conversation."""
_ON_A_DEVICE = 1_000_000_000
"""What computing on a device takes there beside the weights: its library's own, and the caches of conversations."""
_OTHERS = 2_000_000_000
"""What the system and other programs should keep."""


class Sized(Protocol):
    """What can be compared by its size."""

    @property
    def parameters(self) -> int:
        """Of the whole base."""
        ...

    @property
    def head(self) -> int:
        """Those of the head."""
        ...


S = TypeVar("S", bound=Sized)


def at_4_bits(parameters: int, head: int) -> int:
    """Return the bytes of a base whose matrices are kept in 4 bits and whose head is kept in 8."""
    return round(_BYTES_AT_4_BITS * parameters) + head


def on_a_device(parameters: int, head: int) -> int:
    """Return the bytes of a device that a chat takes: dense matrices in 16 bits, and the table of embeddings."""
    return 2 * (parameters + head) + _ON_A_DEVICE


def studying_on_a_device(parameters: int, head: int) -> int:
    """Return the bytes of a device that a study takes, in a process of its own: as a chat, and half as much again.

    That is for what a step remembers of the tail, the states of all examples, and tables of the whole vocabulary.
    """
    return 3 * (parameters + head) + 2 * _ON_A_DEVICE


def fit(memory: int, *, total: int, available: int) -> Fit:
    """Return whether a base of ``memory`` bytes fits a machine, with all sizes in bytes.

    Well: twice its weights, which a chat may take at its peak, leave the others theirs, and it fits beside what runs
    now. Not: it is larger than the machine.
    """
    if memory + _BESIDES > total:
        return Fit.NOT
    if 2 * memory + _BESIDES + _OTHERS <= total and memory + _BESIDES <= available:
        return Fit.WELL
    return Fit.TIGHTLY


def largest_that_fits(sizes: Iterable[S], fits: Callable[[int, int], Fit]) -> S | None:
    """Return the largest of those that fit well, None where none does; ``fits`` is given parameters and head."""
    fitting = [row for row in sizes if fits(row.parameters, row.head) is Fit.WELL]
    return max(fitting, key=lambda row: row.parameters, default=None)
