"""What is known of the user: read it, add to it, say it in other words, or have it forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import AddNote, ChangeNote, ForgetNote, ListNotes, Request, TeachNote
from ...schemas.records import MemoryNote
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from typing import Any

    from ..engine_link import EngineLink

ABOUT = (
    "What you say of yourself is noted here and told to the model. It is taught only if you say so: t makes a lesson "
    "of a note for the slot of your chat."
)


class MemoryScreen(ModalScreen[None]):
    """The notes of the profile, the oldest first."""

    CSS_PATH = "memory.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("memory")]

    def __init__(self, link: EngineLink, slot: str) -> None:
        super().__init__()
        self.link = link
        self.slot = slot
        self.notes: list[MemoryNote] = []

    def compose(self) -> ComposeResult:
        """The list, and what it is."""
        with Vertical(classes="dialog", id="memory") as box:
            box.border_title = Content("Memory")
            box.border_subtitle = "a add · e re-word · d forget · t teach · esc back"
            yield OptionList(markup=False)
            yield Static(ABOUT, markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        work_on(self, self._ask(None))

    async def _ask(self, request: Request[Any] | None) -> None:
        """Ask for a change, then for the list again, and keep the highlight."""
        try:
            if request is not None:
                await self.link.call(request)
            self.notes = await self.link.call(ListNotes())
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        rows = self.query_one(OptionList)
        place = rows.highlighted or 0
        rows.clear_options()
        rows.add_options([Option(_row(note)) for note in self.notes])
        rows.highlighted = min(place, len(self.notes) - 1) if self.notes else None

    @property
    def note(self) -> MemoryNote | None:
        """The highlighted note."""
        place = self.query_one(OptionList).highlighted
        return self.notes[place] if place is not None and place < len(self.notes) else None

    def action_add(self) -> None:
        """Remember something."""
        from .ask import AskScreen

        def entered(text: str | None) -> None:
            if text and text.strip():
                work_on(self, self._ask(AddNote(text=text.strip())))

        self.app.push_screen(AskScreen("What is to be remembered", ""), entered)

    def action_reword(self) -> None:
        """Put the highlighted note in other words."""
        from .ask import AskScreen

        note = self.note

        def entered(text: str | None) -> None:
            if text and text.strip() and note is not None:
                work_on(self, self._ask(ChangeNote(note=note.id, text=text.strip())))

        if note is not None:
            self.app.push_screen(AskScreen("The note in your words", note.text), entered)

    def action_drop(self) -> None:
        """Remove the highlighted note."""
        if self.note is not None:
            work_on(self, self._ask(ForgetNote(note=self.note.id)))

    def action_teach(self) -> None:
        """Make a lesson of the highlighted note."""
        if self.note is not None:
            work_on(self, self._teach(TeachNote(note=self.note.id, slot=self.slot)))

    async def _teach(self, request: TeachNote) -> None:
        try:
            lesson = await self.link.call(request)
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        else:
            self.app.notify(safe(f"The next study teaches: {lesson.rule}"), markup=False)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def _row(note: MemoryNote) -> Content:
    where = "" if note.slot is None else f"  ({one_line(note.slot, 40)} only)"
    return Content.assemble(one_line(note.text, 300), (where, "$foreground-muted"))
