"""Commands of files: conversations brought from other chats, and written for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from ...schemas.errors import NightSchoolError, UsageError
from ...schemas.events import Event, ImportEvent
from ...schemas.exchange import ExportForm, ImportPreview, ImportReading, ImportResult
from ...schemas.messages import (
    CancelImport,
    ExportConversations,
    ListSlots,
    PreviewImport,
    ReadImported,
    Request,
    RunImport,
    UpdateLesson,
)
from ...schemas.records import LessonState
from ..exchange_words import (
    brings,
    left_lines,
    preview_lines,
    progress_words,
    reading_line,
    result_line,
    to_confirm,
)
from .desk import Desk, talks_alone
from .options import any_slot_option, examples
from .output import lesson_table

R = TypeVar("R")

CANCEL_SECONDS = 10.0
"""How long a stopped import may take to end."""
BLOCK = 2**16


@click.command(
    "import",
    epilog=examples(
        "nightschool conversations import chatgpt-export.zip",
        "nightschool conversations import conversations.json --slot creative --yes",
        "nightschool conversations import chats.jsonl --dry-run --json",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--slot", metavar="SLOT", help="The slot that takes them; without it you are asked.")
@click.option("--yes", is_flag=True, help="Do not ask; without --slot the file's own slots, else the first one.")
@click.option("--dry-run", is_flag=True, help="Only say what it would bring; nothing is stored.")
@click.option("--no-lessons", is_flag=True, help="Do not look for what they teach.")
@talks_alone
async def import_file(desk: Desk, file: Path, *, slot: str | None, yes: bool, dry_run: bool, no_lessons: bool) -> None:
    """Bring conversations from the export of another chat.

    Reads exports of ChatGPT and Claude (the zip as it comes, or the file inside), ShareGPT, OpenAI-style JSON lines,
    and Night School's own. What is here already is left alone; what has grown since goes on. First it says what would
    come. Ctrl+c stops it; importing again brings the rest.

    Then it says what they teach. Only what you said there to be for good is learned by itself; the rest waits until you
    approve it, here or later.
    """
    alone = not (sys.stdin.isatty() and sys.stderr.isatty())
    if alone and not (yes or dry_run):
        raise UsageError("Nobody can be asked here; give --yes to import, or --dry-run to look only.")
    named = await desk.slot_filter(slot)
    path = str(file.absolute())
    preview = await _stoppable(desk, PreviewImport(file=path))
    if dry_run or not brings(preview.found):
        desk.give({"preview": preview, "result": None, "lessons": None}, preview_lines(preview))
        return
    if not yes:
        named = await _asked(desk, preview, named)
    result = await _stoppable(desk, RunImport(file=path, slot=named))
    reading = None if no_lessons else await _stoppable(desk, ReadImported())
    lines = [result_line(result), *left_lines(result.found), *_taught(reading)]
    if reading is not None and not yes and to_confirm(reading):
        reading = await _confirmed(desk, reading)
        lines.append(reading_line(reading))
    desk.give({"preview": preview, "result": result, "lessons": reading}, lines)


def _taught(reading: ImportReading | None) -> list[str]:
    if reading is None or not reading.lessons:
        return []
    lines = [reading_line(reading), *lesson_table(reading.lessons)]
    return [*lines, "Approve lessons with `nightschool lessons approve LESSON...`."] if to_confirm(reading) else lines


async def _confirmed(desk: Desk, reading: ImportReading) -> ImportReading:
    """Ask which of the lessons are to be learned, and approve those."""
    for line in _taught(reading)[:-1]:
        desk.note(line)
    known = {str(lesson.id): lesson for lesson in to_confirm(reading)}
    while True:
        said = click.prompt("Learn which of those to be confirmed (numbers, all or none)", default="none", err=True)
        words = [] if said == "none" else list(known) if said == "all" else said.replace(",", " ").split()
        if all(word in known for word in words):
            break
        desk.note(f"Say some of {', '.join(known)}, or all, or none.")
    asked = [UpdateLesson(lesson=known[word].id, state=LessonState.APPROVED) for word in words]
    changed = {lesson.id: lesson for lesson in [await desk.ask(one) for one in asked]}
    return reading.model_copy(update={"lessons": [changed.get(one.id, one) for one in reading.lessons]})


async def _stoppable(desk: Desk, request: Request[R]) -> R:
    """Ask for what takes a while; ctrl+c stops it in the engine first, and what was done is still said."""
    work = asyncio.ensure_future(desk.ask(request, partial(_show, desk)))
    try:
        done = await asyncio.shield(work)
    except asyncio.CancelledError:
        with contextlib.suppress(NightSchoolError, TimeoutError):
            await asyncio.wait_for(desk.ask(CancelImport()), CANCEL_SECONDS)
        await asyncio.wait({work}, timeout=CANCEL_SECONDS)
        if work.done() and not work.cancelled() and work.exception() is None:
            ended = work.result()
            desk.note(_stopped(ended))
        work.cancel()
        raise
    desk.status.clear()
    return done


def _stopped(ended: object) -> str:
    if isinstance(ended, ImportReading):
        return "Stopped; importing the file again looks for the lessons that are left."
    return result_line(ended) if isinstance(ended, ImportResult) else "Stopped; nothing was stored."


def _show(desk: Desk, event: Event) -> None:
    if isinstance(event, ImportEvent):
        # Where lines cannot be redrawn, one for every tenth is enough.
        tenth = f"{int(event.fraction * 10) * 10:3}%  {event.stage}"
        desk.status.show(f"{event.fraction:4.0%}  {progress_words(event)}", tenth)


async def _asked(desk: Desk, preview: ImportPreview, named: str | None) -> str | None:
    """Show the preview, ask where the conversations go and whether they shall come; the slot, None: their own."""
    for line in preview_lines(preview):
        desk.note(line)
    if named is None and (preview.found.new or preview.found.lessons) and not any(preview.slots):
        slots = [slot.name for slot in await desk.ask(ListSlots())]
        choice = click.Choice(slots, case_sensitive=False)
        named = click.prompt("Into which slot", default=slots[0], type=choice, err=True)
    click.confirm(f"Import into {named or 'the slots that they name'}?", default=True, abort=True, err=True)
    return named


# -- export -----------------------------------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "nightschool conversations export 7",
        "nightschool conversations export --format jsonl --output chats.jsonl",
        "nightschool conversations export --format nightschool --lessons --output all.jsonl",
    )
)
@click.argument("numbers", metavar="[CONVERSATION]...", type=click.IntRange(min=1), nargs=-1)
@any_slot_option
@click.option(
    "--format", "form", metavar="FORM", default=ExportForm.MARKDOWN.value,
    show_default=True, help="markdown to read; JSON lines as OpenAI (jsonl) or ShareGPT (sharegpt) have them; "
    "nightschool with edits, thumbs, slots and signals, for another profile; or one that a plugin supplies.",
)  # fmt: skip
@click.option("--lessons", is_flag=True, help="The lessons too; only with --format nightschool.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Without it stdout.")
@talks_alone
async def export(
    desk: Desk, numbers: tuple[int, ...], *, slot: str | None, form: str, lessons: bool, output: Path | None
) -> None:
    """Write conversations as text for other programs; without numbers all of them.

    With --json, the document on stdout says how many were written, so it needs --output.
    """
    if desk.as_json and output is None:
        raise UsageError("--json and the export would share stdout; give --output FILE, or leave --json out.")
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {output.absolute().parent}; make it first.")
    named = await desk.slot_filter(slot)
    with tempfile.TemporaryDirectory(prefix="nightschool-") as folder:
        target = Path(folder) / "export" if output is None else output.absolute()
        request = ExportConversations(
            file=str(target), form=form, conversations=list(numbers), slot=named, lessons=lessons
        )
        written = await desk.ask(request, partial(_show, desk))
        if output is None:
            with target.open(encoding="utf-8", newline="") as stream:
                while block := stream.read(BLOCK):
                    desk.write(block)
            return
    desk.give(written, ())
    desk.note(f"{written.conversations} conversations are in {output}.")
