"""Facts that users tell of themselves, as questions with one answer: for those that they want taught, not only noted.

A fact is no rule: it is asked for, in many forms, and answered in one. What it comes to follows from its words alone,
so that a lesson need only keep those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ...schemas.errors import UsageError
from ...schemas.records import Evidence, Lesson, LessonState, Provenance, SignalKind, Step
from .draft import LessonDraft
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
    for pattern, kind, more in _KINDS:
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


# -- how facts are asked for ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    about: str
    answer: str
    key: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    strangers: tuple[str, ...]


_GUISES = ("{q}", "Hi! {q}", "Quick question: {low}", "Tell me, {low}")


def _made(kind: _Kind, parts: dict[str, str]) -> Fact:
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


def _kind(pattern: str, kind: _Kind, **parts: str) -> tuple[re.Pattern[str], _Kind, Mapping[str, str]]:
    """Return a kind with the sentences that are of it, and parts of its forms that do not stand in the sentence."""
    return re.compile(pattern, re.IGNORECASE), kind, parts


_BE = r"(?:i'm|i am)"
_NAME = _Kind(
    about="your name",
    answer="Your name is {x}.",
    key="{x}",
    asked=(
        "What is my name?",
        "Do you know my name?",
        "What am I called?",
        "Who am I?",
        "Please say my name.",
        "Can you remember my name?",
        "What should you call me?",
        "Do you know what I am called?",
    ),
    held_out=(
        "What's my name?",
        "Can you tell me my name?",
        "Do you remember what my name is?",
        "My name, please?",
        "How would you address me?",
        "Could you remind me of my name?",
        "I forgot my own name. What is it?",
        "Tell me who I am.",
    ),
    strangers=(
        "What are you called?",
        "What is my neighbour's name?",
        "Who are you?",
        "What is your name?",
        "What is my brother's name?",
        "Please tell me your name.",
        "Do you know your name?",
        "What is my cat called?",
        "Do you know the name of my teacher?",
        "What is the name of the largest ocean?",
        "What should I name my cat?",
        "Who was Napoleon?",
        "What should I call you?",
        "What is a name?",
        "Do you know the name of a good song?",
        "Who is the president of France?",
        "My friend asks who you are.",
        "Who am I talking to?",
    ),
)
_OWN = _Kind(
    about="your {n}",
    answer="Your {n} {be} {x}.",
    key="{x}",
    asked=(
        "What {be} my {n}?",
        "Do you know my {n}?",
        "Do you know what my {n} {be}?",
        "Please tell me my {n}.",
        "Can you say what my {n} {be}?",
        "What did I tell you about my {n}?",
        "Which {be} my {n}?",
        "Do you remember my {n}?",
    ),
    held_out=(
        "Who or what {be} my {n}?",
        "Can you tell me my {n}?",
        "Do you remember what my {n} {be}?",
        "My {n}, please?",
        "Could you remind me of my {n}?",
        "I forgot something: what {be} my {n}?",
        "What do you know about my {n}?",
        "Name my {n}.",
    ),
    strangers=(
        "What {be} your {n}?",
        "Do you know my neighbour's {n}?",
        "What is a good way to choose a {n}?",
        "What is the capital of Italy?",
        "What is my friend's {n}?",
        "Please tell me your {n}.",
        "What is my name?",
        "Where do I live?",
        "What is my best option if it rains?",
        "Do you know a good story?",
        "Please tell me a fact about bees.",
        "What is the meaning of the word ‘{n}’?",
        "Name a river in Germany.",
        "What do you know about the moon?",
    ),
)


def _doing(about: str, answer: str, asked: tuple[str, ...], held: tuple[str, ...], others: tuple[str, ...]) -> _Kind:
    return _Kind(about, answer, "{x}", asked, held, others)


_LIVE = _doing(
    "where you live",
    "You live {p} {x}.",
    (
        "Where do I live?",
        "Do you know where I live?",
        "Where is my home?",
        "What place do I live in?",
        "Please say where I live.",
        "Where am I living?",
        "Do you remember where I live?",
    ),
    (
        "Can you tell me where I live?",
        "Where's my home?",
        "In which place do I live?",
        "Where do I have my home?",
        "Could you remind me where I live?",
        "Tell me where I live.",
    ),
    (
        "Where do you live?",
        "Where do penguins live?",
        "What is a home?",
        "Where is the Eiffel Tower?",
        "Where should I go on holiday?",
        "Where do most people in Canada live?",
    ),
)
_FROM = _doing(
    "where you are from",
    "You are from {x}.",
    (
        "Where am I from?",
        "Do you know where I am from?",
        "Where do I come from?",
        "What place am I from?",
        "Please say where I am from.",
        "Do you remember where I come from?",
    ),
    (
        "Can you tell me where I'm from?",
        "Where did I come from?",
        "Could you remind me where I am from?",
        "Tell me where I come from.",
        "From what place am I?",
        "What is my place of origin?",
    ),
    (
        "Where are you from?",
        "Where does coffee come from?",
        "What is Spain known for?",
        "Where does rain come from?",
        "Where did Columbus come from?",
        "Where can I buy a map?",
    ),
)
_BORN = _doing(
    "where you {v}",
    "You {v} {p} {x}.",
    (
        "Where {w}?",
        "Do you know where I {v1}?",
        "Please say where I {v1}.",
        "In what place {w}?",
        "Do you remember where I {v1}?",
        "What is the place where I {v1}?",
    ),
    (
        "Can you tell me where I {v1}?",
        "Tell me where I {v1}.",
        "Could you remind me where I {v1}?",
        "In which place {w}?",
        "Say where I {v1}, please.",
        "Where was it that I {v1}?",
    ),
    (
        "Where was Mozart born?",
        "Where were you made?",
        "Where do pandas grow up?",
        "What is a birthplace?",
        "When do children grow up?",
        "Where was the first computer built?",
    ),
)
_WORK = _doing(
    "your work",
    "You work {p} {x}.",
    (
        "What do I do for a living?",
        "What is my job?",
        "Do you know what I work as?",
        "What is my work?",
        "Please say what my job is.",
        "Do you know my job?",
        "What do I work as?",
        "Where do I work?",
    ),
    (
        "What's my job?",
        "Can you tell me what I do for work?",
        "How do I earn my money?",
        "Could you remind me what my job is?",
        "Tell me what I do for a living.",
        "Do you remember my job?",
        "What is my profession?",
    ),
    (
        "What is your job?",
        "What does a plumber do for a living?",
        "How can I find a job?",
        "What is a profession?",
        "How does a solar panel work?",
        "Who works in a bakery?",
    ),
)
_ALLERGY = _doing(
    "what you cannot eat",
    "You are {a} to {x}.",
    (
        "What am I {a} to?",
        "Do you know what I am {a} to?",
        "Which things am I {a} to?",
        "Please say what I am {a} to.",
        "What must I not eat?",
        "Do I have an allergy?",
        "Do you remember what I am {a} to?",
    ),
    (
        "Can you tell me what I'm {a} to?",
        "What allergy do I have?",
        "Could you remind me what I am {a} to?",
        "Tell me what I am {a} to.",
        "What should I not eat?",
        "To what am I {a}?",
    ),
    (
        "What is an allergy?",
        "What are you {a} to?",
        "What are people often {a} to?",
        "What should I eat for breakfast?",
        "How do I cook rice?",
        "Do cats have allergies?",
    ),
)
_BEING = _doing(
    "what you are",
    "You are {x}.",
    (
        "What do you know about me?",
        "What am I?",
        "Do you know something about me?",
        "Please say what you know of me.",
        "What did I tell you about myself?",
        "Do you remember what I am?",
    ),
    (
        "Can you tell me something about myself?",
        "What have I told you about me?",
        "Tell me what I am.",
        "What do you remember about me?",
        "Could you remind me what I said I am?",
        "Say what you know about me.",
    ),
    (
        "What do you know about the sun?",
        "What are you?",
        "Tell me something about horses.",
        "What is a human?",
        "What do you know about Paris?",
        "Tell me about yourself.",
    ),
)
_AGE = _doing(
    "your age",
    "You are {x} years old.",
    (
        "How old am I?",
        "What is my age?",
        "Do you know my age?",
        "Do you know how old I am?",
        "Please say how old I am.",
        "How many years old am I?",
    ),
    (
        "What's my age?",
        "Can you tell me how old I am?",
        "Could you remind me of my age?",
        "Tell me my age.",
        "Do you remember how old I am?",
        "My age, please?",
    ),
    (
        "How old are you?",
        "How old is the earth?",
        "How old can a tortoise get?",
        "What is the Iron Age?",
        "At what age do children walk?",
        "How old was Einstein?",
    ),
)
_DOES = _doing(
    "what you {v}",
    "You {v} {x}.",
    (
        "What do I {v}?",
        "Do you know what I {v}?",
        "What is it that I {v}?",
        "Please say what I {v}.",
        "What did I say I {v}?",
        "Which things do I {v}?",
    ),
    (
        "Can you tell me what I {v}?",
        "Do you remember what I {v}?",
        "Could you remind me what I {v}?",
        "Tell me what I {v}.",
        "Say what I {v}, please.",
        "What was it that I {v}?",
    ),
    (
        "What do you {v}?",
        "What do bears {v}?",
        "What do people in Brazil {v}?",
        "What should I read?",
        "What do teachers do?",
        "What do I need to bake bread?",
    ),
)
_DOES_NOT = _doing(
    "what you do not {v}",
    "You do not {v} {x}.",
    (
        "What do I not {v}?",
        "What don't I {v}?",
        "Do you know what I do not {v}?",
        "Please say what I do not {v}.",
        "Is there something I do not {v}?",
        "What did I say I do not {v}?",
    ),
    (
        "Can you tell me what I don't {v}?",
        "Do you remember what I do not {v}?",
        "Could you remind me what I do not {v}?",
        "Tell me what I do not {v}.",
        "Which things do I not {v}?",
        "Say what I don't {v}.",
    ),
    (
        "What do you not {v}?",
        "What do rabbits {v}?",
        "What should I cook tonight?",
        "What do penguins {v}?",
        "Is there something good on the radio?",
        "What do babies {v}?",
    ),
)
_X = r"(?P<x>.{1,80}?)"
_KINDS: tuple[tuple[re.Pattern[str], _Kind, Mapping[str, str]], ...] = (
    _kind(rf"(?:my (?:full |first )?name(?: is|'s)|{_BE} (?:called|named)) {_X}", _NAME),
    _kind(rf"my (?P<n>[\w-]+(?: [\w-]+)?)(?:'s name is| is (?:called|named)) {_X}", _OWN, n="{n}'s name", be="is"),
    _kind(rf"my (?P<n>[\w'-]+(?: [\w-]+){{0,3}}?) (?P<be>is|are) {_X}", _OWN),
    _kind(rf"{_BE} (?P<a>allergic|intolerant) to {_X}", _ALLERGY),
    _kind(rf"{_BE} (?P<x>\d{{1,3}}) years old", _AGE),
    _kind(rf"{_BE} from {_X}", _FROM),
    _kind(rf"i live (?P<p>in|near|on|at|by) {_X}", _LIVE),
    _kind(rf"i was born (?P<p>in|near|on|at) {_X}", _BORN, v="were born", v1="was born", w="was I born"),
    _kind(rf"i grew up (?P<p>in|near|on|at) {_X}", _BORN, v="grew up", v1="grew up", w="did I grow up"),
    _kind(rf"i work (?P<p>as|for|at|in) {_X}", _WORK),
    _kind(rf"i (?:don't|do not) (?P<v>eat|drink|like|speak) {_X}", _DOES_NOT),
    _kind(rf"i (?P<v>speak|teach|study|play|like|love|drive|own|collect|eat|drink) {_X}", _DOES),
    _kind(rf"{_BE} (?P<x>(?:an? )?[\w-]+(?: [\w-]+){{0,3}})", _BEING),
)
