"""How an engine is asked for final states and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """One request: the rows of ``tokens``, ``width`` numbers each.

    Attributes:
        model: What the engine calls the model; empty where its dialect does not say it.
        last: Whether the last row alone is wanted.
    """

    tokens: Sequence[int]
    width: int
    model: str = ""
    last: bool = False


@dataclass(frozen=True)
class Dialect:
    """What sets one engine apart from another.

    Attributes:
        name: The ``kind`` of a server in the settings.
        title: What people call it.
        path: Below the server's address.
        body: Gives the JSON of a request.
        most: Gives the most bytes that an answer to it can have.
        read: Gives the rows ``(n, width)`` of an answer: all, or the last ones. Raises ``BadFrame``.
        normed: Whether rows are expected to come after the final norm; the probe decides.
        gives_last: Whether it may give the last row alone where that is asked for.
        names_model: Whether requests must say what the engine calls the model.
        cannot: What it cannot do, in sentences.
        start: How it must be started, in a sentence.
    """

    name: str
    title: str
    path: str
    body: Callable[[Asked], dict[str, object]]
    most: Callable[[Asked], int]
    read: Callable[[bytes, Asked], Tensor]
    start: str
    normed: bool = True
    gives_last: bool = False
    names_model: bool = False
    cannot: tuple[str, ...] = ()


CANNOT = (
    "It gives final states alone (cut 0): a slot that has learned in blocks cannot speak there.",
    "What a slot learns that computes there goes into a head adapter, which reaches less than blocks do.",
    "It does not run ahead: every request that the reply waits for costs a round trip.",
    "It keeps no session: every request carries all tokens so far.",
    "It is not asked in studies, which need states below the blocks that learn.",
    "It says nothing of which weights it computes with: the probe alone tells.",
)
"""What no such engine can do."""
