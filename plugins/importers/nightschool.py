"""Night School's own format: a JSON line for every slot, lesson and conversation, with all that was kept of it.

``schemas/exchange.py`` says what a line holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from pydantic import ValidationError

from ...engine.exchange.contracts import Importer, Item
from ...engine.exchange.entries import entries, first_keys
from ...engine.exchange.turns import EMPTY
from ...engine.host.hooks import hookimpl
from ...schemas.exchange import OWN_FORMAT, Skipped, Transcript
from ...schemas.records import Lesson, Slot

_KINDS: dict[str, type[Transcript] | type[Lesson] | type[Slot]] = {
    "conversation": Transcript,
    "lesson": Lesson,
    "slot": Slot,
}
NEWER = "written by a newer Night School; update this one"
DAMAGED = "damaged: not as Night School writes it"


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the reader of our own exports."""
    return [NightSchool()]


class NightSchool:
    """Reads conversations with edits, thumbs, replaced replies and signals; lessons; and the slots they are of."""

    name = "nightschool"
    title = "Night School (its own export)"

    def recognises(self, head: bytes) -> bool:
        """Whether the first line names the format."""
        return "nightschool" in first_keys(head)

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give what the lines hold."""
        for entry in entries(stream):
            yield entry if isinstance(entry, Skipped) else _item(entry)


def _item(entry: dict[str, Any]) -> Item:
    version = entry.pop("nightschool", None)
    if isinstance(version, int) and version > OWN_FORMAT:
        return Skipped(reason=NEWER)
    if version != OWN_FORMAT or len(entry) != 1 or not entry.keys() <= _KINDS.keys():
        return Skipped(reason=DAMAGED)
    ((kind, values),) = entry.items()
    try:
        json.dumps(values, ensure_ascii=False).encode()  # refuses halves of characters, which no database holds
        item = _KINDS[kind].model_validate(values)
    except (ValidationError, UnicodeEncodeError):
        return Skipped(reason=DAMAGED)
    if isinstance(item, Transcript):
        return _whole(item)
    return item


def _whole(found: Transcript) -> Transcript | Skipped:
    """Return a conversation whose parts refer to each other as they must."""
    if not found.turns:
        return Skipped(reason=EMPTY, title=found.title[:200])
    places = range(len(found.turns))
    replaced = all(
        one.replaced_by in places[at + 1 :] for at, one in enumerate(found.turns) if one.replaced_by is not None
    )
    if not replaced or any(one.turn not in places for one in found.signals):
        return Skipped(reason=DAMAGED, title=found.title[:200])
    return found
