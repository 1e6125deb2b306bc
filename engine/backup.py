"""A whole profile as one file, and back: the database, the slots with all their generations, settings, trust.

    manifest.json                 every file of the profile with its hash
    blobs/<sha256>                each content once, however many generations share it

It is an ordinary zip file. What can be fetched or computed again (models, caches, logs) is not in it. The archive is
written whole or not at all, and read as a stranger's file: known names alone, every content hashed before anything of
the profile is touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from ..schemas.errors import Damaged, NotFound, UsageError
from ..schemas.records import BackupSummary
from ..schemas.trust import REVOCATIONS, Revocation, RevocationFile
from .files import held, replacing, storage_error, storage_errors, sync_folder, write_atomic
from .paths import Home
from .records.database import database_errors
from .slots.generations import FileFacts
from .slots.slot_file import NAME
from .slots.store import FIRST_MADE

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 27
_CHUNK = 1 << 20
_PART, _ASIDE = ".restore-", "before-restore-"
_DATABASE, _CONFIG, _SLOTS = "night.db", "config.toml", "slots"
_SIDE_FILES = (f"{_DATABASE}-wal", f"{_DATABASE}-shm")
_PINS = "pins.json"
_NAME = re.compile(
    r"night\.db|config\.toml|trust/(?:pins|revocations)\.json|slots/first_slots|slots/[a-z0-9][a-z0-9-]{0,39}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}){1,3}"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")

Tell = Callable[[float], None]


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    created: float
    files: dict[str, FileFacts]


def write_backup(home: Home, target: Path, tell: Tell = lambda share: None) -> BackupSummary:
    """Write a profile into one file, which is replaced if it is there; also while an engine has the profile open.

    Raises:
        NotFound: If there is no profile.
        UsageError: If the file would lie in the profile itself.
        StorageError: If anything cannot be read or written; an older backup of that name is untouched.
    """
    if not home.database.is_file():
        raise NotFound(f"{home.root} holds no profile; name one with --home.")
    if target.absolute().is_relative_to(home.root.absolute()):
        raise UsageError(f"{target} would lie in the profile that it is to save; give a file elsewhere.")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with (
        storage_errors(target),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.", suffix=".part") as name,
        replacing(target) as part,
    ):
        manifest = _filled(part, home, Path(name) / _DATABASE, tell)
    return _summary(target, manifest)


def restore_backup(file: Path, home: Home, *, replace: bool = False, tell: Tell = lambda share: None) -> BackupSummary:
    """Bring a profile back from a backup. What is there goes aside, into a folder of the profile, and is kept.

    Raises:
        NotFound: If there is no such file.
        Damaged: If it is no backup, or anything in it is not what it must be; the profile is untouched.
        UsageError: If a profile is there and ``replace`` is not given.
        Locked: If an engine has the profile open.
        StorageError: If anything cannot be written.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}; give the path of a backup.")
    with held(home.lock, f"Night School has the profile {home.root} open; close it and restore again.", seconds=0.5):
        there = [home.root / name for name in (*_SIDE_FILES, _DATABASE, _CONFIG, _SLOTS)]
        there = [path for path in there if path.exists()]
        if there and not replace:
            raise UsageError(f"{home.root} holds a profile already; say --replace to put it aside, or name another.")
        with storage_errors(home.root):
            return _restore(file, home, there, tell)


