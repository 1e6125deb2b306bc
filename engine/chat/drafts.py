"""Guesses of the next tokens from what stands earlier in the conversation: lists, names and code repeat themselves.

Several tokens at once cost hardly more than one, so guesses are read with the token before them and kept as far as the
model then says the same: nothing but time changes (prompt lookup decoding, and speculative decoding before it:
Leviathan, Kalman and Matias, arXiv 2211.17192, with guesses that cost nothing).
"""

from __future__ import annotations

from collections.abc import Iterable

_ALIKE = 3
"""Tokens that must have stood together before: of two the next is too often another."""
_MOST = 6


class Drafts:
    """What was said, token by token, and where each few tokens stood last."""

    def __init__(self, tokens: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._again: int | None = None
        self._length = 2  # of the next guess; grows while guesses come true
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Go on with a token."""
        self._tokens.append(token)
        if len(self._tokens) >= _ALIKE:
            last = tuple(self._tokens[-_ALIKE:])
            self._again = self._after.get(last)
            self._after[last] = len(self._tokens)

    def guess(self, room: int) -> list[int]:
        """Return what followed the last time, at most ``room`` tokens; [] if the last few tokens are new together."""
        if self._again is None:
            return []
        return self._tokens[self._again : self._again + min(self._length, room)]

    def judge(self, right: int, guessed: int) -> None:
        """Learn how many of the guessed tokens came true."""
        if guessed:
            self._length = min(_MOST, self._length + 1) if right == guessed else max(1, right)
