"""Guesses of the next tokens from what stands earlier in the conversation: lists, names and code repeat themselves.

Several tokens at once cost hardly more than one, so guesses are read with the token before them and kept as far as the
model then says the same: nothing but time changes (prompt lookup decoding, and speculative decoding before it:
Leviathan, Kalman and Matias, arXiv 2211.17192, with guesses that cost nothing).
"""

from __future__ import annotations

from collections.abc import Iterable

_ALIKE = (3, 2, 1)
"""Tokens that must have stood together before, the most telling first; of fewer than the first only one is guessed."""
_MOST = 6


class Drafts:
    """What was said, token by token, and where each few tokens stood last."""

    def __init__(self, tokens: Iterable[int], most: int = _MOST) -> None:
        """Begin with tokens; ``most`` are guessed at once."""
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._again: tuple[int, int] | None = None  # how many tokens are alike, and where the next ones stand
        self._most = most
        self._length = 2  # of the next guess after the most tokens; grows while guesses come true
        self._sure = False  # whether the last guess was one after the most tokens
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Go on with a token."""
        self._tokens.append(token)
        last = [tuple(self._tokens[-alike:]) for alike in _ALIKE if alike <= len(self._tokens)]
        self._again = next(((len(few), self._after[few]) for few in last if few in self._after), None)
        self._after.update(dict.fromkeys(last, len(self._tokens)))

    def guess(self, room: int) -> list[int]:
        """Return what followed the last time, at most ``room`` tokens; [] if the last token is new."""
        if self._again is None:
            return []
        alike, place = self._again
        self._sure = alike == _ALIKE[0]
        return self._tokens[place : place + min(self._length if self._sure else 1, room)]

    def judge(self, right: int, guessed: int) -> None:
        """Learn how many of the last guess came true; one after few tokens tells nothing of those after many."""
        if guessed and self._sure:
            self._length = min(self._most, self._length + 1) if right == guessed else max(1, right)
