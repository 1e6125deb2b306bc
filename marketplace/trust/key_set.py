"""Keys of which so many must sign: what a publisher is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..keys import PublicKey, words_of
from ..refusals import refuse
from ..strict_json import dumps

MAX_KEYS = 8


@dataclass(frozen=True)
class KeySet:
    """One to eight keys, in one order, of which ``threshold`` must sign."""

    keys: tuple[PublicKey, ...]
    threshold: int

    @classmethod
    def of(cls, keys: Iterable[PublicKey], threshold: int) -> KeySet:
        """Make one.

        Raises:
            Refused: ``publisher``, if a key is listed twice, or so many can never sign.
        """
        given = list(keys)
        if not 1 <= len(set(given)) == len(given) <= MAX_KEYS:
            raise refuse("publisher", f"it has {len(given)} keys, one to {MAX_KEYS} different ones are allowed")
        if not 1 <= threshold <= len(given):
            raise refuse("publisher", f"{threshold} of {len(given)} keys can never sign")
        return cls(tuple(sorted(given)), threshold)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over keys and threshold, 64 hex digits: another key or threshold, another fingerprint."""
        told = {"keys": [key.fingerprint for key in self.keys], "threshold": self.threshold}
        return hashlib.sha256(dumps(told)).hexdigest()

    @property
    def words(self) -> str:
        """The fingerprint in six words."""
        return words_of(self.fingerprint)
