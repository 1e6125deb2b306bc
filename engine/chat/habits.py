"""What a voice says where the plain base would say something else: "Captain," or "Stay curious!", word for word.

A provider that runs ahead guesses as the plain base speaks, so each word of such a phrase is a wrong guess and costs a
round trip. How it went on the last times after the first of them is sent along with it instead. A wrong guess of ours
costs what the provider's would have: so of a phrase only what was the same each time, twice at least, is guessed. A
study hears what its candidate says to prompts of the bank, and leaves it beside the adapter; all else is kept in memory
alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ...schemas.errors import Damaged
from ...schemas.records import Record
from ..files import storage_errors, write_atomic
from ..slots.generations import PHRASES

MOST = 8
"""Tokens of a phrase, after the one it is known by."""
_KEYS = (2, 1)  # tokens that a phrase is known by, the most telling first
_APART = 2  # guesses in a row that may come true within a phrase
_KEPT = 512  # phrases of a voice


class Said(Record):
    """One reply: the last tokens before it, its own, and the places of those that the plain base would not say."""

    after: list[int]
    tokens: list[int]
    surprising: list[int]


_REPLIES = TypeAdapter(list[Said])


def write_phrases(folder: Path, replies: Sequence[Said]) -> None:
    """Leave replies of a voice beside its adapter.

    Raises:
        StorageError: If they cannot be written.
    """
    write_atomic(folder / PHRASES, _REPLIES.dump_json(list(replies)))


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

    @staticmethod
    def of(folders: Iterable[Path]) -> Habits:
        """Return what lies beside some adapters, where there is anything.

        Raises:
            Damaged: If it does not read back.
            StorageError: If it cannot be read.
        """
        habits = Habits()
        for file in (folder / PHRASES for folder in folders):
            if not file.is_file():
                continue
            with storage_errors(file):
                data = file.read_bytes()
            try:
                replies = _REPLIES.validate_json(data)
            except ValidationError as error:
                raise Damaged(f"{file} does not read back; study again, or roll the slot back.") from error
            for reply in replies:
                habits.begin(reply.after)
                surprising = set(reply.surprising)
                for place, token in enumerate(reply.tokens):
                    habits.add(token, surprising=place in surprising)
                habits.end()
        return habits

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin a reply, whose first words may be a phrase."""
        self.end()
        self._last = list(prompt[-max(_KEYS) :])
        self._heard.append(_Heard(tuple(self._last), []))

    def guess(self) -> list[int]:
        """Return how it goes on after what was said last, or how a reply begins; [] if that is not known."""
        for length in _KEYS:
            habit = self._habits.get(tuple(self._last[-length:]))
            if habit is not None and habit.times > 1:  # what was said once may be anything
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
