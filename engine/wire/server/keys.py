"""Who may ask: bearer keys, of which the profile keeps hashes. A key is 32 random bytes, so a plain hash will do."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from pathlib import Path

from pydantic import ValidationError

from ....schemas.errors import Damaged, NotFound, UsageError
from ....schemas.records import Record
from ...files import storage_errors, write_atomic
from .allowance import Allowance

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOK_AGAIN = 1.0  # seconds


class Key(Record):
    """What is kept of a key."""

    name: str
    sha256: str
    created: float
    allowance: Allowance = Allowance()


class _File(Record):
    format: int = 1
    keys: tuple[Key, ...] = ()


ANYBODY = Key(name="local", sha256="", created=0.0, allowance=Allowance(sessions=1024))
"""Who asks where no key is needed."""


def list_keys(path: Path) -> list[Key]:
    """Return the keys of a file; none where there is no file.

    Raises:
        Damaged: If it does not read.
    """
    if not path.exists():
        return []
    with storage_errors(path):
        data = path.read_bytes()
    try:
        return list(_File.model_validate_json(data).keys)
    except ValidationError as error:
        raise Damaged(f"{path} does not read back as it was written; remove it and add the keys again.") from error


def add_key(path: Path, name: str, allowance: Allowance) -> str:
    """Add a key and return it, the only time that it is seen.

    Raises:
        UsageError: If the name is taken, or no name.
        StorageError: If the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("The name of a key has up to 64 letters, digits, dots, dashes and underscores.")
    kept = list_keys(path)
    if any(key.name == name for key in kept):
        raise UsageError(f"There is a key {name} already; remove it first, or choose another name.")
    secret = f"ns_{secrets.token_urlsafe(32)}"
    _write(path, [*kept, Key(name=name, sha256=_hash(secret), created=time.time(), allowance=allowance)])
    return secret


def remove_key(path: Path, name: str) -> None:
    """Remove a key; a server that runs refuses it within a second.

    Raises:
        NotFound: If there is none of this name.
        StorageError: If the file cannot be written.
    """
    kept = list_keys(path)
    left = [key for key in kept if key.name != name]
    if len(left) == len(kept):
        raise NotFound(f"There is no key {name}; list them to see which there are.")
    _write(path, left)


class KeyRing:
    """The keys of a file, read again when it changes. A file that does not read any more lets nobody in."""

    def __init__(self, path: Path, *, needed: bool) -> None:
        """Read the keys.

        Args:
            path: Of the file.
            needed: Whether a key must be given even where the file has none.

        Raises:
            Damaged: If the file does not read.
        """
        self._path = path
        self._stamp = self._look()
        self._looked = time.monotonic()
        self._keys = list_keys(path)
        self.needed = needed or bool(self._keys)

    def find(self, authorization: str) -> Key | None:
        """Return whose key a header gives; None: nobody's. It takes as long whichever key it is."""
        self._read_again()
        if not self.needed:
            return ANYBODY
        scheme, _, secret = authorization.partition(" ")
        given = _hash(secret.strip())
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, given):
                found = key
        return found if scheme.lower() == "bearer" else None

    def _read_again(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = list_keys(self._path)
            except Damaged:
                self._keys = []
            self.needed = True  # removing the last key opens nothing

    def _look(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino


def _write(path: Path, keys: list[Key]) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(
        path, _File(keys=tuple(keys)).model_dump_json(indent=1)
    )  # readable by its owner alone, as mkstemp makes it


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
