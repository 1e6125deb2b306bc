"""What two gates share: given endings of a text, is the right one as likely as before, and as often the likeliest?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.records import GateResult

if TYPE_CHECKING:
    from ...engine.study.figures import Choices
    from ...engine.study.recipe import Recipe


def kept(
    name: str, found: Choices, recipe: Recipe, *, most_rise: float, most_drop: float, loss: str, share: str
) -> list[GateResult]:
    """Return two results: the rise of the loss in nats, and the share that is right.

    Where chance alone may move the loss by more than what is allowed, it may rise as far as that: in a spelling of
    which the base knows little, endings lie close.

    Args:
        name: Of the gate; the first result is its ``_loss``.
        found: What was measured.
        recipe: For the chance that is allowed for.
        most_rise: Nats.
        most_drop: Of the share, beyond what may be chance.
        loss: What it is of, as the beginning of a sentence.
        share: Likewise.
    """
    rise, least = found.rise, found.before - most_drop - recipe.chance * found.error
    most_rise = max(most_rise, recipe.chance * rise.error)
    return [
        GateResult(
            name=f"{name}_loss",
            passed=rise.value <= most_rise,
            value=rise.value,
            limit=most_rise,
            text=f"{loss} rose by {rise.value:.3f} nats (± {rise.error:.3f}), {most_rise:.3f} allowed.",
        ),
        GateResult(
            name=name,
            passed=found.after >= least,
            value=found.after,
            limit=least,
            text=f"{share}: {found.after:.1%}, {found.before:.1%} by the base; {least:.1%} would do.",
        ),
    ]
