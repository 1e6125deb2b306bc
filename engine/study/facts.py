"""Facts that users tell of themselves, as questions with one answer: for those that they want taught, not only noted.

A fact is no rule: it is asked for, in many forms, and answered in one. What it comes to follows from its words alone,
so that a lesson need only keep those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ...schemas.errors import UsageError
from ...schemas.records import Evidence, Lesson, LessonState, Provenance, SignalKind, Step
from .draft import LessonDraft
from .fact_kinds import KINDS, FactKind
from .prompts import Prompt, normal

FACT = "fact"
"""Name of the rewriter that answers with a fact."""


@dataclass(frozen=True)
class Fact:
    """A fact as it is asked for and told.

    Attributes:
        about: What it settles, as ``your name``; of two facts about the same the later one counts.
        answer: What is said when it is asked for.
        key: The words of the answer that are the fact.
        asked: Questions to train on, each in several guises.
        held_out: Questions in other forms, to check on.
        strangers: Questions that sound alike and ask for something else.
    """

    about: str
    answer: str
    key: str
    asked: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    strangers: tuple[Prompt, ...]

    def is_asked(self, prompt: Prompt) -> bool:
        """Whether a prompt is one of its questions."""
        return normal(prompt.text) in _normal_questions(self)


@lru_cache(maxsize=256)
def understand_fact(text: str) -> Fact | None:
    """Return what a note comes to; None where it is of no kind that can be asked for."""
    line = " ".join(text.split()).strip(" .!,;")
    for pattern, kind, more in KINDS:
        match = pattern.fullmatch(line)
        if match is not None:
            parts = {name: _second_person(value.strip()) for name, value in match.groupdict().items() if value}
            return _made(kind, parts | {name: form.format(**parts) for name, form in more.items()})
    return None


def fact_of(lesson: Lesson) -> Fact | None:
    """Return the fact that a lesson teaches, if it is one."""
    for step in lesson.steps:
        if step.rewriter == FACT:
            return understand_fact(str(step.args.get("text", "")))
    return None


def lesson_from_fact(text: str) -> LessonDraft:
    """Return the lesson that teaches a note, approved: the user asked for it.

    Raises:
        UsageError: If it is of no kind that can be asked for.
    """
    if understand_fact(text) is None:
        raise UsageError(
            f"Night School does not know how one would ask for “{text.strip()}”, so it stays a note; it can teach "
            'sentences like "My name is Ada.", "I live in Bergen.", "I work as a baker." or "My dog\'s name is Rex.".'
        )
    step = Step(rewriter=FACT, args={"text": text.strip()})
    return LessonDraft(
        kind=SignalKind.FACT,
        text=text,
        rule=rule_of(text),
        steps=[step],
        evidence=[Evidence(prompt="", said=text.strip())],
        provenance=Provenance.SAID,
        confidence=1.0,
        state=LessonState.APPROVED,
    )


def rule_of(text: str) -> str:
    """Return the lesson in words."""
    return f"Know this of me: {text.strip()}"


_GUISES = ("{q}", "Hi! {q}", "Quick question: {low}", "Tell me, {low}")


def _made(kind: FactKind, parts: dict[str, str]) -> Fact:
    def filled(forms: tuple[str, ...]) -> list[str]:
        return [form.format(**parts) for form in forms]

    asked = [_guise(guise, question) for guise in _GUISES for question in filled(kind.asked)]
    return Fact(
        about=kind.about.format(**parts),
        answer=kind.answer.format(**parts),
        key=kind.key.format(**parts),
        asked=tuple(map(Prompt, dict.fromkeys(asked))),
        held_out=tuple(map(Prompt, filled(kind.held_out))),
        strangers=tuple(map(Prompt, filled(kind.strangers))),
    )


def _guise(guise: str, question: str) -> str:
    low = question if re.match(r"I\b|\w+[A-Z]", question) else question[:1].lower() + question[1:]
    return guise.format(q=question, low=low)


@lru_cache(maxsize=256)
def _normal_questions(fact: Fact) -> frozenset[str]:
    return frozenset(normal(prompt.text) for prompt in (*fact.asked, *fact.held_out))


_YOURS = {"i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "i'm": "you are"}


def _second_person(words: str) -> str:
    """Return the user's words as they are said to the user."""
    return re.sub(r"[A-Za-z']+", lambda word: _YOURS.get(word[0].lower(), word[0]), words)
