"""Finding slots in a catalog: every word of the text, and every condition, must fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...schemas.registry import ListedSlot


@dataclass(frozen=True)
class Query:
    """What is looked for; what is empty or None fits everything.

    Attributes:
        text: Words, each of which stands somewhere in name, title, summary, tags or publisher.
        base: Fingerprint of a base, its beginning, or a part of its id.
        tags: All of them.
        licence: SPDX, its beginning.
        largest: Bytes of the file.
        publisher: Its name.
    """

    text: str = ""
    base: str = ""
    tags: Sequence[str] = ()
    licence: str = ""
    largest: int | None = None
    publisher: str = ""


def search(slots: Iterable[ListedSlot], query: Query) -> list[ListedSlot]:
    """Return the slots whose newest version fits, those first whose name or title has the words."""
    words = query.text.casefold().split()
    found = [slot for slot in slots if _fits(slot, query) and all(word in _text(slot) for word in words)]
    return sorted(found, key=lambda slot: (not all(word in _head(slot) for word in words), slot.name))


def _fits(slot: ListedSlot, query: Query) -> bool:
    latest = slot.latest
    base, licence = query.base.casefold(), query.licence.casefold()
    return (
        (not base or latest.base.fingerprint.startswith(base) or base in latest.base.id.casefold())
        and (not query.tags or set(query.tags) <= set(slot.tags))
        and latest.license.casefold().startswith(licence)
        and (query.largest is None or latest.length <= query.largest)
        and query.publisher in ("", slot.publisher)
    )


def _head(slot: ListedSlot) -> str:
    return f"{slot.name}\n{slot.title}".casefold()


def _text(slot: ListedSlot) -> str:
    return "\n".join((slot.name, slot.title, slot.summary, slot.publisher, *slot.tags)).casefold()
