"""What plugins supply to read the files of other chats, and to write for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from ...schemas.exchange import Skipped, Transcript
from ...schemas.records import Lesson, Slot

Item = Transcript | Lesson | Slot | Skipped
"""What an importer gives; lessons and slots only Night School's own. A slot comes before what is in it."""

HEAD_BYTES = 65_536
"""How much of the beginning of a file an importer is shown to recognise it by."""


class Importer(Protocol):
    """Reads the export of one kind of chat.

    It is handed files that nobody has checked. What it cannot read it gives as ``Skipped`` with a reason; it does not
    raise, whatever the file holds. It keeps no more than one conversation in memory.
    """

    @property
    def name(self) -> str:
        """Unique among importers; stored with every conversation, so it never changes."""
        ...

    @property
    def title(self) -> str:
        """What it reads, in words: ``ChatGPT (conversations.json)``."""
        ...

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes, at most ``HEAD_BYTES``, is one it reads."""
        ...

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give what the file holds, one at a time, in its order."""
        ...


class Exporter(Protocol):
    """Writes conversations as another program reads them: a text for each, one after the other."""

    @property
    def name(self) -> str:
        """Unique among exporters; what ``conversations export --format`` calls it."""
        ...

    @property
    def about(self) -> str:
        """What it writes, in one sentence."""
        ...

    def begin(self) -> str:
        """Return what stands before the first conversation; an exporter may do without it."""
        ...

    def write(self, transcript: Transcript) -> str:
        """Return one conversation."""
        ...

    def end(self) -> str:
        """Return what stands after the last conversation; an exporter may do without it."""
        ...
