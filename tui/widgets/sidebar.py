"""The left side: the slots with their generation, and the conversations of the selected one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message as UiMessage
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.records import Conversation, Slot
from ..keys import bindings_of
from ..safe_text import one_line

WIDTH = 28


class Sidebar(Vertical):
    """Slots above, conversations below."""

    DEFAULT_CSS = """
    Sidebar {
        width: 30;
        height: 100%;
        background: $surface;
        padding: 1 0 0 0;
        & > .brand { padding: 0 2; height: 2; text-style: bold; color: $primary; }
        & > .heading { padding: 0 2; height: 1; color: $text-muted; text-style: bold; }
        & > OptionList { border: none; padding: 0 1; background: transparent; scrollbar-size-vertical: 1; }
        & > OptionList:focus { background: $boost; border: none; }
        & > #slots { height: auto; max-height: 40%; margin-bottom: 1; }
        & > #conversations { height: 1fr; }
    }
    """

    class SlotChosen(UiMessage):
        """A slot was picked in the list."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class ConversationChosen(UiMessage):
        """A conversation was picked in the list; None: a new one."""

        def __init__(self, conversation: int | None) -> None:
            super().__init__()
            self.conversation = conversation

    def compose(self) -> ComposeResult:
        """Two headed lists."""
        yield Static("☾ Night School", classes="brand", markup=False)
        yield Static("SLOTS", classes="heading", markup=False)
        yield OptionList(id="slots", markup=False)
        yield Static("CONVERSATIONS", classes="heading", markup=False)
        yield Conversations(id="conversations", markup=False)

    def show_slots(self, slots: Sequence[Slot], selected: str) -> None:
        """Draw the slots; the selected one carries a mark, and a number shows lessons that wait."""
        options = [Option(self._slot_line(slot, slot.name == selected), id=slot.name) for slot in slots]
        place = next((place for place, slot in enumerate(slots) if slot.name == selected), None)
        _fill(self.query_one("#slots", OptionList), options, place)

    def show_conversations(self, conversations: Sequence[Conversation], selected: int | None) -> None:
        """Draw the conversations of the slot, the latest first, below the line for a new one."""
        options = [Option(_conversation_line("+ new conversation", selected is None), id="new")]
        options += [
            Option(_conversation_line(row.title or "Untitled", row.id == selected), id=str(row.id))
            for row in conversations
        ]
        place = next((place for place, row in enumerate(conversations, 1) if row.id == selected), 0)
        _fill(self.query_one("#conversations", OptionList), options, place)

    @staticmethod
    def _slot_line(slot: Slot, selected: bool) -> Content:
        waiting = f"●{slot.waiting}" if slot.waiting else ""
        generation = f"gen {slot.current}" if slot.current else "base"
        right = f"{generation:>6}"
        name_width = WIDTH - 4 - len(right) - len(waiting) - bool(waiting)
        name = one_line(slot.title, name_width)
        gap = " " * max(name_width - Content(name).cell_length, 0)
        return Content.assemble(
            ("▌" if selected else " ", "$primary"),
            (name, "bold $primary" if selected else ""),
            gap,
            (f"{waiting} " if waiting else "", "$success"),
            (right, "$foreground-muted"),
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Turn a picked line into what it means."""
        event.stop()
        name = event.option.id or ""
        if event.option_list.id == "slots":
            self.post_message(self.SlotChosen(name))
        else:
            self.post_message(self.ConversationChosen(None if name == "new" else int(name)))


class Conversations(OptionList):
    """The list of conversations, with keys of its own for the highlighted one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, show=False) for row in bindings_of("conversations")]

    class Asked(UiMessage):
        """Rename or delete the highlighted conversation."""

        def __init__(self, what: str, conversation: int) -> None:
            super().__init__()
            self.what = what
            self.conversation = conversation

    def action_ask(self, what: str) -> None:
        """Post what is wanted of the highlighted conversation."""
        option = self.highlighted_option
        if option is not None and option.id not in (None, "new"):
            self.post_message(self.Asked(what, int(option.id)))


def _conversation_line(title: str, selected: bool) -> Content:
    text = one_line(title, WIDTH - 4)
    return Content.assemble(
        ("▌" if selected else " ", "$primary"),
        (text, "bold" if selected else "$foreground-muted" if title[0] == "+" else ""),
    )


def _fill(options: OptionList, rows: list[Option], place: int | None) -> None:
    """Replace all rows in one go and keep the highlight on the selected one."""
    options.clear_options()
    options.add_options(rows)
    options.highlighted = place
