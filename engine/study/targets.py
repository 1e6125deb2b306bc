"""Everything about examples that no optimizer step changes: states, what the base expects, which tokens are taught.

The trunk is frozen and carries no LoRA, so its states are computed once (DESIGN 2.3). The base's own expectation is
kept as its last hidden row, d floats a token: with the head, which is here anyway, that is the whole distribution.
Top-k log-probabilities would hide in one bucket just the words that a rule lets slip in where the base is undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.halves import Tail
from ..base.provider import Provider
from .examples import Example
from .exchanges import Exchanges
from .part import Part
from .states_cache import in_16_bits

HEAD_ROWS = 64
"""Rows that pass the head at once: few are slow a row, many take memory (13 MB of logits for 49,000 words)."""


@dataclass(frozen=True)
class Prepared:
    """One example, ready for any number of steps. ``T`` input positions, the last ``n`` of them predict targets.

    ``states``, ``expected`` and ``exchanges`` lie where the tail computes. All else is small and on the CPU, where what
    a step looks at is decided.

    Attributes:
        part: What it is for.
        tokens: The ``T`` input tokens.
        states: ``(T, d)``, what the tail is fed; in 16 bits.
        targets: ``(n,)`` int64, the tokens to be predicted.
        expected: ``(n, d)``, the plain base's rows after the final norm at these positions, as the head takes them.
        surprise: ``(n,)`` fp32, the plain base's negative log-probability of each target, nats.
        taught: ``(n,)`` bool, see :func:`_taught`; the other targets are kept.
        leads: ``(n,)`` bool, the first token of each run of taught ones.
        risky: ``(n,)`` bool, kept positions whose input token stands before a taught token elsewhere.
        exchanges: ``(k, 2)`` int64, old and new tokens (-1: any other): where the base would say the one, the rules ask
            for the other. Equal steps have the very same tensor; None: no exchanges.
        weight: How much what is taught counts.
        opened: Whether the rules put words before the reply.
    """

    part: Part
    tokens: list[int]
    states: Tensor
    targets: Tensor
    expected: Tensor
    surprise: Tensor
    taught: Tensor
    leads: Tensor
    risky: Tensor
    exchanges: Tensor | None = None
    weight: float = 1.0
    opened: bool = False


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
    if not examples:
        return []
    tokens = [example.tokens[:-1] for example in examples]
    states = await provider.states(tokens, cut)
    with torch.no_grad():
        fed = [in_16_bits(given.rows).to(tail.device) for given in states]  # what is learned and measured starts there
        hidden = tail.sequences(fed, tokens)
        expected = [rows[example.start - 1 :] for example, rows in zip(examples, hidden, strict=True)]
        targets = [torch.tensor(example.tokens[example.start :]) for example in examples]
        surprises, unlikely = _judged(tail, expected, targets)
        taken = tail.head(expected[0][:1]).dtype
    taught = [
        _taught(example, surprise, other, taught_above)
        for example, surprise, other in zip(examples, surprises, unlikely, strict=True)
    ]
    triggers = _triggers(examples, taught)
    return [
        Prepared(
            part=example.part,
            tokens=example.tokens[:-1],
            states=rows,
            targets=wanted,
            expected=wanted_rows.to(taken, copy=True),  # a part of rows that need not stay
            surprise=surprise,
            taught=mask,
            leads=_leads(mask),
            risky=_risky(example, triggers) & ~mask,
            exchanges=exchanges.of(example.steps) if exchanges is not None else None,
            weight=example.weight,
            opened=example.opened,
        )
        for example, rows, wanted, wanted_rows, surprise, mask in zip(
            examples, fed, targets, expected, surprises, taught, strict=True
        )
    ]


def _judged(tail: Tail, rows: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return for each example the negative log-probabilities of its targets, and which are not the likeliest.

    Both, like the targets, on the CPU.
    """
    lengths = [len(some) for some in targets]
    surprises, unlikely = [], []
    # Examples alone are too few rows for the head to be quick, and all at once too many for the memory.
    parts = (torch.split(torch.cat(list(some)), HEAD_ROWS) for some in (rows, targets))
    for part, wanted in zip(*parts, strict=True):
        logits, wanted = tail.ranked(part), wanted.to(tail.device)
        surprises.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
        unlikely.append(logits.argmax(dim=-1) != wanted)
    return torch.split(torch.cat(surprises).cpu(), lengths), torch.split(torch.cat(unlikely).cpu(), lengths)


def _taught(example: Example, surprise: Tensor, unlikely: Tensor, taught_above: float) -> Tensor:
    """Return which targets are taught: those that surprise the base, and what the rules put where it would not be said.

    The colon of "In plain words:" is no surprise, and yet a comma is likelier: held to the base it would never come.
    """
    if example.part not in (Part.GOLD, Part.SPREAD):
        return torch.zeros_like(unlikely)
    changed = torch.zeros_like(unlikely)
    changed[list(example.changed)] = True
    return (surprise >= taught_above) | (changed & unlikely)


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
