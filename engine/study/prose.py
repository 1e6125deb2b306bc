"""Sentences, words and items of a reply, found so that neither "e.g.", "3.14" nor "1. item" ends a sentence.

A unit is a sentence, a heading, a list item's sentence or a fenced code block. Positions are character offsets into
the text as it is; nothing here changes a text's wording.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ITEM = re.compile(r"[ \t]*(?:[-*•+–]|\d{1,3}[.)])[ \t]+")
HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+")
FENCE = re.compile(r"[ \t]*(?:```|~~~)")
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s|$)|[。！？]+[」』”’]*")
_LAST_TOKEN = re.compile(r"[^\s(\[\"'“‘*_]+$")
_TITLES = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "mt",
        "sr",
        "jr",
        "rev",
        "gen",
        "sen",
        "rep",
        "gov",
        "capt",
        "lt",
        "col",
        "vs",
        "fig",
        "no",
        "eq",
        "ch",
        "e.g",
        "i.e",
        "cf",
        "ca",
    ]
)
_SHORT = frozenset(
    [
        "etc",
        "approx",
        "inc",
        "ltd",
        "co",
        "corp",
        "vol",
        "pp",
        "al",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
        "u.n",
        "ph.d",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
    ]
)


@dataclass(frozen=True)
class Unit:
    """One sentence, heading or code block: ``text[start:end]`` without white space around it."""

    start: int
    end: int
    code: bool = False


def units(text: str) -> list[Unit]:
    """Return the text's units in order."""
    cased = text != text.lower()
    found: list[Unit] = []
    for start, end, code in _blocks(text):
        if code:
            found.append(Unit(start, end, code=True))
        else:
            found.extend(_sentences(text, start, end, cased))
    return found


def sentences(text: str) -> list[str]:
    """Return the units as texts."""
    return [text[unit.start : unit.end] for unit in units(text)]


def simple_sentences(text: str) -> list[str]:
    """Return what the usual one-line splitter makes of the text; ours is finer in some places, coarser in others."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def splitters_agree(text: str) -> bool:
    """Whether our sentences and the usual splitter's are the same, so that no reader can count differently."""
    return [" ".join(part.split()) for part in sentences(text)] == [
        " ".join(part.split()) for part in simple_sentences(text)
    ]


def first_sentences(text: str, count: int) -> str:
    """Return the text up to the end of its ``count``-th unit."""
    found = units(text)
    return text[: found[count - 1].end] if 0 < count < len(found) else text.rstrip()


def first_words(text: str, count: int) -> str:
    """Return the text up to the end of its ``count``-th word, words being what white space separates."""
    for number, match in enumerate(re.finditer(r"\S+", text), start=1):
        if number == count:
            return text[: match.end()]
    return text.rstrip()


def paragraphs(text: str) -> list[str]:
    """Return the parts that blank lines separate."""
    return [part for part in re.split(r"\n[ \t]*\n\s*", text.strip()) if part]


def first_paragraphs(text: str, count: int) -> str:
    """Return the text up to the end of its ``count``-th paragraph."""
    breaks = list(re.finditer(r"\n[ \t]*\n\s*", text.strip()))
    return text.strip()[: breaks[count - 1].start()] if 0 < count <= len(breaks) else text.rstrip()


def shared_start(texts: Sequence[str]) -> str:
    """Return the characters with which all texts begin."""
    shortest = min(texts, key=len)
    for place, letter in enumerate(shortest):
        if any(text[place] != letter for text in texts):
            return shortest[:place]
    return shortest


def without_marker(line: str) -> str:
    """Return a line without the marker of a list item or heading before it."""
    match = ITEM.match(line) or HEADING.match(line)
    return line[match.end() :] if match else line


def _blocks(text: str) -> list[tuple[int, int, bool]]:
    """Return spans that no sentence crosses: paragraphs, items, headings; the flag marks fenced code."""
    blocks: list[tuple[int, int, bool]] = []
    position, fence, open_block, previous = 0, -1, -1, ""
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        if fence >= 0:
            if FENCE.match(line):
                blocks.append((fence, position, True))
                fence = -1
            continue
        body = line.strip()
        starts_new = bool(FENCE.match(line) or ITEM.match(line) or HEADING.match(line))
        ended = not body or starts_new or bool(HEADING.match(previous)) or previous.rstrip().endswith(":")
        if open_block >= 0 and ended:
            blocks.append((open_block, start, False))
            open_block = -1
        if FENCE.match(line):
            fence = start
        elif body and open_block < 0:
            open_block = start
        previous = line if body else ""
    if fence >= 0:
        blocks.append((fence, position, True))
    elif open_block >= 0:
        blocks.append((open_block, position, False))
    return [(start + _lead(text[start:end]), end - _trail(text[start:end]), code) for start, end, code in blocks]


def _sentences(text: str, start: int, end: int, cased: bool) -> list[Unit]:
    """Return the sentences of one block."""
    found: list[Unit] = []
    here = start
    marker = ITEM.match(text, here, end)
    body = marker.end() if marker else here
    for match in _END.finditer(text, body, end):
        if match.start() < body or not _ends_sentence(text, body, match, end, cased):
            continue
        found.append(Unit(here, match.end()))
        here = match.end() + _lead(text[match.end() : end])
        body = here
    if here < end:
        found.append(Unit(here, end))
    return _with_marks(text, found)


def _with_marks(text: str, found: list[Unit]) -> list[Unit]:
    """Return the sentences with what has no letter or digit, such as an emoji, put to the one before."""
    joined: list[Unit] = []
    for unit in found:
        if joined and not WORD.search(text, unit.start, unit.end):
            joined[-1] = Unit(joined[-1].start, unit.end)
        else:
            joined.append(unit)
    return joined


def _ends_sentence(text: str, body: int, match: re.Match[str], end: int, cased: bool) -> bool:
    """Whether a full stop, question or exclamation mark really ends a sentence that began at ``body``."""
    mark = match.group()
    if mark[0] != ".":
        following = text[match.end() : end].lstrip()[:1]
        return not (cased and following.islower() and mark[-1] in "\"'”’")
    token = _LAST_TOKEN.search(text, body, match.start())
    word = token.group().lower() if token else ""
    if token and token.start() == body and word.isdigit() and len(word) <= 2 and match.end() < end:
        return False  # the number of an item inside a paragraph
    rest = text[match.end() : end].lstrip()
    if not rest:
        return True
    if mark.startswith(".."):
        return not (cased and rest[0].islower())
    if word in _TITLES or (
        len(word) == 1 and word.isalpha() and word != "i" and token is not None and cased and token.group().isupper()
    ):
        return False
    return not (rest[0].islower() and (cased or word in _SHORT))


def _lead(text: str) -> int:
    return len(text) - len(text.lstrip())


def _trail(text: str) -> int:
    return len(text) - len(text.rstrip())
