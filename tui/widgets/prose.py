"""A reply as one widget: Markdown that may still be growing."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget

from ..markdown_lines import BLANK, markdown_lines, split_last
from ..safe_text import safe


class Prose(Widget):
    """Shows Markdown; a piece that is appended costs what the last block costs, however long the rest is."""

    DEFAULT_CSS = """
    Prose { height: auto; width: 100%; text-wrap: nowrap; }
    """

    class LinkClicked(Message):
        """A link was clicked; nothing happens by itself."""

        def __init__(self, address: str) -> None:
            super().__init__()
            self.address = address

    def __init__(self, source: str, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.source = source
        self._begin()

    def _begin(self, width: int = 0) -> None:
        self._width = width
        self._settled: list[Content] = []
        """Lines of the blocks that can no longer change, for this width."""
        self._settled_to = 0
        self._lines: list[Content] | None = None

    def update(self, source: str) -> None:
        """Show another text."""
        self.source = source
        self._begin(self._width)
        self.refresh(layout=True)

    def append(self, piece: str) -> None:
        """Show more of the text."""
        self.source += piece
        before, settled = len(self._lines or ()), len(self._settled)
        self._lines = None
        after = len(self.lines(self._width))
        if after == before:
            self.refresh(Region(0, settled, self.size.width, after - settled))
        else:
            self.refresh(layout=True)

    def lines(self, width: int) -> list[Content]:
        """Return all lines for a width."""
        if width != self._width:
            self._begin(width)
        if self._lines is None:
            tail = safe(self.source[self._settled_to :])
            cut = split_last(tail)
            if cut:
                self._settled += [*markdown_lines(tail[:cut], width), BLANK]
                # safe() drops carriage returns, so what is settled is counted in the text as it came
                self._settled_to = _original_place(self.source, self._settled_to, cut)
            self._lines = [*self._settled, *markdown_lines(tail[cut:], width)]
        return self._lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of lines."""
        return len(self.lines(width)) if width else 0

    def render_line(self, y: int) -> Strip:
        """Draw one line; only those in sight are ever asked for, so a long reply costs no more than a short one."""
        width = self.content_size.width
        lines = self.lines(width)
        style = self.visual_style
        if y >= len(lines) or not lines[y]:
            return Strip.blank(width, style.rich_style).apply_offsets(0, y)
        line = lines[y]
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is not None:
            chosen = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            line = line.stylize(chosen, span[0], len(line) if span[1] < 0 else span[1])
        strip = Visual.to_strips(self, line, width, 1, style, apply_selection=False)[0]
        return strip.extend_cell_length(width, style.rich_style).apply_offsets(0, y)

    def render(self) -> Content:
        """Return all lines as one text, already wrapped; what is selected is cut from it."""
        return Content("\n").join(self.lines(self.content_size.width or self._width))

    def action_link(self, address: str) -> None:
        """Tell that a link was clicked."""
        self.post_message(self.LinkClicked(address))


def _original_place(source: str, start: int, count: int) -> int:
    """Return the place in ``source`` after ``count`` characters of its safe form, from ``start`` on."""
    place = start
    while count > 0:
        count -= len(safe(source[place]))
        place += 1
    return place
