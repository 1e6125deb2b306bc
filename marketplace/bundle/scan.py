"""A look at the numbers of an adapter: that they are numbers, how far they move each projection, and how evenly.

The singular values of an update ``B A`` are exact without forming it: their squares are the eigenvalues of the product
of two small Gram matrices, ``(Bᵀ B)(A Aᵀ)``. An update far beyond those of its kind, or one single direction in it,
asks for a person's look. Such statistics find strong payloads and miss ordinary ones, so nothing here says "safe".
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...schemas.bundle import ScanPart
from ..refusals import refuse
from .numbers import np
from .span import Span
from .tensors import Header, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOOL, VERSION = "nightschool-scan", "1"
FAR = 14.0
"""Robust deviations from the median of its kind, beyond which an update is pointed out."""
LARGEST_NORM = 1e4
"""Of an update, beyond which no adapter lies; a base's own weights have norms of 10 to 300."""
_ALONE = 0.999
"""Share of an update's energy in one direction that is pointed out, at ranks above 1."""
_ENOUGH = 5
"""So many of a kind are needed to say what is usual."""
_STRIP = 1 << 19
"""So many numbers are looked at at once: a tensor that compresses to nothing may have a hundred million."""


@dataclass(frozen=True)
class Update:
    """What is known of one projection's update: Frobenius and spectral norm."""

    path: str
    norm: float
    largest: float


def scan(file: Span, header: Header, scale: float) -> ScanPart:
    """Look at every number of a file of weights; ``scale`` is the factor on each ``B A``.

    Raises:
        Refused: ``weights-number`` or ``weights-scan``.
    """
    updates = []
    for (_, path), (down, up) in header.pairs.items():
        inner, outer = _gram(_strips(file, header, down)), _gram(_turned_strips(file, header, up))
        updates.append(_update(path, inner, outer, scale))
    if max(update.norm for update in updates) > LARGEST_NORM:
        raise refuse("weights-scan")
    return _summed(updates, header.rank)


def _update(path: str, inner: NDArray[np.float64], outer: NDArray[np.float64], scale: float) -> Update:
    """Return what the Gram matrices ``A Aᵀ`` and ``Bᵀ B`` say; no product of what fp32 holds is beyond fp64."""
    values, vectors = np.linalg.eigh(inner)
    root = vectors * np.sqrt(values.clip(0))
    squares = np.linalg.eigvalsh(root.T @ outer @ root).clip(0)
    return Update(path, float(scale * math.sqrt(squares.sum())), float(scale * math.sqrt(squares.max())))


def _gram(strips: Iterator[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return ``M Mᵀ`` of a matrix that comes some columns at a time."""
    total: NDArray[np.float64] | None = None
    for strip in strips:
        if not np.isfinite(strip).all():
            raise refuse("weights-number")
        wide = strip.astype(np.float64)
        total = wide @ wide.T if total is None else total + wide @ wide.T
    assert total is not None, "a tensor has no empty side"
    return total


def _strips(file: Span, header: Header, tensor: Tensor) -> Iterator[NDArray[np.float32]]:
    """Give ``A``, ``(r, in)``, some columns at a time."""
    rows, columns = tensor.shape
    step = max(1, _STRIP // rows)
    for begin in range(0, columns, step):
        count = min(step, columns - begin)
        yield np.stack([_numbers(file, header, tensor, row * columns + begin, count) for row in range(rows)])


def _turned_strips(file: Span, header: Header, tensor: Tensor) -> Iterator[NDArray[np.float32]]:
    """Give ``Bᵀ``, where ``B`` is ``(out, r)``, some columns at a time."""
    rows, columns = tensor.shape
    step = max(1, _STRIP // columns)
    for begin in range(0, rows, step):
        count = min(step, rows - begin)
        yield _numbers(file, header, tensor, begin * columns, count * columns).reshape(count, columns).T


def _numbers(file: Span, header: Header, tensor: Tensor, begin: int, count: int) -> NDArray[np.float32]:
    """Return ``count`` numbers of a tensor from the one at ``begin`` on, as fp32, whatever they are stored as."""
    raw = file.whole(tensor.start + begin * header.width, count * header.width)
    if header.dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, "<f2" if header.dtype == "F16" else "<f4").astype(np.float32)


def _summed(updates: Sequence[Update], rank: int) -> ScanPart:
    norms = [update.norm for update in updates]
    moved = [update for update in updates if update.norm > 0]
    share = max(((update.largest / update.norm) ** 2 for update in moved), default=0.0)
    far = _farthest(moved)
    alone = rank > 1 and any(
        update.largest > math.sqrt(_ALONE) * update.norm and update.norm > 4 * float(np.median(norms))
        for update in moved
    )
    stats = {
        "updates": float(len(updates)),
        "norm_max": max(norms),
        "norm_median": float(np.median(norms)),
        "norm_total": math.sqrt(sum(norm**2 for norm in norms)),
        "spectral_max": max(update.largest for update in updates),
        "top_share_max": share,
        "z_max": far,
    }
    verdict: Literal["review", "nothing-found"] = "review" if far >= FAR or alone else "nothing-found"
    return ScanPart(
        tool=TOOL,
        version=VERSION,
        verdict=verdict,
        stats={name: float(f"{value:.6g}") for name, value in stats.items()},
    )


def _farthest(updates: Sequence[Update]) -> float:
    """Return how far the farthest update lies from the median of its kind, in robust deviations of its logarithm."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for update in updates:
        kinds[update.path].append(math.log(update.norm))
    found = 0.0
    for values in kinds.values():
        if len(values) >= _ENOUGH:
            middle = float(np.median(values))
            spread = 1.4826 * float(np.median([abs(value - middle) for value in values]))
            found = max(found, max(abs(value - middle) for value in values) / max(spread, 0.05))
    return found
