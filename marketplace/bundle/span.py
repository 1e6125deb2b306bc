"""A part of an open file, read by place and never by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..refusals import refuse
from . import limits


class Span:
    """``size`` bytes of a file from ``start`` on. ``read`` walks through it; ``at`` does not move."""

    def __init__(self, handle: int, start: int, size: int) -> None:
        self._handle = handle
        self._start = start
        self.size = size
        self._place = 0

    def at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on, fewer only at the end."""
        wanted, parts = max(0, min(size, self.size - offset)), []
        while wanted:
            part = os.pread(self._handle, wanted, self._start + offset)
            if not part:
                break
            parts.append(part)
            wanted, offset = wanted - len(part), offset + len(part)
        return b"".join(parts)

    def whole(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            Refused: ``truncated``.
        """
        found = self.at(offset, size)
        if len(found) < size:
            raise refuse("truncated")
        return found

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        found = self.at(self._place, self.size if size < 0 else size)
        self._place += len(found)
        return found

    def part(self, start: int, size: int) -> Span:
        """Return a part of this part.

        Raises:
            Refused: ``truncated``.
        """
        if start + size > self.size:
            raise refuse("truncated")
        return Span(self._handle, self._start + start, size)

    def chunks(self) -> Iterator[bytes]:
        """Give all of it, a piece at a time."""
        for offset in range(0, self.size, limits.CHUNK):
            yield self.at(offset, limits.CHUNK)
