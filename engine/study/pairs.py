"""Preference pairs: a reply as the rules want it, and as it was said, compared only where the two differ.

User edits are near-identical pairs, on which the plain objectives can push both replies down (Razin et al., arXiv
2410.08847). So only changed tokens count, and of a run of them the first few, where the way is chosen; and the pairs
whose hidden rows point the same way in both replies are left out (their CHES score, per token).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import torch
from torch import Tensor

from ..base.halves import Tail
from ..base.provider import Provider
from .examples import Example
from .part import Part
from .recipe import Recipe
from .targets import Prepared, prepare_examples


@dataclass(frozen=True)
class Side:
    """One reply of a pair; of its targets only some count.

    Attributes:
        tokens: The ``T`` input tokens.
        states: ``(T, d)``, where the tail computes.
        rows: ``(m,)`` int64, numbers of the states that predict what counts.
        targets: ``(m,)`` int64, what counts.
        reference: ``(m,)`` fp32, log-probabilities of the targets by the plain base.
        removed: ``(m,)`` bool, which of them the other reply lacks or exchanges; the rest only follow an insertion.
    """

    tokens: list[int]
    states: Tensor
    rows: Tensor
    targets: Tensor
    reference: Tensor
    removed: Tensor


@dataclass(frozen=True)
class Pair:
    """What is preferred to what. ``ches``: how alike their hidden rows are, relative to the chosen ones' own."""

    chosen: Side
    rejected: Side
    weight: float
    ches: float


async def prepare_pairs(
    examples: Sequence[Example], provider: Provider, tail: Tail, cut: int, recipe: Recipe
) -> list[Pair]:
    """Return the pairs of examples whose reply the rules changed, without the most alike; the tail must be plain."""
    found = [cut_pair for example in examples if (cut_pair := _cut(example, recipe)) is not None]
    texts = [side for chosen, rejected, _ in found for side in (chosen, rejected)]
    prepared = await prepare_examples(texts, provider, tail, cut, recipe.taught_above)
    pairs = []
    for place, (example, _, (kept, lost)) in enumerate(found):
        chosen, rejected = prepared[2 * place], prepared[2 * place + 1]
        every = dict.fromkeys(kept, False)
        ches = _ches(chosen.expected[list(kept)], rejected.expected[list(lost)])
        pairs.append(Pair(_side(chosen, every), _side(rejected, lost), example.weight, ches))
    dropped = round(recipe.alike * len(pairs))
    return sorted(pairs, key=lambda pair: pair.ches)[: len(pairs) - dropped] if dropped else pairs


Places = dict[int, bool]
"""Numbers of targets that count, and of each whether it was removed."""


def spans(chosen: Sequence[int], rejected: Sequence[int], first: int) -> tuple[list[int], Places]:
    """Return which tokens of each reply count: the ``first`` ones of every run that differs.

    Where the one reply has nothing in a place, the next token counts: it is what was said there instead.
    """
    mine: list[int] = []
    theirs: Places = {}
    for kind, a, b, c, d in SequenceMatcher(None, rejected, chosen, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        theirs |= dict.fromkeys(range(a, min(max(b, a + 1), a + first, len(rejected))), kind != "insert")
        mine += range(c, min(max(d, c + 1), c + first, len(chosen)))
    return mine, theirs


def _cut(example: Example, recipe: Recipe) -> tuple[Example, Example, tuple[list[int], Places]] | None:
    """Return both replies of an example up to the last token that counts, and which count; None: not a pair."""
    chosen, rejected = example.tokens[example.start :], list(example.instead)
    mine, theirs = spans(chosen, rejected, recipe.span)
    mine, theirs = mine[: recipe.most_span], dict(list(theirs.items())[: recipe.most_span])
    if not mine or not theirs:
        return None  # the rules changed nothing, or left nothing to compare
    context = example.tokens[: example.start]
    sides = [context + chosen[: mine[-1] + 1], context + rejected[: max(theirs) + 1]]
    plain = [Example(Part.SPREAD, tokens, example.start) for tokens in sides]
    return replace(plain[0], weight=example.weight), plain[1], (mine, theirs)


def _side(example: Prepared, places: Places) -> Side:
    counted = torch.tensor(list(places))
    return Side(
        tokens=example.tokens,
        states=example.states,
        rows=counted + len(example.states) - len(example.targets),
        targets=example.targets[counted],
        reference=-example.surprise[counted],
        removed=torch.tensor(list(places.values())),
    )


def _ches(chosen: Tensor, rejected: Tensor) -> float:
    """Return <h+, h-> - |h+|^2 of the mean rows of both, relative to |h+|^2."""
    one, other = chosen.float().mean(dim=0), rejected.float().mean(dim=0)
    return float((one @ other) / (one @ one) - 1)
