"""Search all conversations while typing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import SearchConversations
from ...schemas.records import Role, SearchHit
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from textual import events

    from ..engine_link import EngineLink

WAIT = 0.12
"""Seconds without a key before the engine is asked."""
BEGIN, END = "\ue000", "\ue001"


def excerpt(text: str) -> Content:
    """Return an excerpt on one line with its match shown; the text itself is never markup."""
    parts: list[tuple[str, str]] = []
    for place, piece in enumerate(" ".join(safe(text).split()).split(BEGIN)):
        match, end, rest = piece.partition(END)
        if place and end:
            parts += [(match, "bold $accent"), (rest, "")]
        else:
            parts.append((piece.replace(END, ""), ""))
    return Content.assemble(*parts)


class SearchScreen(ModalScreen[SearchHit | None]):
    """Give back the message that the user picks."""

    CSS_PATH = "search.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("search")]

    def __init__(self, link: EngineLink) -> None:
        super().__init__()
        self.link = link
        self.hits: list[SearchHit] = []

    def compose(self) -> ComposeResult:
        """A line to type in and the results below it."""
        with Vertical(classes="dialog", id="search") as box:
            box.border_title = "Search conversations"
            box.border_subtitle = "↑↓ choose · enter open · esc back"
            yield Input(placeholder="Words that must all occur")
            yield Static("", id="found", markup=False)
            yield OptionList(markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search for what is written now; an older search is dropped, and enter opens nothing of it."""
        self.query_one(OptionList).highlighted = None
        work_on(self, self._search(event.value), group="search", exclusive=True)

    async def _search(self, query: str) -> None:
        await asyncio.sleep(WAIT)
        sentence = ""
        hits: list[SearchHit] = []
        if query.strip():
            try:
                hits = await self.link.call(SearchConversations(query=query.strip()))
                sentence = f"{len(hits)} found" if hits else "Nothing found."
            except NightSchoolError as error:
                sentence = one_line(str(error))
        self.query_one("#found", Static).update(Content(sentence))
        results = self.query_one(OptionList)
        self.hits = hits  # with the rows: one that is shown can be clicked
        results.clear_options()
        results.add_options([Option(self._row(hit)) for hit in self.hits])
        results.highlighted = 0 if self.hits else None

    @staticmethod
    def _row(hit: SearchHit) -> Content:
        who = "you" if hit.role is Role.USER else "reply"
        where = f"{one_line(hit.title or 'Untitled', 40)} · {one_line(hit.slot, 20)} · {who}\n"
        return Content.assemble((where, "$foreground-muted"), excerpt(hit.excerpt))

    def on_key(self, event: events.Key) -> None:
        """Up and down move through the results while the words keep the focus."""
        results = self.query_one(OptionList)
        if event.key in ("up", "down") and self.focused is not results:
            event.stop()
            results.action_cursor_up() if event.key == "up" else results.action_cursor_down()

    def on_input_submitted(self) -> None:
        """Open the highlighted result."""
        place = self.query_one(OptionList).highlighted
        if place is not None and place < len(self.hits):
            self.dismiss(self.hits[place])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the result that was clicked."""
        self.dismiss(self.hits[event.option_index])

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)
