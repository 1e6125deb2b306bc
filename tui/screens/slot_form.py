"""A slot's settings: for a new one, or for one that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from ...schemas.errors import NightSchoolError
from ...schemas.messages import CreateSlot, UpdateSlot
from ...schemas.records import Slot
from ..keys import bindings_of
from ..safe_text import one_line
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink


class SlotForm(ModalScreen[Slot | None]):
    """Give back the slot as it was saved; None: the user left."""

    CSS_PATH = "slot_form.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("form")]

    def __init__(self, link: EngineLink, slot: Slot | None) -> None:
        super().__init__()
        self.link = link
        self.slot = slot
        self.made: Slot | None = None
        """A new slot of which not all could be set."""

    def compose(self) -> ComposeResult:
        """The fields, and the line that says what is wrong."""
        slot = self.slot
        with VerticalScroll(classes="dialog", id="slot-form", can_focus=False) as box:
            box.border_title = Content(one_line(slot.title, 40) if slot else "New slot")
            box.border_subtitle = "ctrl+s save · tab next field · esc cancel"
            yield Static("Title", markup=False)
            yield Input(slot.title if slot else "", id="title", placeholder="Cooking", compact=True)
            yield Static("Description", markup=False)
            yield Input(slot.description if slot else "", id="description", placeholder="What it is for", compact=True)
            yield Static("System prompt (what it is told before every conversation)", markup=False)
            yield TextArea(
                slot.system_prompt if slot else "",
                id="system",
                tab_behavior="focus",
                compact=True,
                highlight_cursor_line=False,
            )
            yield Static("Temperature, 0 to 5 (0 takes the likeliest word)", markup=False)
            yield Input(f"{slot.temperature:g}" if slot else "0", id="temperature", compact=True)
            yield Static("Model it answers with alone (empty: any; alt+m in the chat lists them)", markup=False)
            yield Input(slot.base if slot else "", id="base", compact=True)
            yield Static(
                "Where its lower blocks compute (a server's name, local, or empty: as the profile)", markup=False
            )
            yield Input(slot.provider if slot else "", id="provider", compact=True)
            yield Static("", id="wrong", markup=False)

    def on_input_submitted(self) -> None:
        """Enter in a line saves."""
        self.action_save()

    def action_save(self) -> None:
        """Save in the background; the form stays until the engine agrees."""
        work_on(self, self._save(), exclusive=True)

    async def _save(self) -> None:
        title = self.query_one("#title", Input).value.strip()
        if not title:
            self._say("Give the slot a title.")
            return
        try:
            temperature = float(self.query_one("#temperature", Input).value.replace(",", "."))
        except ValueError:
            temperature = -1.0
        if not 0.0 <= temperature <= 5.0:
            self._say("The temperature must be a number from 0 to 5.")
            return
        fields = {
            "title": title,
            "description": self.query_one("#description", Input).value.strip(),
            "system_prompt": self.query_one("#system", TextArea).text.strip(),
        }
        more = {field: self.query_one(f"#{field}", Input).value.strip() for field in ("base", "provider")}
        try:
            if self.slot is None:  # kept: where what follows is refused, the next save must not make another
                self.slot = self.made = await self.link.call(CreateSlot(**fields))
            shown = {**self.slot.model_dump(), "temperature": float(f"{self.slot.temperature:g}")}
            entered = {**fields, **more, "temperature": temperature}
            changes: dict[str, Any] = {name: value for name, value in entered.items() if value != shown[name]}
            slot = await self.link.call(UpdateSlot(name=self.slot.name, **changes)) if changes else self.slot
        except NightSchoolError as error:
            self._say(str(error))
        else:
            self.dismiss(slot)

    def _say(self, sentence: str) -> None:
        self.query_one("#wrong", Static).update(Content.styled(one_line(sentence, 300), "$error"))

    def action_back(self) -> None:
        """Leave everything as it was; a slot that was made is seen in the chat, with what could be set of it."""
        self.dismiss(self.made)
