"""The files to read in what the user gave: a file, a folder, or a zip archive as the services hand it out.

Nothing is extracted: what is in an archive is unpacked as it is read, and no further than an export of chats could be.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, cast

from ...schemas.errors import NotFound, NotReadable
from ..files import storage_errors

# ChatGPT, also in parts (``conversations-000.json``), and Claude.
_NAMED = re.compile(r"conversations([-_]?\d+)?\.jsonl?", re.IGNORECASE)
_POSSIBLE = (".json", ".jsonl")

LARGEST_RATIO = 250
"""How many bytes an archive may give for each of its own. Text of chats packs 5 to 20 times smaller."""
SMALL = 2**24
"""Bytes that an archive may give whatever its size."""
MOST_FILES = 10_000


@dataclass(frozen=True)
class Part:
    """One file to read, by the name to call it by and its size as far as it says."""

    name: str
    size: int
    open: Callable[[], BinaryIO]
    named: bool = False
    """Whether it has the name that an export of chats has."""


class PartDamaged(Exception):
    """A file in an archive does not unpack from here on."""


@contextmanager
def parts_of(path: Path) -> Iterator[list[Part]]:
    """Give the files to look at: those that are named as exports are, or where there is none, all that may be one.

    Raises:
        NotFound: If it is not there.
        NotReadable: If it is an archive that cannot be opened, or holds nothing to look at.
        StorageError: If it cannot be read.
    """
    with storage_errors(path):
        if not path.exists():
            raise NotFound(f"There is no file {path}; check its name.")
        if path.is_dir():
            yield _choose([_file(found) for found in sorted(path.iterdir())[:MOST_FILES] if found.is_file()], path)
        elif path.is_file() and _is_zip(path):
            with _opened(path) as archive:
                yield _choose(_members(archive, path), path)
        elif path.is_file():
            yield [_file(path)]
        else:
            raise NotReadable(f"{path} is not a file; give the file with the conversations.")


def watched(part: Part, watch: Callable[[int], None]) -> BinaryIO:
    """Return a part's stream; ``watch`` is told how many bytes were read since it was told last, and may raise.

    Reading raises ``PartDamaged`` where an archive does not unpack.
    """
    return _buffered(part.open(), watch)


def _buffered(stream: IO[bytes], watch: Callable[[int], None]) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(_Watched(stream, watch), 2**16))


class _Watched(io.RawIOBase):
    """A stream that tells what was read of it, and that knows how archives fail."""

    def __init__(self, stream: IO[bytes], watch: Callable[[int], None]) -> None:
        self._stream = stream
        self._watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise PartDamaged(str(error)) from error
        buffer[: len(data)] = data
        self._watch(len(data))
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise NotReadable(f"The archive {path.name} is damaged ({error}); download it again.") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _file(path: Path) -> Part:
    return Part(path.name, path.stat().st_size, lambda: path.open("rb"), _NAMED.fullmatch(path.name) is not None)


def _members(archive: zipfile.ZipFile, path: Path) -> list[Part]:
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise NotReadable(
            f"{path.name} holds {len(infos)} files, more than the {MOST_FILES} that are looked through; unpack it and "
            "give the file with the conversations."
        )
    budget = _Budget(path)
    parts = []
    for info in sorted(infos, key=lambda info: info.filename):
        name = info.filename.rpartition("/")[2]
        if info.is_dir() or info.flag_bits & 1 or info.filename.startswith("__MACOSX/") or name.startswith("."):
            continue  # a folder, encrypted, or what macOS adds
        named = _NAMED.fullmatch(name) is not None
        parts.append(Part(name, info.file_size, partial(budget.opened, archive, info), named))
    return parts


class _Budget:
    """How many bytes an archive may still give; of all its files together, since those may share what they pack."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = max(SMALL, path.stat().st_size * LARGEST_RATIO)

    def opened(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
        """Return the stream of a file, which takes what it gives from the budget."""
        try:
            return _buffered(archive.open(info), self._spend)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise PartDamaged(str(error)) from error

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise NotReadable(
                f"{self._path.name} unpacks to more than {LARGEST_RATIO} times its size, as no export of chats does; "
                "if you trust it, unpack it yourself and give the file with the conversations."
            )


def _choose(parts: list[Part], path: Path) -> list[Part]:
    chosen = [part for part in parts if part.named] or [part for part in parts if part.name.lower().endswith(_POSSIBLE)]
    if not chosen:
        raise NotReadable(f"There is no file with conversations (.json or .jsonl) in {path.name}; give the right one.")
    return chosen
