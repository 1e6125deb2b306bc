"""What both sides call a history of tokens: its length and a hash, so that neither goes on from another's.

The ids, each as u32 little-endian, are cut into blocks of 64. ``chain(0)`` is 32 zero bytes, ``chain(i + 1)`` the
SHA-256 of ``chain(i)`` and the bytes of block ``i``. The hash of the first ``n`` tokens is the first 16 bytes, in small
hexadecimal digits, of the SHA-256 of ``chain(n // 64)`` and the bytes of the ``n % 64`` tokens after that. So a step
costs one hash of less than 300 bytes, going back costs nothing, and a server may name cached blocks by their chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from .tokens import pack

BLOCK = 64
_START = bytes(32)


class Prefix:
    """A growing history of tokens with its hashes. Not thread-safe."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._tokens: list[int] = []
        self._chain = [_START]
        self.extend(list(tokens))

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> Sequence[int]:
        """The history itself; not to be changed."""
        return self._tokens

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens."""
        self._tokens += tokens
        for start in range((len(self._chain) - 1) * BLOCK, len(self._tokens) - BLOCK + 1, BLOCK):
            self._chain.append(_sha256(self._chain[-1], self._tokens[start : start + BLOCK]))

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` tokens."""
        del self._tokens[length:]
        del self._chain[len(self._tokens) // BLOCK + 1 :]

    def copy(self, length: int | None = None) -> Prefix:
        """Return the first ``length`` tokens (all of them) as a history of its own."""
        found = Prefix()
        found._tokens = self._tokens[:length]
        found._chain = self._chain[: len(found._tokens) // BLOCK + 1]
        return found

    def chain(self, blocks: int) -> bytes:
        """Return the value that names the first ``blocks`` whole blocks, 32 bytes."""
        return self._chain[blocks]

    def hash(self, length: int | None = None) -> str:
        """Return the hash of the first ``length`` tokens (all of them), 32 hexadecimal digits."""
        end = len(self._tokens) if length is None else length
        blocks = end // BLOCK
        return _sha256(self._chain[blocks], self._tokens[blocks * BLOCK : end])[:16].hex()


def prefix_hash(tokens: Sequence[int]) -> str:
    """Return the hash of a whole history."""
    return Prefix(tokens).hash()


def _sha256(before: bytes, tokens: Sequence[int]) -> bytes:
    return hashlib.sha256(before + pack(tokens, 4)).digest()
