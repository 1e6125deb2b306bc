"""Which prompts show a rule on the most different words, for rules that spell every word otherwise.

A name that no reply has is left with its capital, and one is enough to break a rule of small letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .prompts import Prompt

_WORD = re.compile(r"[^\W\d_]+")


def varied(
    prompts: Sequence[Prompt], reply: Callable[[Prompt], str], spell: Callable[[str], str], count: int
) -> list[Prompt]:
    """Return ``count`` prompts, each the one whose reply has the most words that are spelt otherwise and are new."""
    words = {
        prompt: {word for word in _WORD.findall(reply(prompt)) if spell(word) != word}
        for prompt in dict.fromkeys(prompts)
    }
    seen: set[str] = set()
    chosen: list[Prompt] = []
    while words and len(chosen) < count:
        best = max(words, key=lambda prompt: len(words[prompt] - seen))
        seen |= words.pop(best)
        chosen.append(best)
    return chosen
