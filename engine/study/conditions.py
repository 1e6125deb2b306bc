"""Conditions of a rule in the user's words ("you explain a concept", "I ask for a recipe"), read as tags of the bank.

Cue words name tags. Within a dimension the tags are alternatives (food or travel); the dimensions must all hold
(an explanation, about science). A condition without any cue, or with an exception in its middle, is not understood:
better to say so than to teach a rule in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_FORMS: dict[str, str] = {
    "explain": "explain explanation concept idea theory phenomenon",
    "fact": "fact factual trivia",
    "how": "instruction tutorial guide howto procedure",
    "list": "list enumerate several options suggestion recommendation recommend brainstorm",
    "create": "create creative invent imagine imaginative fiction compose",
    "advice": "advice advise tip counsel decision recommendation",
    "chat": "chat smalltalk conversation chitchat",
    "opinion": "opinion think prefer preference view",
    "code": "code coding program programming programmer python javascript sql bash script function developer software",
    "compare": "compare comparison difference differ contrast versus vs",
    "summary": "summary summarize summarise summarization",
}
_GENRES: dict[str, str] = {
    "definition": "define definition term meaning mean",
    "describe": "describe description",
    "email": "email mail letter message",
    "greeting": "greet greeting hello hi goodmorning",
    "joke": "joke riddle",
    "math": "math maths mathematics arithmetic calculate calculation sum number compute",
    "name": "name title slogan",
    "poem": "poem poetry verse rhyme haiku limerick",
    "recipe": "recipe cook cooking bake baking dish meal",
    "rewrite": "rewrite rephrase proofread",
    "story": "story tale fairytale novel narrative plot",
    "translate": "translate translation",
}
_TOPICS: dict[str, str] = {
    "art": "art music film movie book painting literature",
    "family": "family child kid parent friend friendship relationship",
    "food": "food eat kitchen ingredient drink",
    "health": "health healthy medical medicine doctor body sleep fitness",
    "history": "history historical past",
    "home": "home house household housework",
    "language": "language grammar spelling vocabulary",
    "money": "money finance financial budget investing saving economics economy",
    "nature": "nature animal plant weather environment pet",
    "person": "person people someone biography",
    "science": "science scientific physics chemistry biology astronomy",
    "sport": "sport game exercise",
    "tech": "tech technology technical computer phone device",
    "travel": "travel trip journey holiday vacation country city place",
    "work": "work job office career business professional colleague",
}
# Words that also begin a condition about something else ("write code", "ask a question about food"): they count only
# where no cue of a form or genre stands.
_WEAK: dict[str, str] = {
    "question": "anyquestion",
    "create": "write writing",
    "list": "suggest several ideas",
    "short": "translation arithmetic",
}
# Wordings that say more than their words do.
_PHRASES: tuple[tuple[str, str], ...] = (
    # not "a yes/no question" or "a long question": those the tags cannot tell apart
    (r"\b(?:a|any|every|some|my|the|answer|answering|ask|asking|to) questions?\b", "anyquestion"),
    (r"\bfairy tales?\b", "story"),
    (r"\bsmall talk\b", "smalltalk"),
    (r"\bgood (?:morning|evening|afternoon)\b", "greet"),
    (r"\bhow to\b", "howto"),
    (r"\bhow (?:i|you|we|one) (?:can|could|should|do|would)\b", "howto"),
    (r"\bhow (?:something|things?|it|they|a \w+|an \w+) works?\b", "explain"),
    (r"\bwhy\b", "explain"),
    (r"\bwhat (?:something|a (?:word|thing)|it) (?:is|means?)\b", "definition"),
    (r"\be-mails?\b", "email"),
    (r"\bsum(?:ming)? up\b", "summary"),
    (r"\bstep[- ]by[- ]step\b", "instruction"),
)
_EXCEPT = re.compile(r"\b(?:unless|except|not|never|without|nothing|other than|anything but)\b|n't\b")
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "er", "es", "ed", "s", "e", "y")


@dataclass(frozen=True)
class Condition:
    """What a condition asks of a prompt's tags: one of every dimension. ``inverted``: everywhere but there."""

    dimensions: tuple[frozenset[str], ...]
    inverted: bool = False

    def holds(self, tags: frozenset[str]) -> bool:
        """Whether a prompt with these tags meets the condition."""
        return all(dimension & tags for dimension in self.dimensions) is not self.inverted


@cache
def understand(when: str) -> Condition | None:
    """Return what a condition asks, or None where its words name nothing that the bank's tags know."""
    text = when.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    exception = _EXCEPT.search(text)
    if exception is None:
        return _read(text)
    if _read(text[: exception.start()]) is not None:
        return None  # "code but not Python": two conditions in one
    positive = _read(text[exception.end() :])
    return None if positive is None else Condition(positive.dimensions, inverted=True)


def _read(text: str) -> Condition | None:
    """Return the condition of a text without exceptions."""
    for pattern, word in _PHRASES:
        text = re.sub(pattern, f" {word} ", text)
    words = re.findall(r"[a-z]+", text)
    forms, genres, topics = (_named(cues, words) for cues in (_FORMS, _GENRES, _TOPICS))
    together = forms and genres and "or" in words
    kinds = [forms | genres] if together else [found for found in (forms, genres) if found]
    if not kinds:
        weak = _named(_WEAK, words)
        # "I ask a question about food" is about food, however it is put.
        if weak and not (topics and weak == {"question"}):
            kinds = [weak]
    dimensions = (*kinds, topics) if topics else tuple(kinds)
    return Condition(dimensions) if dimensions else None


def _named(cues: dict[str, str], words: list[str]) -> frozenset[str]:
    """Return the tags that any of the words names."""
    stems = {_stem(word) for word in words}
    return frozenset(tag for tag, names in cues.items() if any(_stem(name) in stems for name in names.split()))


def _stem(word: str) -> str:
    """Return a word without its ending, at least three letters: ``explains`` and ``explaining`` are ``explain``."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
