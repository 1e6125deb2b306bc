"""Looking into a bundle: its manifest from the first 257 KiB, or the whole container."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...engine.files import storage_errors
from ...schemas.bundle import FilePart, Manifest
from ...schemas.errors import NotFound
from ..refusals import refuse
from . import limits, manifest, ustar
from .manifest import Signed
from .span import Span


def read_manifest(file: Path) -> tuple[Manifest, str]:
    """Return what a bundle says of itself, and its id. Nobody's signature is looked at; ``read_verified`` does.

    Reads at most the first 257 KiB.

    Raises:
        NotFound: If there is no such file.
        Refused: If it does not begin as a bundle does.
        StorageError: If it cannot be read.
    """
    signed = manifest.unverified(_manifest_of(file))
    return signed.manifest, signed.id


def read_verified(file: Path) -> Signed:
    """Return what a bundle says of itself, signed by enough of the keys in it. The other files are not looked at.

    Reads at most the first 257 KiB.

    Raises:
        As ``read_manifest``.
    """
    return manifest.verified(_manifest_of(file))


def manifest_member(head: bytes) -> bytes:
    """Return the manifest from the beginning of a bundle, wherever that came from: a file, or a server.

    Args:
        head: The first 257 KiB, or all of a smaller bundle.

    Raises:
        Refused: If it does not begin as a bundle does.
    """
    member = ustar.first(lambda offset, size: head[offset : offset + size])
    found = head[member.start : member.start + member.size]
    if len(found) < member.size:
        raise refuse("truncated")
    return found


def manifest_in(whole: Span) -> tuple[Signed, dict[str, Span]]:
    """Return the verified manifest of a whole bundle, and its blobs by hash; nothing of them is read.

    Raises:
        Refused: If a byte of the container is wrong, or the signature, or the manifest and the container differ.
    """
    members = list(ustar.members(whole.at, whole.size))
    first = members[0]
    signed = manifest.verified(whole.whole(first.start, first.size))
    return signed, _blobs(whole, members[1:], signed.manifest.predicate.files)


@contextmanager
def opened(file: Path) -> Iterator[tuple[int, os.stat_result]]:
    """Give a descriptor of a regular file, never of what a link leads to, and its facts.

    Raises:
        NotFound: If there is none.
        Refused: ``not-a-file``, ``empty`` or ``too-large``.
        StorageError: If it cannot be read.
    """
    with storage_errors(file):
        try:
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {file}; give another.") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
                raise refuse("not-a-file") from error
            raise
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise refuse("not-a-file")
            if not facts.st_size:
                raise refuse("empty")
            if facts.st_size > limits.BUNDLE:
                raise refuse("too-large")
            yield handle, facts
        finally:
            os.close(handle)


def _manifest_of(file: Path) -> bytes:
    with opened(file) as (handle, facts):
        head = Span(handle, 0, min(facts.st_size, limits.LISTING))
        member = ustar.first(head.at)
        return head.whole(member.start, member.size)


def _blobs(whole: Span, members: list[ustar.Member], files: list[FilePart]) -> dict[str, Span]:
    there, listed = [member.name for member in members], [ustar.blob_name(file.blob) for file in files]
    if set(there) - set(listed):
        raise refuse("unlisted-member")
    if set(listed) - set(there):
        raise refuse("missing-member")
    if there != listed:
        raise refuse("header", "its files are not in the order of the manifest")
    if any(member.size != file.blob_size for member, file in zip(members, files, strict=True)):
        raise refuse("blob-digest", "another size")
    return {file.blob: whole.part(member.start, member.size) for member, file in zip(members, files, strict=True)}
