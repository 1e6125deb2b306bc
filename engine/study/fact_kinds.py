"""Kinds of facts that users tell of themselves: the sentences, the answer, and how each is asked for.

Questions to check on are worded otherwise than those to train on, and what sounds alike asks for something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FactKind:
    """Forms with parts of the sentence in braces; ``x`` is what is told."""

    about: str
    answer: str
    key: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    strangers: tuple[str, ...]


def _kind(pattern: str, kind: FactKind, **parts: str) -> tuple[re.Pattern[str], FactKind, Mapping[str, str]]:
    """Return a kind with the sentences that are of it, and parts of its forms that do not stand in the sentence."""
    return re.compile(pattern, re.IGNORECASE), kind, parts


_BE = r"(?:i'm|i am)"
_NAME = FactKind(
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
_NAMED = FactKind(
    about="your {m}'s name",
    answer="Your {m}'s name is {x}.",
    key="{x}",
    asked=(
        "What is my {m}'s name?",
        "What is my {m} called?",
        "Do you know my {m}'s name?",
        "What is the name of my {m}?",
        "Who is my {m}?",
        "Please tell me my {m}'s name.",
        "Do you know what my {m} is called?",
        "Which name does my {m} have?",
    ),
    held_out=(
        "What's my {m}'s name?",
        "Can you tell me what my {m} is called?",
        "Do you remember the name of my {m}?",
        "My {m}'s name, please?",
        "Could you remind me of my {m}'s name?",
        "I forgot the name of my {m}. What is it?",
        "How do I call my {m}?",
        "Do you remember what my {m} is called?",
    ),
    strangers=(
        "What is your {m}'s name?",
        "What is a good name for a {m}?",
        "What is my neighbour's {m} called?",
        "What is my name?",
        "What do you know about my friend's {m}?",
        "Tell me something about a famous {m}.",
        "What is the name of the largest ocean?",
        "What is a {m}?",
        "What are you called?",
        "Who was Napoleon?",
        "What does my {m} need most?",
        "What is my favourite book called?",
    ),
)
_OWN = FactKind(
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


def _doing(about: str, answer: str, asked: tuple[str, ...], held: tuple[str, ...], others: tuple[str, ...]) -> FactKind:
    return FactKind(about, answer, "{x}", asked, held, others)


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
KINDS: tuple[tuple[re.Pattern[str], FactKind, Mapping[str, str]], ...] = (
    _kind(rf"(?:my (?:full |first )?name(?: is|'s)|{_BE} (?:called|named)) {_X}", _NAME),
    _kind(rf"my (?P<m>[\w-]+(?: [\w-]+)?)(?:'s name is| is (?:called|named)) {_X}", _NAMED),
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
