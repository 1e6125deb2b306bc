"""Which slots speak in a slot, and how much of each: one slider for each, heard with the next message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import UpdateSlot
from ...schemas.records import Slot
from ..keys import bindings_of
from ..safe_text import one_line
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink

_TENTHS = 20
"""Of the slider's end: 2.0, twice a slot."""
_ALONE = "It speaks with its own adapter alone."


class BlendScreen(ModalScreen[None]):
    """Every change is saved at once; without any weight the slot speaks alone."""

    CSS_PATH = "blend.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("blend")]

    def __init__(self, link: EngineLink, slot: Slot, slots: Sequence[Slot]) -> None:
        super().__init__()
        self.link = link
        self.slot = slot
        self.slots = list(slots)
        self.weights = dict(slot.blend)

    def compose(self) -> ComposeResult:
        """The sliders, and the line that says what they mean."""
        with Vertical(classes="dialog", id="blend") as box:
            box.border_title = Content(f"Voices in {one_line(self.slot.title, 40)}")
            box.border_subtitle = "left, right weight · x alone · esc back"
            yield OptionList(*(Option(self._row(slot)) for slot in self.slots), markup=False)
            yield Static(self._said(), id="said", markup=False)

    def on_mount(self) -> None:
        """Begin at the first slot."""
        rows = self.query_one(OptionList)
        rows.focus()
        rows.highlighted = 0

    def action_turn(self, tenths: int) -> None:
        """Change the weight of the highlighted slot."""
        place = self.query_one(OptionList).highlighted
        if place is None:
            return
        name = self.slots[place].name
        weight = max(0, min(_TENTHS, round(10 * self.weights.get(name, 0.0)) + tenths)) / 10
        self.weights.pop(name, None)
        if weight:
            self.weights[name] = weight
        self._changed()

    def action_alone(self) -> None:
        """Let the slot speak with its own adapter alone."""
        self.weights.clear()
        self._changed()

    def action_back(self) -> None:
        """Back to the chat; what was set stays."""
        self.dismiss(None)

    def _changed(self) -> None:
        rows = self.query_one(OptionList)
        for place, slot in enumerate(self.slots):
            rows.replace_option_prompt_at_index(place, self._row(slot))
        self._say(self._said())
        work_on(self, self._save(dict(self.weights)), exclusive=True)

    async def _save(self, weights: dict[str, float]) -> None:
        try:
            await self.link.call(UpdateSlot(name=self.slot.name, blend=weights))
        except NightSchoolError as error:
            self._say(str(error))

    def _say(self, sentence: str) -> None:
        self.query_one("#said", Static).update(Content(one_line(sentence, 300)))

    def _said(self) -> str:
        titles = {slot.name: slot.title for slot in self.slots}
        parts = [f"{one_line(titles.get(name, name), 30)} {weight:g}" for name, weight in self.weights.items()]
        return f"The next message is spoken with {' + '.join(parts)}." if parts else _ALONE

    def _row(self, slot: Slot) -> Content:
        weight = self.weights.get(slot.name, 0.0)
        filled = max(0, min(_TENTHS, round(10 * weight)))
        bar = "━" * filled + "─" * (_TENTHS - filled)
        return Content(f"{one_line(slot.title, 24):<24}  {bar}  {weight:.1f}")
