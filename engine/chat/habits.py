"""What a voice says where the plain base would say something else: "Captain," or "Stay curious!", word for word.

A provider that runs ahead guesses as the plain base speaks, so each word of such a phrase is a wrong guess and costs a
round trip. How it went on the last times after the first of them is sent along with it instead. A wrong guess of ours
costs what the provider's would have: so of a phrase only what was the same each time is guessed. Kept in memory alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 8
"""Tokens of a phrase, after the one it is known by."""
_KEYS = (2, 1)  # tokens that a phrase is known by, the most telling first
_APART = 2  # guesses in a row that may come true within a phrase
_KEPT = 512  # phrases of a voice


@dataclass
class _Habit:
    said: list[int]
    times: int = 1
    settled: bool = False  # it went on otherwise another time


@dataclass
class _Heard:
    """What follows the tokens ``after``; the first ``kept`` of it belong to the phrase."""

    after: tuple[int, ...]
    said: list[int]
    kept: int = 0


class Habits:
    """The phrases of one voice, learned from what it says."""

    def __init__(self) -> None:
        self._habits: OrderedDict[tuple[int, ...], _Habit] = OrderedDict()
        self._heard: list[_Heard] = []
        self._last: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin a reply, whose first words may be a phrase."""
        self.end()
        self._last = list(prompt[-max(_KEYS) :])
        self._heard.append(_Heard(tuple(self._last), []))

    def guess(self, token: int | None = None) -> list[int]:
        """Return how it goes on after ``token``, the next to be said, or at the beginning of a reply; [] if unknown."""
        last = self._last if token is None else [*self._last, token]
        for length in _KEYS:
            habit = self._habits.get(tuple(last[-length:]))
            if habit is not None and (length > 1 or habit.times > 1):  # one token alone may stand anywhere
                return list(habit.said)
        return []

    def add(self, token: int, *, surprising: bool) -> None:
        """Go on with a token; ``surprising``: no provider guessed it."""
        for heard in self._heard:
            heard.said.append(token)
            if surprising and len(heard.said) - heard.kept <= _APART + 1:
                heard.kept = len(heard.said)
        for heard in [heard for heard in self._heard if len(heard.said) == MOST]:
            self._learn(heard)
            self._heard.remove(heard)
        self._last = [*self._last, token][-max(_KEYS) :]
        if surprising:
            self._heard.append(_Heard(tuple(self._last), []))

    def end(self) -> None:
        """End a reply."""
        for heard in self._heard:
            self._learn(heard)
        self._heard.clear()

    def _learn(self, heard: _Heard) -> None:
        for length in _KEYS:
            key = heard.after[-length:]
            habit = self._habits.get(key)
            if habit is None:
                self._habits[key] = _Habit(heard.said[: heard.kept])
            else:
                habit.times += 1
                alike = _alike(habit.said, heard.said)
                if alike < min(len(habit.said), len(heard.said)):
                    habit.said, habit.settled = habit.said[:alike], True
                elif not habit.settled and heard.kept > len(habit.said):
                    habit.said = heard.said[: heard.kept]
            self._habits.move_to_end(key)
        while len(self._habits) > _KEPT:
            self._habits.popitem(last=False)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many of the first tokens are the same."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), min(len(one), len(other)))
