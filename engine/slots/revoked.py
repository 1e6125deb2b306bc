"""Whether what came from a bundle may still be used; asked each time before its adapter is given out.

A generation that came from nowhere else needs no answer. One that did is not used where there is none: a file that
does not read is no permission.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ...schemas.errors import Refused, StorageError, Unchecked
from ...schemas.records import Version
from ...schemas.trust import REVOCATIONS, RevocationFile
from ..files import storage_errors

_Stamp = tuple[int, int, int] | None


class Revoked:
    """What the trust store has seen revoked; called with a generation, it raises where that must not be used."""

    def __init__(self, trust: Path) -> None:
        """Read from the folder of a trust store, again whenever the file there changes."""
        self._path = trust / REVOCATIONS
        self._read: tuple[_Stamp, RevocationFile] | None = None

    def __call__(self, version: Version) -> None:
        """Accept a generation, or raise.

        Raises:
            Refused: ``revoked``.
            Unchecked: ``cannot-check-revocation``.
        """
        if not version.origins:
            return
        file = self._file(version)
        for origin in version.origins:
            revocation = file.against(origin)
            if revocation is not None:
                raise Refused(
                    f"Generation {version.number} of slot {version.slot} holds {origin.slot} {origin.version} of "
                    f"{origin.publisher}, which was revoked ({revocation.by}: {revocation.reason}); go back to another "
                    f"generation with `nightschool rollback {version.slot}`.",
                    "revoked",
                )

    def _file(self, version: Version) -> RevocationFile:
        try:
            with storage_errors(self._path):
                stamp = self._stamp()
                if self._read is None or self._read[0] != stamp:
                    data = self._path.read_bytes() if stamp is not None else b"{}"
                    self._read = stamp, RevocationFile.model_validate_json(data)
        except (ValidationError, StorageError) as error:
            raise Unchecked(
                f"What was revoked cannot be read from {self._path}, so nothing of a bundle is used; restore "
                f"that file from a backup, or go back with `nightschool rollback {version.slot}`.",
                "cannot-check-revocation",
            ) from error
        return self._read[1]

    def _stamp(self) -> _Stamp:
        try:
            entry = self._path.stat()
        except FileNotFoundError:
            return None
        return entry.st_ino, entry.st_size, entry.st_mtime_ns
