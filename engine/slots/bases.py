"""A slot on several bases: each generation belongs to one, and with each base the newest that was made for it answers.

Nothing more is kept for that than the generations themselves. Whatever begins to answer is a new generation, so that
the newest of a base is the one that answered there last, or that was taught for it and has not answered yet. What came
in a bundle waits until its user activates it, which makes a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...schemas.records import Version, VersionKind
from .store import SlotStore


def newest_for(versions: Iterable[Version], base: str) -> Version | None:
    """Return the generation that answers with a base, of all those of a slot; None: none was made for it."""
    found = [version for version in versions if version.base == base and _may_answer(version)]
    return max(found, key=lambda version: version.number, default=None)


def answering(versions: Iterable[Version]) -> set[int]:
    """Return the generations that answer with some base, each base's own."""
    rows = list(versions)
    bases = {version.base for version in rows if version.adapter_sha256 is not None}
    return {found.number for base in bases if (found := newest_for(rows, base)) is not None}


def turn(store: SlotStore, name: str, base: str) -> Version | None:
    """Let the generation of a slot answer that was made for a base; return it, or None where nothing is to be changed.

    A slot that was put back to the plain base stays there, unless it was taught for this base since. Where none was
    made for the base, the one in effect stays too: whoever wants to speak with it is told.

    Raises:
        NotFound: If there is no such slot.
        Damaged: If its files do not read back.
        Locked, StorageError: If it cannot be written.
    """
    current = store.current(name)
    if current.adapter_sha256 is not None and current.base == base:
        return None
    versions = store.versions(name)
    found = newest_for(versions, base)
    if current.adapter_sha256 is not None:  # where it was put back to the plain base before it went elsewhere
        plain = max((row.number for row in versions if row.number and row.adapter_sha256 is None), default=0)
        if plain > (found.number if found is not None else 0):
            found = store.version(name, plain)
    elif found is not None and found.number < current.number:
        found = None
    if found is None:
        return None
    store.point(name, found.number)
    return store.current(name)


def _may_answer(version: Version) -> bool:
    waits = version.kind is VersionKind.IMPORT and bool(version.origins)
    return version.adapter_sha256 is not None and not version.removed and not waits
