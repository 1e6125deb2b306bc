"""What would change if another generation answered: which questions are asked, and how the replies are shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..schemas.errors import NightSchoolError
from ..schemas.messages import ListVersions
from ..schemas.records import BundleOrigin, VersionPreview
from .safe_text import set_in

if TYPE_CHECKING:
    from ..engine.paths import Home
    from .stopping import Ask


async def questions(ask: Ask, home: Home, slot: str, number: int) -> list[str]:
    """Return the sample questions on the card of a generation that came in a bundle; empty: none can be had.

    They are read from a registry that is known, which may be away: then nothing is said, for the engine has others.
    """
    versions = await ask(ListVersions(slot=slot))
    version = next((row for row in versions if row.number == number), None)
    while version is not None and version.restores is not None:
        version = next((row for row in versions if row.number == version.restores), None)
    if version is None or len(version.origins) != 1:
        return []
    return await asyncio.to_thread(_on_card, home, version.origins[0])


def preview_lines(found: VersionPreview) -> list[str]:
    """Return replies before and after, in words; every line of a reply is set in, so that none passes for ours."""
    lines = [f"Generation {found.one} of {found.slot} answers now; generation {found.other} would."]
    for sample in found.samples:
        lines += ["", *set_in("asked", sample.prompt), *set_in("now", sample.one), *set_in("then", sample.other)]
    if found.stopped:
        lines += ["", "Stopped before the end."]
    same = sum(sample.one == sample.other for sample in found.samples)
    lines += ["", f"{same} of {len(found.samples)} replies are the same."] if found.samples else []
    return [*lines, f"To have it answer: nightschool rollback {found.slot} --to {found.other}"]


def _on_card(home: Home, origin: BundleOrigin) -> list[str]:
    from ..marketplace.registry.client import clients

    for client in clients(home.registries):
        try:
            slot = client.index().slot(origin.slot)
            version = next((row for row in slot.versions if row.id == origin.id), None) if slot else None
            if slot is not None and version is not None:
                return [sample.prompt for sample in client.manifest(slot, version).manifest.card.samples]
        except NightSchoolError:
            continue
    return []
