"""How a generation was merged, in words."""

from __future__ import annotations

from ..schemas.records import MergeFacts


def merge_words(merge: MergeFacts) -> str:
    """Return strategy, parents with their weights, rank, and what the rank lost of what was wanted."""
    parents = " + ".join(f"{parent.weight:g} of {parent.slot} {parent.number}" for parent in merge.parents)
    lost = f", relative error {merge.error:.2g}" if merge.error else ", exact"
    return f"{merge.strategy}: {parents}; rank {merge.rank}{lost}"
