"""Imports and exports: conversations from files and to files. None of it needs a base."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...schemas.errors import ImportRunning, UsageError
from ...schemas.events import ImportEvent
from ...schemas.exchange import ExportForm, ExportResult, ImportPreview, ImportReading, ImportResult
from ...schemas.messages import CancelImport, ExportConversations, PreviewImport, ReadImported, RunImport
from ..exchange.contracts import Exporter
from ..exchange.export import Choice, export
from ..exchange.importing import Import
from .imported import read_imported
from .rooms import Rooms, Tell

T = TypeVar("T")

READING = "Looking for lessons"
TELL_SECONDS = 0.1
"""How long at least between two words on how far it is."""


class ExchangeService:
    """Handlers of ``imports.*`` and ``exports.*``. The work is done in a thread; one import at a time."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._stopped = threading.Event()
        self._work: asyncio.Future[object] | None = None

    async def preview(self, request: PreviewImport, tell: Tell) -> ImportPreview:
        """Look at a file and store nothing.

        Raises:
            ImportRunning: If another import is under way.
            ExchangeError: If the file is not what can be read, or it was stopped.
        """
        return await self._do(self._import(request.file, "Reading", tell).preview)

    async def run(self, request: RunImport, tell: Tell) -> ImportResult:
        """Import a file; what a stop leaves undone the next import does.

        Raises:
            ImportRunning: If another import is under way.
            NotFound: If there is no such slot.
            ExchangeError: If the file is not what can be read.
        """
        work = self._import(request.file, "Importing", tell)
        return await self._do(lambda: work.run(request.slot))

    async def read(self, request: ReadImported, tell: Tell) -> ImportReading:
        """Read what was imported for what it teaches; what a stop leaves unread the next reading reads.

        Raises:
            ImportRunning: If an import or another reading is under way.
        """
        self._claim()
        told = _sparing(tell, lambda share: ImportEvent(file="", stage=READING, fraction=share))
        work = read_imported(self._rooms, told, self._stopped.is_set, request.conversation)
        return await self._await(asyncio.ensure_future(work))

    async def cancel(self, request: CancelImport, tell: Tell) -> bool:
        """Stop the import or the preview; returns when it has ended."""
        if self._work is None:
            return False
        self._stopped.set()
        await asyncio.wait({self._work})
        return True

    async def export(self, request: ExportConversations, tell: Tell) -> ExportResult:
        """Write conversations to a file.

        Raises:
            UsageError: If the file is named by no whole path, lessons are wanted where they have no place, or there is
                no such form.
            NotFound: If there is no such slot or conversation.
            StorageError: If the file cannot be written.
        """
        slot = None if request.slot is None else self._rooms.store.slot(request.slot).name
        choice = Choice(self._form(request.form), request.conversations, slot, request.lessons)
        path = _whole(request.file)
        told = _sparing(tell, lambda share: ImportEvent(file=str(path), stage="Writing", fraction=share))
        return await asyncio.to_thread(export, path, choice, self._rooms.records, self._rooms.store, told)

    async def close(self) -> None:
        """Stop importing, as the engine ends."""
        await self.cancel(CancelImport(), lambda event: None)

    def _form(self, name: str) -> ExportForm | Exporter:
        exporters: list[Exporter] = self._rooms.plugins.collect("nightschool_exporters")
        named: dict[str, ExportForm | Exporter] = {
            **{one.name: one for one in exporters},
            **{form.value: form for form in ExportForm},
        }
        if name not in named:
            raise UsageError(f"There is no form {name}; there is {', '.join(sorted(named))}.")
        return named[name]

    def _import(self, file: str, stage: str, tell: Tell) -> Import:
        path = _whole(file)
        self._claim()
        new = 0
        told = _sparing(tell, lambda share: ImportEvent(file=str(path), stage=stage, fraction=share, conversations=new))

        def watch(share: float, found: int) -> None:
            nonlocal new
            new = found
            told(share)

        return Import(
            path,
            self._rooms.records,
            self._rooms.store,
            self._rooms.plugins,
            tell=watch,
            stopped=self._stopped.is_set,
            busy=lambda conversation: conversation in self._rooms.answering,
        )

    def _claim(self) -> None:
        if self._work is not None:
            raise ImportRunning("Something is being imported already; wait for it, or cancel it first.")
        self._stopped.clear()

    async def _do(self, work: Callable[[], T]) -> T:
        return await self._await(asyncio.ensure_future(asyncio.to_thread(work)))

    async def _await(self, future: asyncio.Future[T]) -> T:
        self._work = future  # type: ignore[assignment]
        try:
            return await future
        finally:
            self._work = None


def _whole(file: str) -> Path:
    path = Path(file)
    if not path.is_absolute() or "\0" in file:
        raise UsageError(f"{file!r} is no whole path; give the file with its folder.")
    return path


def _sparing(tell: Tell, event: Callable[[float], ImportEvent]) -> Callable[[float], None]:
    """Return what tells of a share from another thread, not more often than anybody can see."""
    loop = asyncio.get_running_loop()
    last = 0.0

    def told(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_SECONDS or share >= 1.0:
            last = now
            loop.call_soon_threadsafe(tell, event(share))

    return told
