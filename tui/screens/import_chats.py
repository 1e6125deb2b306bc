"""Conversations from elsewhere: name a file, see what it would bring, choose the slot, import."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ...schemas.errors import ImportStopped, NightSchoolError
from ...schemas.events import Event, ImportEvent
from ...schemas.exchange import ImportPreview
from ...schemas.messages import CancelImport, PreviewImport
from ..exchange_words import brings, preview_lines, progress_words
from ..keys import bindings_of
from ..safe_text import one_line
from ..widgets.status_line import bar
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool
    from ..session import Session

REDRAWS_PER_SECOND = 8
ABOUT = (
    "The export of ChatGPT or Claude (the zip as it comes), ShareGPT or OpenAI-style .jsonl, or Night School's own. "
    "Nothing is stored before you have seen what would come."
)


class ImportScreen(ModalScreen[None]):
    """The file above, what it would bring below. Closing it does not stop an import."""

    CSS_PATH = "import_chats.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("import")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.preview: ImportPreview | None = None
        self.reading: ImportEvent | None = None
        """How far the look at the file is; None while no file is read."""
        self.slot_name = session.slot_name
        self._drawn: ImportEvent | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """The path, what the file would bring, and how far reading or importing is."""
        with Vertical(classes="dialog", id="import") as box:
            box.border_title = Content("Import conversations")
            box.border_subtitle = "enter look · ctrl+t slot · ctrl+s import · ctrl+x stop · esc back"
            yield Input(placeholder="~/Downloads/chatgpt-export.zip", compact=True)
            with VerticalScroll(id="what", can_focus=False):
                yield Static(ABOUT, markup=False)
            yield Static("", id="where", markup=False)
            yield Static("", id="progress", markup=False)

    def on_mount(self) -> None:
        """Be ready for the path."""
        self.query_one(Input).focus()
        self.set_interval(1 / REDRAWS_PER_SECOND, self._draw_progress)
        self._draw_progress()

    # -- looking ------------------------------------------------------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look what the file would bring."""
        if event.value.strip() and self.reading is None and self.session.importing is None:
            work_on(self, self._look(str(path_of(event.value))), exclusive=True)

    def on_input_changed(self) -> None:
        """What was shown is of another file."""
        self._set(None)

    async def _look(self, file: str) -> None:
        def told(event: Event) -> None:
            if isinstance(event, ImportEvent) and self.reading is not None:
                self.reading = event

        self._set(None)
        self.reading = ImportEvent(file=file, stage="Reading", fraction=0.0)
        preview, refusal = None, Content()
        try:
            preview = await self.night.link.call(PreviewImport(file=file), told)
        except ImportStopped:
            refusal = Content("Stopped; nothing was stored.")
        except NightSchoolError as error:
            refusal = Content.styled(one_line(str(error), 900), "$error")
        finally:
            self.reading = None
        self._draw_progress()
        self._set(preview)
        if preview is None:
            self._show(refusal)

    def _set(self, preview: ImportPreview | None) -> None:
        """Show what a file would bring, and where it would go."""
        self.preview = preview
        if preview is None:
            self._show(Content.styled(ABOUT, "$foreground-muted"))
        else:
            first, *rest = preview_lines(preview)
            self._show(Content("\n").join([Content.styled(first, "bold"), *map(Content, rest)]))
        self._draw_where()

    def _show(self, content: Content) -> None:
        self.query_one("#what > Static", Static).update(content)

    def _draw_where(self) -> None:
        if not self.check_action("bring", ()):
            self.query_one("#where", Static).update("")
        elif self._names_slots():
            self.query_one("#where", Static).update("ctrl+s imports them into the slots that they name.")
        else:
            title = one_line(self.session.title_of(self.slot_name), 40)
            words = Content.assemble("ctrl+s imports them into ", (title, "bold $primary"), "; ctrl+t: another slot.")
            self.query_one("#where", Static).update(words)
        self.refresh_bindings()

    def _names_slots(self) -> bool:
        return self.preview is not None and any(self.preview.slots)

    def _draw_progress(self) -> None:
        event = self.reading or self.session.importing
        if event is not self._drawn:
            self._drawn = event
            self.query_one("#progress", Static).update(progress(event) if event else "")
            self.refresh_bindings()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        idle = self.reading is None and self.session.importing is None
        ready = idle and self.preview is not None and brings(self.preview.found)
        return {"bring": ready, "slot": ready and not self._names_slots(), "cancel": not idle}.get(action, True)

    def action_slot(self) -> None:
        """Let the next slot take them."""
        names = [slot.name for slot in self.session.slots]
        if names:
            place = names.index(self.slot_name) if self.slot_name in names else -1
            self.slot_name = names[(place + 1) % len(names)]
            self._draw_where()

    def action_bring(self) -> None:
        """Import what was shown."""
        if self.preview is not None:
            self.night.start_import(self.preview.file, None if self._names_slots() else self.slot_name or None)
            self._set(None)

    def action_cancel(self) -> None:
        """Stop reading or importing."""
        work_on(self, self._cancel(), group="cancel")

    async def _cancel(self) -> None:
        try:
            await self.night.link.call(CancelImport())
        except NightSchoolError as error:
            self.night.chat.tell(str(error), "error")

    def import_ended(self) -> None:
        """Back to the chat, where the conversations are now."""
        self.dismiss(None)

    def action_back(self) -> None:
        """Back to the chat; nobody waits for a preview any more."""
        if self.reading is not None:
            self.night.run_worker(self._cancel(), group="cancel")
        self.dismiss(None)


def path_of(text: str) -> Path:
    """Return the path that was entered, or dropped into the terminal, which quotes it or escapes its spaces."""
    plain = _at_home(text.strip())
    if not os.path.exists(plain):  # noqa: PTH110 (Path's own raises for a name too long, or in a folder of others)
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        if len(words) == 1:
            plain = _at_home(words[0].removeprefix("file://"))
    return plain.absolute()


def _at_home(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111 (Path's own raises where there is no such user)


def progress(event: ImportEvent) -> Content:
    """Return how far reading or importing is, in words and as a bar."""
    words = Content.styled(progress_words(event), "$accent")
    return Content.assemble(words, "\n", bar(event.fraction, 40), (f" {event.fraction:.0%}", "bold"))
