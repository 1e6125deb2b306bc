"""The prompt bank and the neutral prose that every study shares.

The bank holds everyday prompts with tags: a study spreads a rule over those where it applies, contrasts it with those
where it does not, and checks it on prompts that it never trained on. The prose lies outside any chat: half anchors the
training, half measures what the training must not change. Which half is which is decided by a hash of the text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import log, sqrt

from .conditions import understand

FORMS = frozenset(
    {"explain", "fact", "how", "list", "create", "advice", "chat", "opinion", "short", "code", "compare", "summary"}
)
"""What is asked for; every prompt of the bank carries at least one."""

GENRES = frozenset(
    {
        *("definition", "describe", "email", "greeting", "joke", "math", "name", "poem", "question", "recipe"),
        *("rewrite", "story", "translate", "writing"),
    }
)
"""A narrower kind, where there is one; ``question``: the prompt is put as a question."""

TOPICS = frozenset(
    {
        *("art", "family", "food", "health", "history", "home", "language", "money", "nature", "person"),
        *("science", "sport", "tech", "travel", "work"),
    }
)
"""What it is about."""

TAGS = FORMS | GENRES | TOPICS

HELD_OUT_SHARE = 0.3
_PASSAGE_BREAK = "\n\n\n"


@dataclass(frozen=True)
class Prompt:
    """One user prompt. ``tags`` are names out of ``TAGS``."""

    text: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Divided:
    """A bank in two parts without a common prompt, each in the order of the bank."""

    train: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]


@cache
def bank() -> tuple[Prompt, ...]:
    """Return every prompt, mixed so that any first 16 or 32 of them are diverse."""
    rows = (json.loads(line) for line in _read("prompts.jsonl").splitlines() if line)
    return tuple(Prompt(row["text"], frozenset(row["tags"])) for row in rows)


@cache
def neutral() -> tuple[str, ...]:
    """Return the passages of neutral prose, of 120 to 250 words each."""
    return tuple(passage.strip() for passage in _read("neutral.txt").split(_PASSAGE_BREAK))


@cache
def neutral_halves() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the neutral prose in two halves: the one that anchors the training, and the one that measures it."""
    ranked = sorted(neutral(), key=lambda passage: _draw(passage, 0))
    half = len(ranked) // 2
    return tuple(ranked[:half]), tuple(ranked[half:])


def divide(prompts: Iterable[Prompt], seed: int) -> Divided:
    """Divide prompts into those to train on and those to check on, about 7 to 3.

    A prompt's side follows from its words and the seed alone: neither its place in the bank nor what else is in the
    bank can move it, and two spellings of one prompt (case, spaces, final mark) fall on the same side.
    """
    train: list[Prompt] = []
    held_out: list[Prompt] = []
    for prompt in prompts:
        (held_out if _draw(prompt.text, seed) < HELD_OUT_SHARE else train).append(prompt)
    return Divided(tuple(train), tuple(held_out))


def nearest_first(prompts: Iterable[Prompt], like: Iterable[str]) -> list[Prompt]:
    """Return prompts in the order of their likeness to some others: the words they share, rare ones counting more."""
    pool = list(prompts)
    occurs = Counter(word for prompt in bank() for word in _words(prompt.text))
    wanted = [_words(text) for text in like]

    def likeness(prompt: Prompt) -> float:
        words = _words(prompt.text)
        shared = [sum(log(1 + len(bank()) / (1 + occurs[w])) for w in words & others) for others in wanted]
        return max(shared, default=0.0) / sqrt(3 + len(words))

    return sorted(pool, key=likeness, reverse=True)


def in_scope(when: str, prompt: Prompt) -> bool | None:
    """Whether a rule with the condition ``when`` (the user's words; empty: always) applies to a prompt of the bank.

    Returns:
        None if the condition speaks of nothing that the bank's tags know, so that it cannot be decided.
    """
    if not when.strip():
        return True
    condition = understand(when)
    return None if condition is None else condition.holds(prompt.tags)


def normal(text: str) -> str:
    """Return the words of a prompt without case, spacing and punctuation at its ends, for comparing prompts."""
    return " ".join(text.lower().split()).strip(" .!?,:;\"'")


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", text.lower()))


def _draw(text: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the words and the seed only."""
    digest = hashlib.sha256(f"{seed}\n{normal(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
