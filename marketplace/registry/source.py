"""Where a registry is read from: a folder, or a web site. Both give the bytes of a file, at most so many of them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...engine.files import replacing
from ...schemas.errors import NotFound
from ..refusals import refuse

CHUNK = 256 * 1024


class Missing(NotFound):
    """The registry has no such file."""


class Source(Protocol):
    """The files of one registry, by their place below it."""

    address: str

    def read(self, place: str, most: int) -> Iterator[bytes]:
        """Give a file a piece at a time.

        Raises:
            Missing: If there is none.
            Refused: ``too-long``, if there are more than ``most`` bytes, or by another rule of transport.
            Unchecked: ``unreachable``.
        """
        ...


class Folder:
    """A registry in a folder, on a USB stick for example."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; nothing is read."""
        self.address = str(folder)
        self._folder = folder

    def read(self, place: str, most: int) -> Iterator[bytes]:
        """Give a file a piece at a time; what is no plain file inside the folder is none.

        Raises:
            As ``Source.read``.
        """
        path = self._folder / place
        if not self._folder.is_dir():
            raise refuse("unreachable", f"there is no folder {self.address} now")
        try:
            if not path.parent.resolve().is_relative_to(self._folder.resolve()):
                raise refuse("redirect", place)
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Missing(f"{self.address} has no {place}; tell who keeps it.") from error
        except OSError as error:
            raise self._failure(error, place) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise refuse("redirect", f"{place} is no plain file")
        with os.fdopen(handle, "rb") as stream:
            yield from bounded(self._pieces(stream.read, place), most, place)

    def _pieces(self, read: Callable[[int], bytes], place: str) -> Iterator[bytes]:
        try:
            while piece := read(CHUNK):
                yield piece
        except OSError as error:
            raise self._failure(error, place) from error

    def _failure(self, error: OSError, place: str) -> Exception:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            return refuse("redirect", f"{place} is no plain file")
        return refuse("unreachable", f"{self.address}: {error.strerror or error}")


def bounded(pieces: Iterator[bytes], most: int, place: str) -> Iterator[bytes]:
    """Give pieces while they are at most ``most`` bytes together.

    Raises:
        Refused: ``too-long``.
    """
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > most:
            raise refuse("too-long", f"{place} is longer than {most} bytes")
        yield piece


def read_all(source: Source, place: str, most: int) -> bytes:
    """Return a whole small file.

    Raises:
        As ``Source.read``.
    """
    return b"".join(source.read(place, most))


def read_listed(source: Source, place: str, most: int) -> Iterator[bytes]:
    """Give a file that the registry lists, a piece at a time.

    Raises:
        As ``Source.read``; but ``registry-mix``, if there is none.
    """
    try:
        yield from source.read(place, most)
    except Missing as error:
        raise refuse("registry-mix", f"{place} is not there") from error


@dataclass(frozen=True)
class Wanted:
    """Which file it must be: so many bytes, of this hash."""

    length: int
    sha256: str


def read_checked(source: Source, place: str, wanted: Wanted) -> bytes:
    """Return a whole file, if it is exactly the one that is named.

    Raises:
        As ``read_listed``; also ``registry-mix``, if it is another.
    """
    data = b"".join(read_listed(source, place, wanted.length))
    if len(data) != wanted.length or hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise refuse("registry-mix", place)
    return data


def download(
    source: Source, place: str, wanted: Wanted, target: Path, tell: Callable[[int], None] = lambda count: None
) -> None:
    """Write a file of a registry to ``target``, as a whole or not at all, if it is exactly the one that is named.

    ``tell`` is given how many bytes have come.

    Raises:
        As ``read_checked``; also DiskFull and StorageError.
    """
    digest, count = hashlib.sha256(), 0
    with replacing(target) as part, part.open("wb") as out:
        for piece in read_listed(source, place, wanted.length):
            digest.update(piece)
            out.write(piece)
            count += len(piece)
            tell(count)
        if count != wanted.length or digest.hexdigest() != wanted.sha256:
            raise refuse("registry-mix", place)
