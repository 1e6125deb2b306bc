"""From a file to what it holds: found in its archive, recognised by its content, read by its importer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...schemas.errors import NightSchoolError, NotReadable, PluginError
from ...schemas.exchange import Skipped
from ..files import storage_errors
from .contracts import HEAD_BYTES, Importer, Item
from .source import Part, PartDamaged, parts_of, watched

_log = logging.getLogger(__name__)

UNPACKING = "damaged: the archive does not unpack from here on"


@dataclass
class Reader:
    """A file that is read. ``importers`` are all there are; ``used`` are those that recognised it.

    ``watch`` is told the share that has been read, 0 to 1, and may raise to stop the reading.
    """

    path: Path
    importers: Sequence[Importer]
    watch: Callable[[float], None] = lambda share: None
    used: list[Importer] = field(default_factory=list)

    def items(self) -> Iterator[tuple[Importer, Item]]:
        """Give what the file holds, each with who read it, in order.

        Raises:
            NotReadable: If no importer knows it, or it is an archive that cannot be what it should be.
            PluginError: If an importer fails.
            StorageError: If the file cannot be read.
        """
        with storage_errors(self.path), parts_of(self.path) as parts:
            known = [(part, found) for part in parts if (found := self._recognised(part)) is not None]
            if not known:
                raise NotReadable(self._unknown())
            self.used = list(dict.fromkeys(found for _, found in known))
            whole = sum(part.size for part, _ in known)
            done = 0
            for part, importer in known:
                for item in self._read(part, importer, done, whole):
                    yield importer, item
                done += part.size

    def _recognised(self, part: Part) -> Importer | None:
        try:
            with part.open() as stream:
                head = stream.read(HEAD_BYTES)
        except (PartDamaged, NotImplementedError):
            return None
        for importer in self.importers:
            try:
                if importer.recognises(head):
                    return importer
            except Exception:  # noqa: BLE001 (code of strangers may raise anything; then the file is not theirs)
                _log.warning("importer %s failed to look at %s", importer.name, part.name, exc_info=True)
        return None

    def _read(self, part: Part, importer: Importer, done: int, whole: int) -> Iterator[Item]:
        read = done

        def watch(count: int) -> None:
            nonlocal read
            read += count
            self.watch(min(1.0, read / whole) if whole else 1.0)

        try:
            with watched(part, watch) as stream:
                yield from importer.read(stream)
        except PartDamaged:
            yield Skipped(reason=UNPACKING)
        except (NightSchoolError, OSError):
            raise
        except Exception as error:
            raise PluginError(
                f"The importer {importer.name} failed at {part.name} ({type(error).__name__}: {error}); what came "
                "before it is kept."
            ) from error

    def _unknown(self) -> str:
        titles = "; ".join(importer.title for importer in self.importers)
        return f"{self.path.name} is no export of chats that is known; what can be read: {titles}."
