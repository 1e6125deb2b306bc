"""One generation as a folder: written whole or not at all, read-only from then on, verified by hash when it is used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ...schemas.errors import Damaged, NotFound
from ...schemas.records import Version
from ..files import storage_errors, sync_folder, write_atomic

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
HEAD_KIND = "NIGHTSCHOOL_HEAD"
"""What the configuration of a head adapter says in place of LORA, so that PEFT refuses it by name."""
ROUTER = "router.safetensors"
PHRASES = "phrases.json"
FACTS = "version.json"
REMOVED = "removed"
"""Beside the facts of a generation whose other files were removed."""
_OPTIONAL = (ROUTER, PHRASES)
_NAMES = (WEIGHTS, CONFIG, *_OPTIONAL, FACTS)
_PART = ".new-"
_NUMBER = re.compile(r"[0-9]{6,9}")
_CHUNK = 1 << 20


class FileFacts(BaseModel):
    """What a file must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    bytes: int


class VersionFile(BaseModel):
    """What ``version.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    version: Version
    files: dict[str, FileFacts]


def write(folder: Path, version: Version, adapter: Path | None, *, link: bool) -> None:
    """Write generation ``version.number`` into ``folder`` (the slot's ``versions``), with the files of ``adapter``.

    A router that lies beside the adapter is part of them.

    Args:
        folder: The ``versions`` folder of the slot.
        version: The generation; size and hash of the adapter are filled in here.
        adapter: A PEFT folder, or None for the plain base.
        link: Whether the files may share their bytes with those of ``adapter`` (only where these never change).

    Raises:
        NotFound: If ``adapter`` lacks one of the two files.
    """
    with new_folder(folder, folder_name(version.number)) as part:
        files = {}
        if adapter is not None:
            names = (WEIGHTS, CONFIG, *(name for name in _OPTIONAL if (adapter / name).is_file()))
            files = {name: _take(adapter / name, part / name, link=link) for name in names}
            weights = files[WEIGHTS]
            version = version.model_copy(update={"adapter_sha256": weights.sha256, "adapter_bytes": weights.bytes})
        content = VersionFile(version=version, files=files).model_dump(mode="json")
        write_synced(part / FACTS, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
        (part / FACTS).chmod(0o444)


class Facts:
    """The facts of generations; those that were read before are read again only if their file has changed."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._known: dict[Path, tuple[tuple[int, int, int], Version]] = {}

    def read(self, folder: Path, number: int) -> Version | None:
        """Return what :func:`read` returns."""
        file = folder / folder_name(number) / FACTS
        try:
            entry = file.stat()
        except OSError:
            return read(folder, number)
        stamp = (entry.st_ino, entry.st_size, entry.st_ctime_ns)
        known = self._known.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        found = read(folder, number)
        if found is not None:
            self._known[file] = (stamp, found)
        return found


def pointed_at(file: Path) -> int:
    """Return the number of the generation that a slot's pointer names; 0, the plain base, where there is none.

    Raises:
        Damaged: If it holds no such number.
    """
    with storage_errors(file):
        try:
            text = file.read_text("ascii", errors="replace").strip()
        except FileNotFoundError:
            return 0
    if not (text.isdecimal() and text.isascii() and len(text) <= 9):
        raise Damaged(f"{file} does not hold the number of a generation; write the one you want into it, or 0.")
    return int(text)


def read(folder: Path, number: int) -> Version | None:
    """Return a generation's facts, or None where there is no such generation.

    Raises:
        Damaged: If its file does not read back.
    """
    home = folder / folder_name(number)
    return facts(home).version if number > 0 and home.is_dir() else None


def verify(folder: Path, what: str) -> None:
    """Check the adapter files of a generation against the hashes taken when it was written.

    Raises:
        Damaged: If a file is missing or differs; ``what`` names the generation in the message.
    """
    for name, expected in facts(folder).files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != expected.bytes or file_hash(file) != expected.sha256:
            raise Damaged(
                f"The file {name} of {what} is not the one that was stored; roll the slot back to another generation, "
                f"or restore {file} from a backup."
            )


def stamp(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when a file of the generation is touched: inode, size and time of change of each."""
    found = [(folder / name).lstat() if (folder / name).exists() else None for name in _NAMES]
    return tuple((entry.st_ino, entry.st_size, entry.st_ctime_ns) if entry else (0, 0, 0) for entry in found)


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the generations in a ``versions`` folder, ascending; unfinished ones are not among them."""
    with storage_errors(folder):
        return sorted(int(entry.name) for entry in folder.iterdir() if _NUMBER.fullmatch(entry.name))


def folder_name(number: int) -> str:
    """Return the folder name of a generation."""
    return f"{number:06d}"


def file_hash(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and flush it to disk."""
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def new_folder(parent: Path, name: str) -> Iterator[Path]:
    """Give a folder to fill, which becomes ``parent/name`` as a whole when the block ends, or vanishes if it raises."""
    part = Path(tempfile.mkdtemp(dir=parent, prefix=_PART))
    try:
        part.chmod(0o755)
        yield part
        sync_folder(part)
        part.rename(parent / name)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers left that were killed. The caller holds the lock, so none of them still lives."""
    for entry in leftovers(folder):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def leftovers(folder: Path) -> list[Path]:
    """Return what writers left that were killed, or are at work."""
    return [
        entry
        for entry in folder.iterdir()
        if entry.name.startswith(_PART) or (entry.name.startswith(".") and entry.name.endswith(".part"))
    ]


def adapter_files(folder: Path) -> list[Path]:
    """Return the files of a generation that are there, without its facts."""
    return [folder / name for name in _NAMES if name != FACTS and (folder / name).is_file()]


def remove_files(folder: Path) -> None:
    """Remove the files of a generation but its facts; a mark that is written first says so. May be done again."""
    if not (folder / REMOVED).exists():
        write_atomic(folder / REMOVED, "")
    remove_leftovers(folder)
    for file in adapter_files(folder):
        file.unlink()
    sync_folder(folder)


def _take(source: Path, target: Path, *, link: bool) -> FileFacts:
    if not source.is_file():
        raise NotFound(f"{source.parent} is not a PEFT adapter: {source.name} is missing; give another folder.")
    if not (link and _linked(source, target)):
        with source.open("rb") as old, target.open("xb") as new:
            shutil.copyfileobj(old, new, _CHUNK)
            new.flush()
            os.fsync(new.fileno())
        target.chmod(0o444)
    return FileFacts(sha256=file_hash(target), bytes=target.stat().st_size)


def _linked(source: Path, target: Path) -> bool:
    """Whether a second name could be made for the same bytes; some file systems have none."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def facts(folder: Path) -> VersionFile:
    """Return what a generation says of itself.

    Raises:
        Damaged: If its file does not read back.
        StorageError: If the disk does not give it.
    """
    file = folder / FACTS
    with storage_errors(file):
        try:
            return VersionFile.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise Damaged(
                f"{file} does not read back; restore {folder} from a backup, or roll back to another generation."
            ) from error


def is_head_adapter(folder: Path) -> bool:
    """Whether a folder holds a head adapter.

    Raises:
        Damaged: If its configuration does not read.
        StorageError: If it cannot be read.
    """
    try:
        with storage_errors(folder):
            if not (folder / CONFIG).is_file():
                return False
            config = json.loads((folder / CONFIG).read_bytes())
    except ValueError as error:
        raise Damaged(f"{folder / CONFIG} does not read; roll back to another version.") from error
    return isinstance(config, dict) and config.get("peft_type") == HEAD_KIND
