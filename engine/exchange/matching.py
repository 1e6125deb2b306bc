"""Whether a conversation from elsewhere is already here: the same, shorter than here, or grown since."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ...schemas.exchange import Transcript, TranscriptTurn
from ..records import Records
from ..records.origins import Kept, digest, words_of

PUT_AWAY = "deleted here before: restore it to have it again"
CHANGED = "changed since it was imported: it stays as it is here"


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
        self._seen: set[bytes | tuple[str, str]] = set()
        # What was had here has no digest, for it goes on; it is read once.
        self._own = {digest(records.words_in(number)): number for number in records.numbers_of_own()}

    def match(self, found: Transcript, importer: str) -> Match:
        """Return how a conversation that an importer gave stands."""
        words = words_of(found.turns)
        said = digest(words)
        source = found.source or importer
        name = found.id or said.hex()
        if (source, name) in self._seen or said in self._seen:
            return Match(Standing.KNOWN, source, name)
        self._seen |= {(source, name), said}
        kept = self._records.find_imported(source, name, said)
        if kept is None and said in self._own:
            kept = Kept(self._own[said], deleted=False)
        if kept is None:
            return Match(Standing.NEW, source, name, found.turns)
        if kept.deleted:
            return Match(Standing.LEFT, source, name, reason=PUT_AWAY)
        here = self._records.words_in(kept.conversation)
        if here[: len(words)] == words:
            return Match(Standing.KNOWN, source, name)
        if words[: len(here)] == here:
            shown = [one for one in found.turns if one.replaced_by is None]
            return Match(Standing.GROWN, source, name, shown[len(here) :], kept.conversation)
        return Match(Standing.LEFT, source, name, reason=CHANGED)
