"""Markdown laid out as lines of styled text for a given width: what a reply looks like, without any widget.

Textual's own ``Markdown`` makes a widget of every block, and every new piece of a reply lays all of them out again:
measured 40 to 90 ms a piece in a long reply, so that keys wait. A reply drawn from lines is one widget, and a piece
costs what its last block costs. HTML is shown as text, and a line end in a reply is a line end on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from textual.content import Content
from textual.style import Style

NARROW = 12
"""No block is laid out narrower than this."""
BLANK = Content("")
BULLETS = "•◦▪"


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the parser: tables, strike-through and bare links, no HTML."""
    return MarkdownIt("gfm-like", {"html": False})


def split_last(source: str) -> int:
    """Return where the last block of a text begins: what stands before it will not change when more text comes."""
    blocks = [token for token in parser().parse(source) if token.level == 0 and token.map and token.nesting >= 0]
    if len(blocks) < 2 or blocks[-1].map is None:
        return 0
    return sum(len(line) for line in source.splitlines(keepends=True)[: blocks[-1].map[0]])


def markdown_lines(source: str, width: int) -> list[Content]:
    """Return the lines of a text; blocks are set apart by one empty line."""
    return _blocks(SyntaxTreeNode(parser().parse(source)).children, max(width, NARROW))


def _blocks(nodes: Iterable[SyntaxTreeNode], width: int, *, tight: bool = False) -> list[Content]:
    lines: list[Content] = []
    for node in nodes:
        if lines and not tight:
            lines.append(BLANK)
        lines += _LAYOUTS.get(node.type, _plain)(node, width)
    return lines


# -- blocks -----------------------------------------------------------------------------------------------------------


def _wrapped(content: Content, width: int) -> list[Content]:
    return [part for line in content.split("\n", allow_blank=True) for part in (line.wrap(width) if line else [BLANK])]


def _plain(node: SyntaxTreeNode, width: int) -> list[Content]:
    return _wrapped(Content(node.content), width)


def _paragraph(node: SyntaxTreeNode, width: int) -> list[Content]:
    return _wrapped(_inline(node), width)


def _heading(node: SyntaxTreeNode, width: int) -> list[Content]:
    style = "bold underline $primary" if node.tag == "h1" else "bold $primary"
    return _wrapped(_inline(node).stylize(style), width)


def _list(node: SyntaxTreeNode, width: int) -> list[Content]:
    lines: list[Content] = []
    ordered = node.type == "ordered_list"
    first = int(node.attrs.get("start", 1)) if ordered else 1
    depth = sum(parent.type == "bullet_list" for parent in _parents(node))
    tight = all(child.hidden for item in node.children for child in item.children if child.type == "paragraph")
    digits = len(str(first + len(node.children) - 1))
    for number, item in enumerate(node.children, first):
        marker = f"{number:>{digits}}. " if ordered else f"{BULLETS[depth % len(BULLETS)]} "
        if lines and not tight:
            lines.append(BLANK)
        inner = _blocks(item.children, max(width - len(marker), NARROW), tight=tight) or [BLANK]
        lines.append(Content.assemble((marker, "$primary"), inner[0]))
        lines += [Content.assemble(" " * len(marker), line) for line in inner[1:]]
    return lines


def _parents(node: SyntaxTreeNode) -> Iterable[SyntaxTreeNode]:
    while node.parent is not None:
        node = node.parent
        yield node


def _quote(node: SyntaxTreeNode, width: int) -> list[Content]:
    inner = _blocks(node.children, max(width - 2, NARROW))
    return [Content.assemble(("▎ ", "$accent"), line.stylize_before("italic")) for line in inner]


def _code(node: SyntaxTreeNode, width: int) -> list[Content]:
    from textual.highlight import highlight

    language = (node.info.split() or ["text"])[0] if node.type == "fence" else "text"
    code = highlight(node.content.rstrip("\n").expandtabs(4), language=language)
    lines = [
        part for line in code.split("\n", allow_blank=True) for part in (line.fold(width - 4) if line else [BLANK])
    ]
    return [
        line.pad_left(2).pad_right(max(width - 2 - line.cell_length, 0)).stylize_before("on $surface")
        for line in [BLANK, *lines, BLANK]
    ]


def _rule(node: SyntaxTreeNode, width: int) -> list[Content]:
    return [Content.styled("─" * width, "$foreground-disabled")]


def _table(node: SyntaxTreeNode, width: int) -> list[Content]:
    rows = [[_inline(cell) for cell in row.children] for part in node.children for row in part.children]
    columns = max(len(row) for row in rows)
    wide = [max((row[place].cell_length for row in rows if place < len(row)), default=1) for place in range(columns)]
    space = max(width - 2 * (columns - 1), columns)
    if sum(wide) > space:
        wide = [max(space * cells // sum(wide), 1) for cells in wide]
    lines: list[Content] = []
    for number, row in enumerate(rows):
        cells = [_wrapped(cell, max(room, 2)) or [BLANK] for cell, room in zip(row, wide, strict=False)]
        for height in range(max(len(cell) for cell in cells)):
            parts = [cell[height] if height < len(cell) else BLANK for cell in cells]
            padded = [part.pad_right(max(room - part.cell_length, 0)) for part, room in zip(parts, wide, strict=False)]
            line = Content("  ").join(padded)
            lines.append(line.stylize("bold $primary") if number == 0 else line)
        if number == 0:
            lines.append(Content.styled("  ".join("─" * room for room in wide), "$foreground-disabled"))
    return lines


_LAYOUTS: dict[str, Callable[[SyntaxTreeNode, int], list[Content]]] = {
    "paragraph": _paragraph,
    "heading": _heading,
    "bullet_list": _list,
    "ordered_list": _list,
    "blockquote": _quote,
    "fence": _code,
    "code_block": _code,
    "hr": _rule,
    "table": _table,
}


# -- inside a block ---------------------------------------------------------------------------------------------------


def _inline(node: SyntaxTreeNode) -> Content:
    """Return the text of a node with its styles; a link carries the action ``link`` of the widget that shows it."""
    content = Content.assemble(*(_inline_part(child) for child in node.children))
    styles = {"strong": "bold", "em": "italic", "s": "strike"}
    if node.type in styles:
        return content.stylize(styles[node.type])
    if node.type in ("link", "image"):
        address = str(node.attrs.get("href", node.attrs.get("src", "")))
        return content.stylize("underline $primary").stylize(Style.from_meta({"@click": f"link({address!r})"}))
    return content


def _inline_part(node: SyntaxTreeNode) -> Content:
    if node.type in ("softbreak", "hardbreak"):
        return Content("\n")
    if node.type == "code_inline":
        return Content.styled(node.content, "$accent on $boost")
    if node.children:
        return _inline(node)
    return Content(node.content)
