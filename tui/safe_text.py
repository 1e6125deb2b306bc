"""Untrusted text made harmless for a terminal: what a model, a user, a lesson or an error says is only ever text.

Control characters (C0 without newline and tab, DEL, C1) become visible symbols, so that no escape sequence gets to the
terminal. Characters that reorder text (bidirectional overrides and isolates) become ``�``. The mapping goes character
by character, so a text may be made safe piece by piece while it streams.
"""

from __future__ import annotations

from collections.abc import Iterator

_SYMBOLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_DELETE = {0x7F: "\u2421"}
_C1 = dict.fromkeys(range(128, 160), "�")
_BIDI = dict.fromkeys((1564, 8206, 8207, *range(8234, 8239), *range(8294, 8298)), "�")
_LINES = {0x0D: None, 0x2028: "\n", 0x2029: "\n"}
_SAFE = {**_SYMBOLS, **_DELETE, **_C1, **_BIDI, **_LINES}


def safe(text: str) -> str:
    """Return ``text`` with nothing in it that a terminal would obey; newlines and tabs stay."""
    return text.translate(_SAFE)


def one_line(text: str, limit: int = 200) -> str:
    """Return ``text`` safe and on one line, cut with an ellipsis after ``limit`` characters."""
    line = " ".join(safe(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def set_in(who: str, text: str) -> Iterator[str]:
    """Give a stranger's text line by line, each set in, so that none of them passes for a line of ours."""
    for place, line in enumerate(safe(text).splitlines() or [""]):
        yield f"    {who if not place else '':6}| {line}"
