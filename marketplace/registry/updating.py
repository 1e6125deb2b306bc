"""TUF's client workflow over our own sources, and its errors in our words.

python-tuf checks everything there is to check: who signed, what is newer, what belongs together, what has expired.
Here it is only given files, and told what "now" is: for stale metadata that is the beginning of time, so that all but
the expiry is checked as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ...engine.files import storage_errors
from ..refusals import refuse
from . import layout
from .source import Missing, Source, Wanted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_METADATA = 512_000


@dataclass(frozen=True)
class Verified:
    """What the metadata says, verified.

    Attributes:
        expires: When the first of the four roles expires, seconds since the epoch.
        version: Of the timestamp; grows with each publication.
    """

    catalog: Wanted
    revocations: Wanted
    expires: float
    version: int


def update(source: Source, folder: Path, root: bytes, *, now: datetime) -> Verified:
    """Bring a reader's copy of the metadata, in ``folder``, up to date; of a stale registry too: see ``expires``.

    Args:
        source: The registry.
        folder: The reader's copy; what it holds is the newest that was ever seen.
        root: The root metadata that the reader trusts to begin with.
        now: The time.

    Raises:
        Refused: ``registry-signature``, ``registry-rollback``, ``registry-mix``, ``registry-metadata``, or by a rule of
            transport.
        Unchecked: ``unreachable``.
        StorageError: If the copy cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return _update(source, folder, root, now)
        except exceptions.ExpiredMetadataError:
            with _in_our_words():
                return _update(source, folder, root, _EPOCH)
        except (exceptions.RepositoryError, exceptions.DownloadError):
            with _in_our_words():
                raise


def _update(source: Source, folder: Path, root: bytes, now: datetime) -> Verified:
    config = UpdaterConfig(root_max_length=_MAX_METADATA, targets_max_length=_MAX_METADATA)
    updater = Updater(
        str(folder), "metadata/", target_base_url="targets/", fetcher=_Fetcher(source), config=config, bootstrap=root
    )
    updater._trusted_set.reference_time = now
    updater.refresh()
    catalog, revocations = (_target(updater, name) for name in (layout.CATALOG, layout.REVOCATIONS))
    expiries = [
        Metadata[Root].from_file(str(folder / "root.json")).signed.expires,
        Metadata[Snapshot].from_file(str(folder / "snapshot.json")).signed.expires,
        Metadata[Targets].from_file(str(folder / "targets.json")).signed.expires,
    ]
    timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json")).signed
    expires = min(*expiries, timestamp.expires).timestamp()
    return Verified(catalog, revocations, expires, timestamp.version)


def _target(updater: Updater, name: str) -> Wanted:
    found = updater.get_targetinfo(name)
    if found is None or "sha256" not in found.hashes:
        raise refuse("registry-metadata", f"it names no {name}")
    return Wanted(found.length, found.hashes["sha256"])


class _Fetcher(FetcherInterface):
    """Gives python-tuf the files of a source; where it says URL, ours are places."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from self._source.read(url, _MAX_METADATA)
        except Missing as error:
            raise exceptions.DownloadHTTPError(str(error), 404) from error


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except exceptions.UnsignedMetadataError as error:
        raise refuse("registry-signature", str(error)[:200]) from error
    except exceptions.BadVersionNumberError as error:
        raise refuse("registry-rollback", str(error)[:200]) from error
    except exceptions.LengthOrHashMismatchError as error:
        raise refuse("registry-mix", str(error)[:200]) from error
    except exceptions.RepositoryError as error:
        raise refuse("registry-metadata", str(error)[:200]) from error
    except exceptions.DownloadLengthMismatchError as error:
        raise refuse("too-long", str(error)[:200]) from error
    except exceptions.DownloadHTTPError as error:
        raise refuse("registry-metadata", "a file of it is missing") from error
    except exceptions.DownloadError as error:
        raise refuse("unreachable", str(error)[:200]) from error