def _restore(file: Path, home: Home, there: list[Path], tell: Tell) -> BackupSummary:
    for left in home.root.glob(f"{_PART}*"):  # of one that was killed
        shutil.rmtree(left)
    part = Path(tempfile.mkdtemp(dir=home.root, prefix=_PART))
    try:
        manifest = _unpack(file, part, tell)
        if (part / "trust").exists():
            home.trust.mkdir(parents=True, exist_ok=True, mode=0o700)
            busy = f"{home.trust} is being written by another Night School; wait for its end and restore again."
            with held(home.trust / ".lock", busy):
                _join_trust(part / "trust", home.trust)
        if there:
            aside = home.root / f"{_ASIDE}{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6:06d}"
            aside.mkdir()
            for path in there:
                path.rename(aside / path.name)
            sync_folder(aside)
        # The database comes last: without it there is no profile, and whoever restores once more loses nothing.
        for name in (_SLOTS, _CONFIG, _DATABASE):
            if (part / name).exists():
                (part / name).rename(home.root / name)
        sync_folder(home.root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _summary(file, manifest)


def _join_trust(saved: Path, here: Path) -> None:
    """Bring back which publishers are known, and what was revoked: what this profile saw revoked stays so.

    Raises:
        Damaged: If what was revoked does not read, here or in the backup.
    """
    revoked: dict[tuple[str, str, str], Revocation] = {}
    for folder in (here, saved):
        path = folder / REVOCATIONS
        try:
            rows = RevocationFile.model_validate_json(path.read_bytes()).revocations if path.exists() else ()
        except ValidationError as error:
            raise Damaged(f"{path} does not read back as it was written; nothing was changed.") from error
        for row in rows:
            revoked.setdefault((row.kind, row.id, row.publisher), row)
    write_atomic(here / REVOCATIONS, RevocationFile(revocations=tuple(revoked.values())).model_dump_json(indent=1))
    if (saved / _PINS).exists() and not (here / _PINS).exists():
        write_atomic(here / _PINS, (saved / _PINS).read_bytes())


def _unpack(file: Path, part: Path, tell: Tell) -> _Manifest:
    """Write the files of an archive into a folder, each checked."""
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _manifest(archive)
            for place, (key, content) in enumerate(manifest.files.items()):
                tell(place / len(manifest.files))
                _take(archive, content, part / key)
                (part / key).chmod(0o444 if "/versions/" in key else 0o600)
    except (zipfile.BadZipFile, KeyError, ValidationError, NotImplementedError, EOFError) as error:
        raise Damaged(f"{file} is no whole backup of Night School ({error}); nothing was changed.") from error
    for folder in sorted({path.parent for path in part.rglob("*")}, reverse=True):
        sync_folder(folder)
    return manifest


def _manifest(archive: zipfile.ZipFile) -> _Manifest:
    entry = archive.getinfo(_MANIFEST)
    if entry.file_size > _LARGEST_MANIFEST:
        raise zipfile.BadZipFile("its list of files is too long")
    manifest = _Manifest.model_validate_json(archive.read(entry))
    if manifest.format != 1:
        raise zipfile.BadZipFile(f"it is of format {manifest.format}, from a newer Night School")
    for key, content in manifest.files.items():
        if not _NAME.fullmatch(key) or not _DIGEST.fullmatch(content.sha256):
            raise zipfile.BadZipFile(f"it names {key[:80]!r}, which is no file of a profile")
    if _DATABASE not in manifest.files:
        raise zipfile.BadZipFile("it holds no database")
    return manifest


def _take(archive: zipfile.ZipFile, content: FileFacts, target: Path) -> None:
    """Write one content, no longer than it says, and check its hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), content.bytes
    with archive.open(f"blobs/{content.sha256}") as source, target.open("xb") as stream:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    if left or digest.hexdigest() != content.sha256:
        raise zipfile.BadZipFile(f"{target.name} is not what was saved")


def _filled(part: Path, home: Home, snapshot: Path, tell: Tell) -> _Manifest:
    """Fill an archive; where a slot is renamed, or files are removed, while it is read, it is filled anew, once."""
    try:
        return _fill(part, home, snapshot, tell)
    except FileNotFoundError:
        try:
            return _fill(part, home, snapshot, tell)
        except FileNotFoundError as error:
            raise storage_error(error, Path(error.filename)) from error


def _fill(part: Path, home: Home, snapshot: Path, tell: Tell) -> _Manifest:
    """Write an archive of a profile, whoever writes that meanwhile.

    The generations come last: one that a slot points at was whole before, and one that the database does not know yet
    counts all the same.
    """
    _copy_database(home.database, snapshot)
    stored: set[str] = set()
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        slots = [path for path in sorted(home.slots.glob("*")) if path.is_dir() and NAME.fullmatch(path.name)]
        found = {key: _add(archive, path, stored) for key, path in _changing(home, slots)}
        found[_DATABASE] = _add(archive, snapshot, stored)
        files = dict(_generations(home, slots))
        for place, (key, path) in enumerate(files.items()):
            tell(place / len(files))
            found[key] = _add(archive, path, stored)
        manifest = _Manifest(created=time.time(), files=found)
        archive.writestr(_MANIFEST, manifest.model_dump_json(indent=1), zipfile.ZIP_DEFLATED)
    return manifest


def _add(archive: zipfile.ZipFile, path: Path, stored: set[str]) -> FileFacts:
    """Store a file's content, unless it is there already; what takes its place meanwhile is another file."""
    with path.open("rb") as stream:
        facts = FileFacts(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), bytes=stream.tell())
        if facts.sha256 not in stored:
            stored.add(facts.sha256)
            stream.seek(0)
            entry = zipfile.ZipInfo(f"blobs/{facts.sha256}")
            entry.file_size = facts.bytes
            entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as blob:
                shutil.copyfileobj(stream, blob, _CHUNK)
    return facts


def _changing(home: Home, slots: list[Path]) -> Iterator[tuple[str, Path]]:
    """Give the files of a profile that are replaced now and then, by their names in it."""
    if home.config.is_file():
        yield _CONFIG, home.config
    for name in (_PINS, REVOCATIONS):
        if (home.trust / name).is_file():
            yield f"trust/{name}", home.trust / name
    yield from _in_slots(home, [home.slots / FIRST_MADE])
    for slot in slots:
        yield from _in_slots(home, slot.iterdir())


def _generations(home: Home, slots: list[Path]) -> Iterator[tuple[str, Path]]:
    """Give the files of the generations of slots.

    Raises:
        FileNotFoundError: If one of the slots has another name by now.
    """
    for slot in slots:
        yield from _in_slots(home, (slot / "versions").rglob("*"))
        slot.stat()


def _in_slots(home: Home, paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Give those of the paths that are files of slots; what is half written or a lock is none."""
    for path in sorted(paths):
        key = f"{_SLOTS}/{path.relative_to(home.slots).as_posix()}"
        if path.is_file() and _NAME.fullmatch(key):
            yield key, path


def _copy_database(path: Path, target: Path) -> None:
    """Copy a database as it is at one moment, whoever writes it meanwhile."""
    with (
        database_errors(path),
        closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as source,
        database_errors(target),
        closing(sqlite3.connect(target)) as copy,
    ):
        try:
            source.backup(copy)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise  # it is the copy that cannot be written
            raise Damaged(
                f"{path} does not read back ({error}); copy the folder as it is, and see the doctor."
            ) from error


def _summary(file: Path, manifest: _Manifest) -> BackupSummary:
    slots = {key.split("/")[1] for key in manifest.files if key.endswith("/slot.json")}
    versions = sum(key.endswith("/version.json") for key in manifest.files)
    return BackupSummary(
        file=str(file), bytes=file.stat().st_size, created=manifest.created, slots=len(slots), generations=versions
    )
