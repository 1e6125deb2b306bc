"""The files of the scripted engine: one export of chats that is previewed and imported in steps; and exports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..engine.exchange.export import to_markdown, to_openai_line
from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.errors import ImportStopped, NotFound
from ..schemas.events import Event, ImportEvent
from ..schemas.exchange import ExportForm, ExportResult, Found, ImportPreview, ImportReading, ImportResult

Tell = Callable[[Event], None]

PREVIEW = ImportPreview(
    file="", importers=["ChatGPT (conversations.json, or its zip)"],
    found=Found(new=3, known=2, turns=14, skipped={"nothing was said in it": 1}),
    first=1_712_345_678.0, last=1_718_000_000.0, titles=["Rye bread", "A swing in the oak", "Knots"], slots={"": 3},
)  # fmt: skip


class ScriptedExchange:
    """The part of the scripted engine that answers ``imports.*`` and ``exports.*``."""

    pause: float
    steps: int
    hold: asyncio.Event
    slots: dict[str, rec.Slot]
    conversations: dict[int, rec.Conversation]
    lessons: dict[int, rec.Lesson]
    add_conversation: Callable[[str, str], rec.Conversation]
    add_message: Callable[..., rec.Message]
    _of: Callable[[int], list[rec.Message]]

    def __init__(self) -> None:
        self.preview = PREVIEW
        """What every file holds; one that is called ``none`` is not there."""
        self.reading = ImportReading(conversations=3)
        """What every import teaches."""
        self._import_stopped = False

    async def _imports_preview(self, request: ask.PreviewImport, tell: Tell) -> ImportPreview:
        await self._read(request.file, "Reading", tell)
        return self.preview.model_copy(update={"file": request.file})

    async def _imports_run(self, request: ask.RunImport, tell: Tell) -> ImportResult:
        try:
            await self._read(request.file, "Importing", tell)
        except ImportStopped:
            return ImportResult(file=request.file, found=Found(), cancelled=True)
        numbers = []
        for title in self.preview.titles:
            row = self.add_conversation(request.slot or next(iter(self.slots)), title)
            self.conversations[row.id] = row.model_copy(update={"origin": "chatgpt"})
            self.add_message(row.id, rec.Role.USER, title)
            self.add_message(row.id, rec.Role.ASSISTANT, "Gladly.")
            numbers.append(row.id)
        return ImportResult(file=request.file, found=self.preview.found, conversations=numbers)

    async def _imports_read(self, request: ask.ReadImported, tell: Tell) -> ImportReading:
        await self._read("", "Looking for lessons", tell)
        self.lessons.update({lesson.id: lesson for lesson in self.reading.lessons})
        return self.reading

    async def _imports_cancel(self, request: ask.CancelImport, tell: Tell) -> bool:
        self._import_stopped = True
        return True

    async def _read(self, file: str, stage: str, tell: Tell) -> None:
        if Path(file).name == "none":
            raise NotFound(f"There is no file {file}; check its name.")
        self._import_stopped = False
        for step in range(self.steps + 1):
            tell(ImportEvent(file=file, stage=stage, fraction=step / self.steps, conversations=step))
            await asyncio.sleep(self.pause)
            while not self.hold.is_set() and not self._import_stopped:
                await asyncio.sleep(0.005)
            if self._import_stopped:
                raise ImportStopped("Stopped.")

    async def _exports_run(self, request: ask.ExportConversations, tell: Tell) -> ExportResult:
        rows = sorted(self.conversations.values(), key=lambda row: -row.updated)
        if request.conversations:
            rows = [self.conversations[number] for number in request.conversations]
        rows = [row for row in rows if request.slot in (None, row.slot)]
        with Path(request.file).open("w", encoding="utf-8") as stream:
            for row in rows:
                messages = self._of(row.id)
                markdown = request.form == ExportForm.MARKDOWN
                stream.write(to_markdown(row, messages) if markdown else to_openai_line(messages) + "\n")
        return ExportResult(file=request.file, conversations=len(rows))
