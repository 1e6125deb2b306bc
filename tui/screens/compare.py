"""Two slots answer the same, side by side. Nothing of it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from ...schemas.errors import NightSchoolError
from ...schemas.events import ComparedEvent
from ...schemas.messages import CancelCompare, CompareSlots
from ...schemas.records import Slot
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink


class CompareScreen(ModalScreen[None]):
    """The slot of the chat on the left; which two are asked can be chosen."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("compare")]

    def __init__(self, link: EngineLink, slot: str, slots: Sequence[Slot], text: str) -> None:
        """``text``: what is offered as the question."""
        super().__init__()
        self.link = link
        self.slots = list(slots)
        other = next(row.name for row in slots if row.name != slot)
        self.chosen = [slot, other]
        self.text = text
        self.said = ["", ""]
        self.running = self.stopping = False

    def compose(self) -> ComposeResult:
        """The question, and a column for each slot."""
        options = [(Content(one_line(slot.title, 40)), slot.name) for slot in self.slots]
        with Vertical(classes="dialog", id="compare") as box:
            box.border_title = Content("Side by side")
            box.border_subtitle = "enter ask · tab slots · esc stop, back"
            yield Input(self.text, placeholder="What both are asked")
            with Horizontal():
                for place, name in enumerate(self.chosen):
                    with Vertical():
                        yield Select(options, value=name, allow_blank=False, compact=True, id=f"slot{place}")
                        with VerticalScroll():
                            yield Static("", id=f"said{place}", markup=False)

    def on_select_changed(self, event: Select.Changed) -> None:
        """Ask another slot from now on."""
        self.chosen[int(str(event.select.id)[-1])] = str(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask, unless they are speaking still."""
        if event.value.strip() and not self.running:
            self.running, self.stopping = True, False
            self.said = ["", ""]
            work_on(self, self._ask(CompareSlots(text=event.value.strip(), slots=list(self.chosen))))

    async def _ask(self, request: CompareSlots) -> None:
        self._draw()
        try:
            found = await self.link.call(request, self._hear)
            self.said = [row.text for row in found]
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        finally:
            self.running = False
        self._draw()

    def _hear(self, event: Any) -> None:
        if isinstance(event, ComparedEvent) and self.running:
            self.said[event.place] += event.text
            self.call_later(self._draw)

    def _draw(self) -> None:
        if self.display:
            for place, text in enumerate(self.said):
                self.query_one(f"#said{place}", Static).update(Content(safe(text) or ("…" if self.running else "")))

    def action_back(self) -> None:
        """Stop them; when they are silent, or asked a second time, back to the chat."""
        if self.running and not self.stopping:
            self.stopping = True
            work_on(self, self._stop())
        else:
            self.dismiss(None)

    async def _stop(self) -> None:
        try:
            await self.link.call(CancelCompare())
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
