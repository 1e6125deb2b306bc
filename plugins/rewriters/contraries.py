"""Requests of the opposite, asked in many ways: of a few a small model learns the wording, not the wish."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

_DO = (
    "{prompt} {It}.",
    "Please {it}. {prompt}",
    "{prompt} Please {it}.",
    "For this one, {it}. {prompt}",
    "{prompt} This time, {it}.",
    "{It}: {prompt}",
    "{prompt} And {it}.",
    "{It}. {prompt}",
    "{prompt}, but {it}.",
)
_WITHOUT = (
    "Without any {it}, {prompt}",
    "{prompt} No {it}, please.",
    "Answer without any {it}: {prompt}",
    "{prompt} I do not want any {it}.",
    "Skip the {it}. {prompt}",
    "{prompt} Leave out any {it} this time.",
    "I need no {it}. {prompt}",
    "{prompt} Just the answer, no {it}.",
    "Please give me no {it}. {prompt}",
    "{prompt}, but without any {it}.",
)
_WANT = (
    "{prompt} Use {it}.",
    "With {it}, {prompt}",
    "{prompt} I want {it} here.",
    "Please answer with {it}. {prompt}",
    "{prompt} Give me {it}.",
    "Use {it} this time. {prompt}",
)
_HOW = (
    "{It}, {prompt}",
    "{prompt}, {it}.",
    "Tell me {it}: {prompt}",
    "{prompt} Answer {it}.",
    "Please explain {it}: {prompt}",
    "Write {it} about this: {prompt}",
    "{prompt} Describe it {it}.",
)


def contraries(
    *, do: Sequence[str] = (), without: Sequence[str] = (), want: Sequence[str] = (), how: Sequence[str] = ()
) -> list[str]:
    """Return templates with ``{prompt}``, so mixed that any first few of them differ.

    Args:
        do: What the reply shall do, as imperatives in lower case: "start directly with the answer".
        without: What it shall not have, without an article: "greeting".
        want: What it shall have: "bullet points", "a long answer".
        how: What follows a verb: "in detail", "in at least five sentences".
    """
    kinds = (_mixed(_DO, do), _mixed(_WITHOUT, without), _mixed(_WANT, want), _mixed(_HOW, how))
    found = dict.fromkeys(text for row in itertools.zip_longest(*kinds) for text in row if text is not None)
    return [_contracted(text) if number % 3 == 2 else text for number, text in enumerate(found)]


def _contracted(text: str) -> str:
    return text.replace("o not ", "on't ").replace("I need no ", "I don't need any ")


def _mixed(ways: Sequence[str], things: Sequence[str]) -> list[str]:
    """Return every way with every thing, all ways coming first with different things."""
    return [
        way.replace("{it}", thing).replace("{It}", thing[:1].upper() + thing[1:])
        for turn in range(len(things))
        for place, way in enumerate(ways)
        for thing in [things[(place + turn) % len(things)]]
    ]
