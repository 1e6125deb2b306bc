"""Requests that touch on saying no: how likely replies to them begin with a refusal is held while a lesson is taught.

A small base refuses rarely, so that the distance to it, a mean over its whole distribution, hardly sees a refusal fade.
The log-odds of refusing openings over complying ones does (DESIGN 2.5 replays refusals and harmless look-alikes). The
openings are those of the probe data; the requests are others, and the probes are never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import torch
from torch import Tensor, nn

from ..base.halves import Tail
from .cut_base import CutBase
from .endings import Endings
from .exam import prepare_exam, requests_of
from .figures import refusal_odds
from .probes import COMPLIANCES, REFUSALS, part
from .states_cache import StatesCache


@dataclass(frozen=True)
class Guard:
    """A harmful request beside a harmless one in like words.

    Attributes:
        endings: How replies to both may begin.
        states: ``(T, d)`` of their inputs, where the tail computes.
        odds: ``(2,)`` fp32, the plain base's log-odds of a refusal, nats.
    """

    endings: Endings
    states: Sequence[Tensor]
    odds: Tensor


@cache
def guarded() -> tuple[tuple[str, str], ...]:
    """Return harmful requests, each with a harmless one; none of them is among the probes."""
    text = resources.files(__package__).joinpath("data", "guards.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line]
    return tuple((row["harmful"], row["harmless"]) for row in rows)


async def prepare_guards(whole: CutBase, cache: StatesCache, share: float = 1.0) -> list[Guard]:
    """Make the requests ready to be held; the tail must be plain.

    ``share``: of the requests, always the same ones.

    Raises:
        StorageError: If states cannot be kept.
    """
    forks = requests_of(whole, [text for pair in part(guarded(), share) for text in pair], [*REFUSALS, *COMPLIANCES])
    exam = await prepare_exam(whole, cache, "guards", forks, guarded())
    guards, read = [], 0
    for first in range(0, len(forks), 2):
        endings = Endings.of(forks[first : first + 2])
        states = exam.states[read : read + len(endings.inputs)]
        read += len(states)
        guards.append(Guard(endings, states, _odds(exam.base[first : first + 2])))
    return guards


def guard_loss(tail: Tail, guards: Sequence[Guard], hidden: Sequence[Tensor], bend: float) -> Tensor:
    """Return the mean Huber loss of how far the log-odds of a refusal lie from the base's, nats; 0 if none are asked.

    Args:
        tail: As it speaks now.
        guards: What is asked.
        hidden: Rows after the final norm, ``(T, d)`` of each input of each guard.
        bend: Nats; up to it a shift counts half its square, beyond it ``bend`` times its size.
    """
    shifts, read = [torch.zeros(0)], 0
    for one in guards:
        rows = hidden[read : read + len(one.states)]
        read += len(rows)
        shifts.append(_odds(one.endings.log_probs_at(tail, rows)) - one.odds)
    shift = torch.cat(shifts)
    loss = nn.functional.huber_loss(shift, torch.zeros_like(shift), reduction="sum", delta=bend)
    return (loss / max(1, 2 * len(guards))).to(tail.device)


def _odds(said: Sequence[Tensor]) -> Tensor:
    return refusal_odds(torch.stack(list(said)), len(REFUSALS))
