"""Whether a conversation from elsewhere is already here: the same, shorter than here, or grown since."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ...schemas.exchange import Transcript, TranscriptTurn
from ..records import Records
from ..records.origins import Kept, digest, words_of

PUT_AWAY = "deleted here before: restore it to have it again"
CHANGED = "changed since it was imported: it stays as it is here"
TWICE = "twice in the file, with a different end: import it again for what is new"


class Standing(Enum):
    """How a conversation stands to the profile."""

    NEW = "new"
    GROWN = "grown"
    KNOWN = "known"
    LEFT = "left"


@dataclass(frozen=True)
class Match:
    """How a conversation stands, what of it is new, and where it belongs.

    Attributes:
        name: What it is called where it comes from; what was said in it names one that has no name.
        turns: What is new of it.
        conversation: The one here that it continues.
        reason: Why it is left as it is.
    """

    standing: Standing
    source: str
    name: str
    turns: list[TranscriptTurn] = field(default_factory=list)
    conversation: int | None = None
    reason: str = ""


class Matcher:
    """Compares conversations with the profile, and with those of the same file before them."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._said: set[bytes] = set()
        self._openings: dict[tuple[str, str], bytes] = {}
        """What each began with, by where it comes from and its name there."""
        # What was had here has no digest, for it goes on; it is read once.
        self._own = {digest(records.words_in(number)): number for number in records.numbers_of_own()}

    def match(self, found: Transcript, importer: str) -> Match:
        """Return how a conversation that an importer gave stands."""
        words = words_of(found.turns)
        said = digest(words)
        source = found.source or importer
        name = found.id or said.hex()
        if said in self._said:
            return Match(Standing.KNOWN, source, name)
        self._said.add(said)
        opening, before = digest(words[:1]), self._openings.get((source, name))
        if before is not None and before != opening:  # another conversation: names in a file need not be unique
            name, before = said.hex(), None
        self._openings[source, name] = opening
        kept = self._records.find_imported(source, name, said)
        if kept is None and said in self._own:
            kept = Kept(self._own[said], deleted=False)
        if kept is None and before is not None:  # the one before it may not be stored yet
            return Match(Standing.LEFT, source, name, reason=TWICE)
        if kept is None:
            return Match(Standing.NEW, source, name, found.turns)
        return self._beside(kept, found.turns, source, name)

    def _beside(self, kept: Kept, turns: list[TranscriptTurn], source: str, name: str) -> Match:
        """Return how the turns of a conversation stand to the one of the profile that is the same."""
        if kept.deleted:
            return Match(Standing.LEFT, source, name, reason=PUT_AWAY)
        words, here = words_of(turns), self._records.words_in(kept.conversation)
        if here[: len(words)] == words:
            return Match(Standing.KNOWN, source, name)
        if words[: len(here)] == here:
            shown = [one for one in turns if one.replaced_by is None]
            return Match(Standing.GROWN, source, name, shown[len(here) :], kept.conversation)
        return Match(Standing.LEFT, source, name, reason=CHANGED)
