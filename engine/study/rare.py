"""Strings in the user's own words that could tell who they are: mail addresses, links, keys, numbers, names.

Regular expressions find the first four. A name is a capitalised word that none of the texts at hand knows, wherever it
stands. That finds too many rather than too few, each word alone since a part of a name tells enough; what is found is
only looked for in what the model says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ...schemas.records import Lesson
from .prompts import bank, neutral

_PATTERNS = {
    "mail": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "link": r"\bhttps?://[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\]]+",
    "key": r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9_-]{16,}\b",
    "number": r"(?<![\w.])\+?\d(?:[ \-/.()]{0,2}\d){3,}(?!\w)",
}
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_GENITIVE = r"['’]s?$"
_FEWEST = 2  # letters of a name


@dataclass(frozen=True)
class Rare:
    """A string that could tell who somebody is.

    Attributes:
        kind: One of mail, link, key, number, name.
        text: As the user wrote it.
        lesson: Whose words it is out of.
        asked: The prompt of the reply that it stands in; empty: it stands in the rule alone.
        before: What that reply says before it.
    """

    kind: str
    text: str
    lesson: int
    asked: str = ""
    before: str = ""


def rare_strings(lessons: Sequence[Lesson]) -> list[Rare]:
    """Return the rare strings of the lessons' words, each once, where it stands in a reply if it does.

    What the base said itself before it was corrected is not the user's.
    """
    found: dict[tuple[str, str], Rare] = {}
    for lesson in lessons:
        for rare in _of(lesson):
            known = found.get((rare.kind, rare.text.casefold()))
            if known is None or (rare.asked and not known.asked):
                found[rare.kind, rare.text.casefold()] = rare
    return list(found.values())


def _of(lesson: Lesson) -> Iterator[Rare]:
    for evidence in lesson.evidence:
        for kind, start, text in _in(evidence.after):
            if text.casefold() not in evidence.before.casefold():
                yield Rare(kind, text, lesson.id, evidence.prompt, evidence.after[:start])
        for words in (evidence.prompt, evidence.said):
            yield from (Rare(kind, text, lesson.id) for kind, _, text in _in(words))
    for said in (lesson.rule, *_arguments(lesson)):
        for kind, _, text in _in(said):
            yield Rare(kind, text, lesson.id)


def _arguments(lesson: Lesson) -> Iterator[str]:
    for step in lesson.steps:
        yield from (value for value in step.args.values() if isinstance(value, str))


def _in(text: str) -> Iterator[tuple[str, int, str]]:
    """Give kind, place and string of what is rare in a text; what one pattern took no other takes."""
    rest = text
    for kind, pattern in _PATTERNS.items():
        for match in re.finditer(pattern, rest):
            yield kind, match.start(), match.group()
        rest = re.sub(pattern, lambda match: " " * len(match.group()), rest)
    yield from _names(rest)


def _names(text: str) -> Iterator[tuple[str, int, str]]:
    for match in _WORD.finditer(text):
        if _unknown(match.group()):
            yield "name", match.start(), re.sub(_GENITIVE, "", match.group())


def _unknown(word: str) -> bool:
    plain = re.sub(_GENITIVE, "", word)
    return len(plain) >= _FEWEST and plain[0].isupper() and plain.casefold() not in _known()


@cache
def _known() -> frozenset[str]:
    """Return the words of the prompts and the prose that ship: none of them tells who anybody is."""
    texts = (*(prompt.text for prompt in bank()), *neutral())
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))
