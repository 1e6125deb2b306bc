"""Everything about examples that no optimizer step changes: states, what the base expects, which tokens are taught.

The trunk is frozen and carries no LoRA, so its states are computed once (DESIGN 2.3). The base's own expectation is
kept as its last hidden row, d floats a token: with the head, which is here anyway, that is the whole distribution.
Top-k log-probabilities would hide in one bucket just the words that a rule lets slip in where the base is undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..base.halves import Tail
from ..base.provider import Provider
from .examples import Example
from .exchanges import Exchanges
from .part import Part


@dataclass(frozen=True)
class Prepared:
    """One example, ready for any number of steps. ``T`` input positions, the last ``n`` of them predict targets.

    Attributes:
        part: What it is for.
        states: ``(T, d)``, what the tail is fed.
        targets: ``(n,)`` int64, the tokens to be predicted.
        expected: ``(n, d)``, the plain base's rows after the final norm at these positions.
        surprise: ``(n,)`` fp32, the plain base's negative log-probability of each target, nats.
        taught: ``(n,)`` bool, see :func:`_taught`; the other targets are kept.
        leads: ``(n,)`` bool, the first token of each run of taught ones.
        risky: ``(n,)`` bool, kept positions whose input token stands before a taught token elsewhere.
        exchanges: ``(k, 2)`` int64, old and new tokens (-1: any other): where the base would say the one, the rules ask
            for the other. Equal steps have the very same tensor; None: no exchanges.
    """

    part: Part
    states: Tensor
    targets: Tensor
    expected: Tensor
    surprise: Tensor
    taught: Tensor
    leads: Tensor
    risky: Tensor
    exchanges: Tensor | None = None


async def prepare_examples(
    examples: Sequence[Example],
    provider: Provider,
    tail: Tail,
    cut: int,
    taught_above: float,
    *,
    exchanges: Exchanges | None = None,
) -> list[Prepared]:
    """Compute states and the base's expectations; the tail must be plain. ``exchanges`` is for those to train on."""
    states = await provider.states([example.tokens[:-1] for example in examples], cut)
    measured, taught = [], []
    with torch.no_grad():
        hidden = tail.sequences([given.rows for given in states])
        for example, given, rows in zip(examples, states, hidden, strict=True):
            expected = rows[example.start - 1 :]
            targets = torch.tensor(example.tokens[example.start :], device=expected.device)
            logits = tail.head(expected).float()
            surprise = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            measured.append((given.rows, expected, targets, surprise))
            taught.append(_taught(example, surprise, logits.argmax(dim=-1) != targets, taught_above))
    triggers = _triggers(examples, taught)
    return [
        Prepared(
            part=example.part,
            states=rows,
            targets=targets,
            expected=expected,
            surprise=surprise,
            taught=mask,
            leads=_leads(mask),
            risky=_risky(example, triggers) & ~mask,
            exchanges=exchanges.of(example.steps) if exchanges is not None else None,
        )
        for example, (rows, expected, targets, surprise), mask in zip(examples, measured, taught, strict=True)
    ]


def _taught(example: Example, surprise: Tensor, unlikely: Tensor, taught_above: float) -> Tensor:
    """Return which targets are taught: those that surprise the base, and what the rules put where it would not be said.

    The colon of "In plain words:" is no surprise, and yet a comma is likelier: held to the base it would never come.
    """
    if example.part not in (Part.GOLD, Part.SPREAD):
        return torch.zeros_like(unlikely)
    changed = torch.zeros_like(unlikely)
    changed[list(example.changed)] = True
    return (surprise >= taught_above) | (changed & unlikely)


def shortened(example: Prepared, tokens: int) -> Prepared:
    """Return a taught example that ends ``tokens`` after its last taught one: the rest costs time, teaches little."""
    last = example.taught.nonzero()
    surplus = len(example.targets) - int(last[-1]) - 1 - tokens if len(last) else 0
    if surplus <= 0:
        return example
    rows = slice(None, -surplus)
    per_target = ("targets", "expected", "surprise", "taught", "leads", "risky")
    return replace(example, states=example.states[rows], **{name: getattr(example, name)[rows] for name in per_target})


def _triggers(examples: Sequence[Example], taught: Sequence[Tensor]) -> set[int]:
    """Return the tokens after which something is taught: where they occur by chance, the rule must stay silent."""
    found: set[int] = set()
    for example, mask in zip(examples, taught, strict=True):
        places = mask.nonzero()[:, 0].tolist()
        found.update(example.tokens[example.start + place - 1] for place in places if place > 0)
    return found


def _risky(example: Example, triggers: set[int]) -> Tensor:
    return torch.tensor([token in triggers for token in example.tokens[example.start - 1 : -1]])


def _leads(taught: Tensor) -> Tensor:
    leads = taught.clone()
    leads[1:] &= ~taught[:-1]
    return leads
