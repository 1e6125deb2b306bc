"""What lies between two generations of a slot: gates, lessons, replies, and how far the weights of each block moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from ...schemas.records import BlockNorms, GateChange, SamplePair, Version, VersionDiff
from .adapter import Adapter, Factors
from .factoring import inner


def diff_versions(
    one: Version, other: Version, rules: Mapping[int, str], *, adapters: tuple[Path | None, Path | None]
) -> VersionDiff:
    """Compare two generations.

    Args:
        one: The earlier one, as the user sees it.
        other: What it is compared with.
        rules: The words of lessons, by number; a lesson that is not among them is named by its number.
        adapters: The folders of both; None: the plain base.

    Raises:
        Damaged: If an adapter does not read back.
    """
    before, after = set(one.lessons), set(other.lessons)

    def told(lessons: set[int]) -> list[str]:
        return [rules.get(lesson, f"lesson {lesson}") for lesson in sorted(lessons)]

    return VersionDiff(
        slot=one.slot,
        one=one.number,
        other=other.number,
        came=told(after - before),
        went=told(before - after),
        gates=_gates(one, other),
        samples=_samples(one, other),
        blocks=_norms(*(Adapter.load(folder) if folder is not None else Adapter({}) for folder in adapters)),
    )


def _gates(one: Version, other: Version) -> list[GateChange]:
    """Return the gates that either was measured by; a name that stands for several results is left out."""
    found: list[dict[str, float]] = []
    for version in (one, other):
        results = version.report.gates if version.report else []
        names = [result.name for result in results]
        found.append({result.name: result.value for result in results if names.count(result.name) == 1})
    return [
        GateChange(name=name, one=found[0].get(name), other=found[1].get(name))
        for name in dict.fromkeys([*found[0], *found[1]])
    ]


def _samples(one: Version, other: Version) -> list[SamplePair]:
    """Return the prompts that both reports answer, with both replies."""
    said: list[dict[str, str]] = []
    for version in (one, other):
        outcomes = version.report.outcomes if version.report else []
        said.append({sample.prompt: sample.after for outcome in outcomes for sample in outcome.samples})
    return [SamplePair(prompt=key, one=said[0][key], other=said[1][key]) for key in said[0] if key in said[1]]


def _norms(one: Adapter, other: Adapter) -> list[BlockNorms]:
    """Return the Frobenius norms of both updates and of their difference, by block."""
    found = []
    for layer in sorted({layer for layer, _ in (*one.factors, *other.factors)}):
        squares = [0.0, 0.0, 0.0]
        for place in {place for place in (*one.factors, *other.factors) if place[0] == layer}:
            mine, theirs = one.factors.get(place), other.factors.get(place)
            own, its, both = _inner(mine, mine), _inner(theirs, theirs), _inner(mine, theirs)
            squares = [squares[0] + own, squares[1] + its, squares[2] + own + its - 2 * both]
        norms = [math.sqrt(max(0.0, square)) for square in squares]
        found.append(BlockNorms(block=layer, one=norms[0], other=norms[1], change=norms[2]))
    return found


def _inner(one: Factors | None, other: Factors | None) -> float:
    return 0.0 if one is None or other is None else inner(one, other)
