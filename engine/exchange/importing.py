"""An import: what a file would bring, and bringing it. Both read the file once and keep little of it in memory.

Conversations are stored in batches, each a transaction of its own. So an import that is cut off, however that went,
leaves whole conversations, and importing again brings the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import ImportStopped
from ...schemas.exchange import Found, ImportPreview, ImportResult, Skipped, Transcript
from ...schemas.records import Lesson, Slot
from ..records import Records
from ..records.origins import digest, words_of
from ..slots.store import SlotStore
from .contracts import Importer
from .lessons import Lessons
from .matching import Match, Matcher, Standing
from .reading import Reader
from .slots import Slots

if TYPE_CHECKING:
    from ..host.plugins import PluginHost

LONGEST_CONVERSATION = 2_000_000
"""Characters of one that can be shown; the longest that were seen elsewhere have a third of it."""
TOO_LONG = f"longer than {LONGEST_CONVERSATION // 1_000_000} million characters"
BUSY = "being answered here at this moment: import it again"
STOPPED = "Stopped; what was stored until then is whole, and importing the file again brings the rest."
OTHER = "left out for another reason"

MOST_SHOWN = 10
MOST_REASONS = 20
BATCH = 64
BATCH_CHARACTERS = 500_000

Tell = Callable[[float, int], None]
"""Told the share of the file that was read, 0 to 1, and how many new conversations were found in it."""


@dataclass
class Tally:
    """What was found so far."""

    counts: Counter[Standing] = field(default_factory=Counter)
    turns: int = 0
    lessons: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def leave(self, reason: str) -> None:
        """Count something that is left out."""
        known = reason in self.skipped or len(self.skipped) < MOST_REASONS
        self.skipped[reason if known else OTHER] += 1

    def count(self, match: Match) -> None:
        """Count a conversation and what is new of it."""
        self.counts[match.standing] += 1
        self.turns += len(match.turns)

    def withdraw(self, match: Match, reason: str) -> None:
        """Leave out a conversation that was counted."""
        self.counts[match.standing] -= 1
        self.turns -= len(match.turns)
        self.leave(reason)

    def found(self) -> Found:
        """Return the counts as a record."""
        return Found(
            new=self.counts[Standing.NEW],
            grown=self.counts[Standing.GROWN],
            known=self.counts[Standing.KNOWN],
            turns=self.turns,
            lessons=self.lessons,
            skipped=dict(self.skipped),
        )


class Import:
    """One look at a file, or one import of it."""

    def __init__(
        self,
        path: Path,
        records: Records,
        store: SlotStore,
        plugins: PluginHost,
        *,
        tell: Tell = lambda share, new: None,
        stopped: Callable[[], bool] = lambda: False,
        busy: Callable[[int], bool] = lambda conversation: False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            path: The file, a folder of files, or an archive.
            records: The profile's.
            store: The profile's slots.
            plugins: Who supplies importers, and rewriters to read lessons by.
            tell: Told how far it is, by the thread that reads.
            stopped: Whether to stop.
            busy: Whether a conversation is being answered, so that nothing can be added to it now.
        """
        self._records, self._store, self._plugins = records, store, plugins
        self._tell, self._stopped, self._busy = tell, stopped, busy
        self._reader = Reader(path, plugins.collect("nightschool_importers"), self._watch)
        self._tally = Tally()
        self._batch: list[tuple[Transcript, Match]] = []
        self._batch_characters = 0

    def preview(self) -> ImportPreview:
        """Return what the import would do; nothing is stored.

        Raises:
            ImportStopped: If it was told to stop.
            ExchangeError: If the file is not what can be read.
            StorageError: If the file cannot be read.
        """
        lessons = Lessons(self._records, self._plugins)
        titles: list[str] = []
        slots: Counter[str] = Counter()
        times: list[float] = []
        for item in self._items(lessons):
            if isinstance(item, Lesson):
                self._tally.lessons += lessons.is_new(item, item.slot)
            elif isinstance(item, tuple):
                transcript, match = item
                if match.standing is Standing.NEW:
                    slots[transcript.slot] += 1
                    titles += [_title(transcript)] if len(titles) < MOST_SHOWN else []
                    times = _span(times, transcript)
        return ImportPreview(
            file=str(self._reader.path),
            importers=[importer.title for importer in self._reader.used],
            found=self._tally.found(),
            first=min(times, default=None),
            last=max(times, default=None),
            titles=titles,
            slots=dict(slots),
            new_slots=Slots(self._store, None).missing(slots),
        )

    def run(self, slot: str | None) -> ImportResult:
        """Store what the file brings, into ``slot``, or where it is None each into the slot that the file names.

        Raises:
            NotFound: If there is no such slot.
            ExchangeError: If the file is not what can be read.
            StorageError: If the file cannot be read, or the profile not be written.
        """
        slots, lessons = Slots(self._store, slot), Lessons(self._records, self._plugins)
        shown: list[int] = []
        cancelled = False
        try:
            for item in self._items(lessons):
                if isinstance(item, Slot):
                    slots.remember(item)
                elif isinstance(item, Lesson):
                    self._tally.lessons += lessons.add(item, slots.place(item.slot))
                else:
                    self._batch.append(item)
                    self._batch_characters += sum(len(one.text) for one in item[1].turns)
                    if self._batch_is_full():
                        self._flush(slots, lessons, shown)
        except ImportStopped:
            cancelled = True
        finally:
            self._flush(slots, lessons, shown)
        return ImportResult(
            file=str(self._reader.path), found=self._tally.found(), conversations=shown, cancelled=cancelled
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _items(self, lessons: Lessons) -> Iterator[Slot | Lesson | tuple[Transcript, Match]]:
        """Give slots, lessons and the conversations that bring something; count everything else."""
        matcher = Matcher(self._records)
        for importer, item in self._reader.items():
            if self._stopped():
                raise ImportStopped(STOPPED)
            if isinstance(item, Skipped):
                self._tally.leave(item.reason)
            elif isinstance(item, Transcript):
                match = self._matched(matcher, importer, item)
                if match is not None:
                    yield item, match
            else:
                yield item

    def _matched(self, matcher: Matcher, importer: Importer, found: Transcript) -> Match | None:
        if (
            not found.turns
            or sum(len(one.text) + len(one.original or "") for one in found.turns) > LONGEST_CONVERSATION
        ):
            self._tally.leave(TOO_LONG)
            return None
        match = matcher.match(found, importer.name)
        if match.standing is Standing.LEFT:
            self._tally.leave(match.reason)
            return None
        self._tally.count(match)
        return None if match.standing is Standing.KNOWN else match

    def _watch(self, share: float) -> None:
        if self._stopped():
            raise ImportStopped(STOPPED)
        self._tell(share, self._tally.counts[Standing.NEW])

    # -- storing ------------------------------------------------------------------------------------------------------

    def _batch_is_full(self) -> bool:
        return len(self._batch) >= BATCH or self._batch_characters >= BATCH_CHARACTERS

    def _flush(self, slots: Slots, lessons: Lessons, shown: list[int]) -> None:
        """Store what has been read, all of it or none."""
        places = [slots.place(found.slot) for found, _ in self._batch]
        added: list[int] = []
        with self._records.transaction():
            for (found, match), place in zip(self._batch, places, strict=True):
                if match.conversation is not None and self._busy(match.conversation):
                    self._tally.withdraw(match, BUSY)
                elif match.conversation is not None:
                    self._records.append_turns(match.conversation, match.turns, digest(words_of(found.turns)))
                else:
                    row = self._records.add_transcript(
                        found, source=match.source, name=match.name, slot=place, lessons=lessons.numbers
                    )
                    added.append(row.id)
        self._batch.clear()
        self._batch_characters = 0
        shown += added[: MOST_SHOWN - len(shown)]


def _title(found: Transcript) -> str:
    return found.title.strip() or found.turns[0].text[:200]


def _span(times: list[float], found: Transcript) -> list[float]:
    """Return the earliest and the latest time with those of one more conversation."""
    more = [moment for moment in (found.created, found.updated, *(one.created for one in found.turns)) if moment]
    return [min(times + more), max(times + more)] if times or more else []
