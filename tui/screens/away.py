"""The slots that are out of sight: archived, or deleted and not removed yet; and the way back for each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...engine.slots.lifecycle import KEPT_DAYS, KEPT_SECONDS
from ...schemas.errors import NightSchoolError
from ...schemas.messages import ArchiveSlot, DeleteSlot, ListSlots, Request, UndeleteSlot
from ...schemas.records import Slot
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from typing import Any

    from ..engine_link import EngineLink

ABOUT = (
    "An archived slot keeps everything and is not studied at night. A deleted one can come back, with its "
    f"conversations and lessons, for {KEPT_DAYS} days; then it is removed for good."
)


class AwayScreen(ModalScreen[None]):
    """Archived slots first, then deleted ones."""

    CSS_PATH = "away.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("away")]

    def __init__(self, link: EngineLink) -> None:
        super().__init__()
        self.link = link
        self.slots: list[Slot] = []

    def compose(self) -> ComposeResult:
        """The list, and what it is."""
        with Vertical(classes="dialog", id="away") as box:
            box.border_title = Content("Slots out of sight")
            box.border_subtitle = "b bring back · d delete · esc back"
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
            rows = await self.link.call(ListSlots(archived=True, deleted=True))
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
            return
        away = [row for row in rows if row.archived is not None or row.deleted is not None]
        self.slots = sorted(away, key=lambda row: row.deleted or 0.0)
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(_row(slot)) for slot in self.slots])
        if not self.slots:
            options.add_option(Option(Content("No slot is archived or deleted."), disabled=True))
        options.highlighted = min(place, len(self.slots) - 1) if self.slots else None

    @property
    def slot(self) -> Slot | None:
        """The highlighted slot."""
        place = self.query_one(OptionList).highlighted
        return self.slots[place] if place is not None and place < len(self.slots) else None

    def action_bring_back(self) -> None:
        """Let the highlighted slot be in use again."""
        slot = self.slot
        if slot is not None and slot.deleted is not None:
            work_on(self, self._ask(UndeleteSlot(slot=slot.name)))
        elif slot is not None:
            work_on(self, self._ask(ArchiveSlot(slot=slot.name, archived=False)))

    def action_discard(self) -> None:
        """Delete the highlighted archived slot, if the user agrees."""
        from .ask import ConfirmScreen

        slot = self.slot
        if slot is None or slot.deleted is not None:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                work_on(self, self._ask(DeleteSlot(slot=slot.name)))

        self.app.push_screen(ConfirmScreen(*delete_question(slot)), answered)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def delete_question(slot: Slot) -> tuple[str, str, str]:
    """Return what is asked before a slot is deleted: question, subject and the word for yes."""
    subject = f"Its conversations and lessons go with it. All of it can be brought back for {KEPT_DAYS} days."
    return f"Delete {one_line(slot.title, 40)}?", subject, "Delete"


def _row(slot: Slot) -> Content:
    if slot.deleted is not None:
        end = time.strftime("%d %b %Y", time.localtime(slot.deleted + KEPT_SECONDS))
        what = f"deleted, kept until {end}"
    else:
        what = f"archived {time.strftime('%d %b %Y', time.localtime(slot.archived))}"
    return Content.assemble(f"{one_line(slot.title, 40):<40}", (f"  {what}", "$foreground-muted"))
