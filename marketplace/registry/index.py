"""A verified catalog as a reader keeps it: one line for each slot, made to be searched without being parsed.

    first line     JSON: the publishers, and the sha256 of each part of the catalog
    other lines    digits of the part, and the fields of ``_fields``, folded, with U+001F between them; last, the JSON
                   of the slot

No field of a slot can hold U+001F or a line feed, which its schema refuses. A part that has not changed is taken over
line by line, so that news of one bundle costs the reading of one part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from ...schemas.records import Record
from ...schemas.registry import ListedPublisher, ListedSlot
from . import layout
from .search import Query

_CUT = "\x1f"


class _Head(Record):
    publishers: dict[str, ListedPublisher]
    parts: dict[str, str]


@dataclass(frozen=True)
class Index:
    """All that a registry lists, verified.

    Attributes:
        publishers: By name.
        parts: The sha256 of each part of the catalog, by its digits.
        lines: One for each slot, by name.
    """

    publishers: Mapping[str, ListedPublisher]
    parts: Mapping[str, str]
    lines: tuple[str, ...]

    @classmethod
    def made(cls, publishers: Mapping[str, ListedPublisher], parts: Mapping[str, str], lines: Iterable[str]) -> Index:
        """Put lines of all parts together, in the order of their names."""
        return cls(publishers, parts, tuple(sorted(lines, key=lambda line: line.split(_CUT, 2)[1])))

    def by_part(self) -> dict[str, list[str]]:
        """Return the lines of each part, by its digits."""
        found: dict[str, list[str]] = {}
        for line in self.lines:
            found.setdefault(line[:2], []).append(line)
        return found

    def slot(self, name: str) -> ListedSlot | None:
        """Return the slot of a name."""
        wanted = f"{_CUT}{name}{_CUT}"
        return next((_slot(line) for line in self.lines if line.startswith(wanted, 2)), None)

    def slots(self) -> list[ListedSlot]:
        """Return all slots, by name."""
        return [*map(_slot, self.lines)]

    def search(self, query: Query, limit: int | None = None) -> tuple[list[ListedSlot], int]:
        """Return the slots that fit, those first whose name or title has all the words, and how many there are."""
        words = query.text.casefold().split()
        base, licence = query.base.casefold(), query.licence.casefold()
        largest = query.largest if query.largest is not None else 1 << 62
        tags = [f" {tag} " for tag in query.tags]
        first: list[str] = []
        later: list[str] = []
        for line in self.lines:
            if not all(word in line for word in words):  # most lines end here, before they are taken apart
                continue
            _, name, title, summary, publisher, its_tags, its_licence, identity, print_, length, _ = line.split(_CUT)
            if query.publisher not in ("", publisher) or not its_licence.startswith(licence) or int(length) > largest:
                continue
            if not all(tag in its_tags for tag in tags) or not (base in identity or print_.startswith(base)):
                continue
            if all(word in name or word in title for word in words):
                first.append(line)
                continue
            text = f"{name}\n{title}\n{summary}\n{publisher}\n{its_tags}"
            if all(word in text for word in words):
                later.append(line)
        found = [*first, *later]
        return [*map(_slot, found[:limit])], len(found)

    def dump(self) -> bytes:
        """Return it as it is kept."""
        head = _Head(publishers=dict(self.publishers), parts=dict(self.parts))
        return "\n".join((head.model_dump_json(), *self.lines)).encode()


def parse_index(data: bytes) -> Index:
    """Return an index from what was kept of it; its hash was checked."""
    head, *lines = data.decode().split("\n")
    found = _HEAD.validate_json(head)
    return Index(found.publishers, found.parts, tuple(lines))


def line_of(slot: ListedSlot) -> str:
    """Return the line of a slot."""
    fields = (layout.part_of(slot.name), *_fields(slot))
    return _CUT.join((*fields, json.dumps(slot.model_dump(), ensure_ascii=True, separators=(",", ":"))))


def _fields(slot: ListedSlot) -> tuple[str, ...]:
    latest = slot.latest
    return (
        slot.name,
        slot.title.casefold(),
        slot.summary.casefold(),
        slot.publisher,
        f" {' '.join(slot.tags)} ",
        latest.license.casefold(),
        latest.base.id.casefold(),
        latest.base.fingerprint,
        str(latest.length),
    )


def _slot(line: str) -> ListedSlot:
    return _SLOT.validate_json(line.rpartition(_CUT)[2])


_HEAD, _SLOT = TypeAdapter(_Head), TypeAdapter(ListedSlot)
