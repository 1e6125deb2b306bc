"""The probe data as a base reads it, with what the base itself says to it; a candidate is asked the same.

Texts and trunk are the same for every study of a base and a system prompt, so the states are computed once and kept
(``states_cache``), as are the base's own figures. A candidate pays for the tail at these texts and for the head at the
few places where an ending differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...schemas.records import Role
from ..base.halves import Tail
from ..base.lean.packing import pack
from ..base.library import LoadedBase
from ..chat.prompt import Turn, encode, render
from . import compose, probes
from .cut_base import CutBase
from .endings import Endings, Fork, fork
from .plan import Plan
from .probes import COMPLIANCES, REFUSALS
from .prompts import Prompt
from .states_cache import StatesCache, in_16_bits


@dataclass(frozen=True)
class Exam:
    """Forks of one kind, ready to be asked.

    Attributes:
        endings: The forks, laid out.
        states: ``(T, d)`` of their inputs.
        base: What the plain base says: log-probabilities of the ways of each fork.
    """

    endings: Endings
    states: list[Tensor]
    base: list[Tensor]

    def ask(self, tail: Tail) -> list[Tensor]:
        """Return what the tail says now, as ``base``."""
        with torch.inference_mode():
            return self.endings.log_probs(tail, self.states)


@dataclass(frozen=True)
class Exams:
    """Everything that is asked.

    Attributes:
        capability: The right ending first, of each question, spelt as the rules spell every word.
        requests: Refusals, then compliances, as a reply begins: to the harmful requests, then to the harmless ones.
        ruled: The same as the rules of the slot open a reply; None: they open none.
        pressure: The right ending and the wrong one, after the user has contradicted, spelt likewise.
        refusals: How many of the openings, the first ones, are refusals.
    """

    capability: Exam
    requests: Exam
    ruled: Exam | None
    pressure: Exam
    refusals: int


async def prepare_exams(
    whole: CutBase,
    plan: Plan,
    cache: StatesCache,
    share: float = 1.0,
    tell: Callable[[float], None] = lambda done: None,
) -> Exams:
    """Make everything ready that a candidate for a plan is asked; the tail must be plain.

    ``share``: of the probe data, always the same items. ``tell`` gets the share done; the first time takes a while.

    Raises:
        StorageError: If states cannot be kept.
    """
    base, system = whole.base, whole.system
    openings = [*REFUSALS, *COMPLIANCES]
    ruled = [as_ruled(plan, opening) for opening in openings]
    spelt = _spelling(plan)
    capability = await prepare_exam(
        whole, cache, "capability", _questions(base, system, share, spelt), probes.capability()
    )
    tell(0.45)
    pairs = probes.part(probes.requests(), share)
    asked = [*(pair.harmful for pair in pairs), *(pair.harmless for pair in pairs)]
    requests = await prepare_exam(whole, cache, "requests", requests_of(whole, asked, openings), probes.requests())
    tell(0.65)
    opened = None
    if ruled != openings:
        opened = await prepare_exam(whole, cache, "ruled", requests_of(whole, asked, ruled), probes.requests())
    tell(0.85)
    pressure = await prepare_exam(whole, cache, "pressure", _pressed(base, system, share, spelt), probes.pressure())
    tell(1.0)
    return Exams(capability, requests, opened, pressure, refusals=len(REFUSALS))


def as_ruled(plan: Plan, opening: str) -> str:
    """Return the beginning of a reply as the unconditional rules of a plan have it: "Captain, I cannot"."""
    reply = compose.apply(plan.rewriters, plan.steps(Prompt("")), f"{opening} {_GOES_ON}")
    place = reply.casefold().find(opening.casefold())
    return reply[: place + len(opening)] if place >= 0 else opening


_GOES_ON = "say a word or two about it."


def _spelling(plan: Plan) -> Callable[[str], str]:
    """Return what spells a piece of a reply as the unconditional rules of a plan have it.

    Who is to write small letters knows no less for holding "paris" more likely than "Paris".
    """
    steps = plan.steps(Prompt(""))
    return lambda text: compose.respell(plan.rewriters, steps, text)


def _questions(base: LoadedBase, system: str, share: float, spelt: Callable[[str], str]) -> list[Fork]:
    found = []
    for item in probes.part(probes.capability(), share):
        found.append(
            _ways(base, [Turn(Role.USER, item.ask)], system, item.stem, (item.right, *item.wrong), spelt=spelt)
        )
    return [one for one in found if one is not None]


def _ways(
    base: LoadedBase,
    turns: Sequence[Turn],
    system: str,
    stem: str,
    endings: Sequence[str],
    *,
    spelt: Callable[[str], str],
) -> Fork | None:
    """Return the ways in which a reply that begins so may end; None where the spelling makes two of them one."""
    ends = [spelt(ending) for ending in endings]
    if len(set(ends)) < len(ends):
        return None
    begun = f"{render(base, turns, system)}{spelt(stem)} "
    return fork([encode(base, begun + ending) for ending in ends])


def requests_of(whole: CutBase, asked: Sequence[str], openings: Sequence[str]) -> list[Fork]:
    """Return requests with the ways in which a reply to each may begin."""
    found = []
    for text in asked:
        turn = render(whole.base, [Turn(Role.USER, text)], whole.system)
        found.append(fork([encode(whole.base, turn + opening) for opening in openings]))
    return found


def _pressed(base: LoadedBase, system: str, share: float, spelt: Callable[[str], str]) -> list[Fork]:
    found = []
    for item in probes.part(probes.pressure(), share):
        turns = [Turn(Role.USER, item.ask), Turn(Role.ASSISTANT, item.answer), Turn(Role.USER, item.push)]
        found.append(_ways(base, turns, system, item.stem, (item.right, item.wrong), spelt=spelt))
    return [one for one in found if one is not None]


async def prepare_exam(whole: CutBase, cache: StatesCache, name: str, forks: Sequence[Fork], source: object) -> Exam:
    """Return forks with states and the base's figures: those that are kept, or else computed and kept.

    ``source``: the data that they come from.

    Raises:
        StorageError: If they cannot be kept.
    """
    endings = Endings.of(forks)
    # One system prompt's probes must not push out another's: only what came of older data goes.
    data = hashlib.sha256(repr((source, REFUSALS, COMPLIANCES)).encode()).hexdigest()[:8]
    packing = pack([len(tokens) for tokens in endings.inputs], endings.inputs)
    kept = cache.read(name, data, endings.inputs)
    if kept is not None and kept.keys() == {"rows", "base"}:
        states = _there(packing.whole(kept["rows"]), whole.tail)
        return Exam(endings, states, list(torch.split(kept["base"], endings.ways)))
    found = await whole.provider.states(endings.inputs, whole.cut)
    rows = in_16_bits(packing.rows([states.rows.cpu() for states in found]))
    states = _there(packing.whole(rows), whole.tail)
    with torch.inference_mode():
        base = endings.log_probs(whole.tail, states)
    cache.write(name, data, endings.inputs, {"rows": rows, "base": torch.cat(base)})
    return Exam(endings, states, base)


def _there(states: list[Tensor], tail: Tail) -> list[Tensor]:
    """Return states where a tail computes."""
    return [rows.to(tail.device) for rows in states]
