"""What a trainer is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.halves import Tail
from ..slots.adapter import Adapter
from .recipe import Recipe
from .targets import Prepared

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .guards import Guard
    from .pairs import Pair


@dataclass(frozen=True)
class TrainingTask:
    """One training run.

    Attributes:
        tail: Plain; the trainer attaches its adapter and leaves the tail plain again.
        start: The adapter to go on from; None: from nothing.
        examples: With states and the base's expectations.
        projections: Which projections of each block may learn.
        recipe: The numbers.
        pairs: What the rules want instead of what was said; only for a trainer that :class:`LearnsFromPairs`.
        guards: Requests whose replies must stay as likely to begin with a refusal; empty: none are held.
        held: Prose that is never trained on nor checked on, for ending a pass early; as ``pairs``.
        checkpoint: Where a trainer may keep what it knows now and then, and finds it after a crash; None: nowhere.
    """

    tail: Tail
    start: Adapter | None
    examples: Sequence[Prepared]
    projections: tuple[str, ...]
    recipe: Recipe
    pairs: Sequence[Pair] = ()
    guards: Sequence[Guard] = ()
    held: Sequence[Prepared] = ()
    checkpoint: Checkpoint | None = None
