"""The container: a plain ustar archive of which every byte but the names, the sizes and the contents is given.

A header is accepted only if it is the one that we would have written, so that no tar reader can see anything else in
the file than we do. Names are compared, never used as paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..refusals import refuse
from . import limits

MANIFEST_NAME = "manifest.dsse.json"
BLOCK = 512
END = bytes(2 * BLOCK)

_NAME = re.compile(rb"manifest\.dsse\.json|blobs/sha256/[0-9a-f]{64}")
_SIZE = re.compile(rb"[0-7]{11}\0")
_KINDS = {b"x": "pax-header", b"g": "pax-header", b"L": "gnu-name", b"K": "gnu-name", b"S": "sparse"}
_KINDS |= {b"1": "hardlink", b"2": "symlink", **dict.fromkeys((b"3", b"4", b"5", b"6", b"7"), "special-file")}

ReadAt = Callable[[int, int], bytes]
"""Gives ``size`` bytes from ``offset`` on, fewer only at the end."""


@dataclass(frozen=True)
class Member:
    """A file in the archive.

    Attributes:
        start: Where its content begins.
    """

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.start + padded(self.size)


def blob_name(sha256: str) -> str:
    """Return how a blob is called."""
    return f"blobs/sha256/{sha256}"


def padded(size: int) -> int:
    """Return a size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def header(name: str, size: int) -> bytes:
    """Return the header of a file: mode 0644, and no owner or time."""
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        *(b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"00000000000\0"),
        *(b" " * 8, b"0", bytes(100), b"ustar\x0000", bytes(247)),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def first(read: ReadAt) -> Member:
    """Return the first member, which must be the manifest.

    Raises:
        Refused: If the file does not begin with it.
    """
    block = read(0, BLOCK)
    if not block:
        raise refuse("empty")
    if block[257:263] not in (b"ustar\0", b"ustar "):
        raise refuse("truncated" if len(block) < BLOCK and b"manifest" in block[:20] else "not-a-bundle")
    member = _member(block, 0)
    if member.name != MANIFEST_NAME:
        raise refuse("missing-member", "the manifest is not the first file")
    if member.size > limits.MANIFEST:
        raise refuse("json-size")
    return member


def members(read: ReadAt, length: int) -> Iterator[Member]:
    """Give every member, and check all that lies between them and after the last.

    Args:
        read: Of the file.
        length: Of the file.

    Raises:
        Refused: If a byte is not as it must be.
    """
    member, seen = first(read), set[str]()
    while True:
        if member.name in seen:
            raise refuse("duplicate-member")
        if len(seen) > limits.FILES:
            raise refuse("unlisted-member", "it holds too many files")
        seen.add(member.name)
        if member.end > length:
            raise refuse("truncated")
        rest = read(member.start + member.size, member.end - member.start - member.size)
        if rest.strip(b"\0"):
            raise refuse("padding")
        yield member
        block = read(member.end, BLOCK)
        if not block.strip(b"\0"):
            _check_end(read, member.end, length)
            return
        if len(block) < BLOCK:
            raise refuse("truncated")
        member = _member(block, member.end)


def _check_end(read: ReadAt, start: int, length: int) -> None:
    if length - start < len(END):
        raise refuse("truncated")
    if read(start, len(END)) != END:
        raise refuse("padding")
    if length - start > len(END):
        raise refuse("trailing")


def _member(block: bytes, offset: int) -> Member:
    """Return the file that a header announces.

    Raises:
        Refused: If it is not the header that we would have written.
    """
    name, kind = block[:100].rstrip(b"\0"), block[156:157]
    if kind in _KINDS:
        raise refuse(_KINDS[kind])
    if block[124] & 0x80:
        raise refuse("sparse")
    if not _NAME.fullmatch(name) or block[345:500].strip(b"\0"):
        raise refuse("member-name")
    if not _SIZE.fullmatch(block[124:136]):
        raise refuse("header")
    member = Member(name.decode("ascii"), offset + BLOCK, int(block[124:135], 8))
    expected = header(member.name, member.size)
    if block != expected:
        odd = block[100:124] != expected[100:124] or block[136:148] != expected[136:148] or any(block[265:345])
        raise refuse("metadata" if odd else "header")
    return member
