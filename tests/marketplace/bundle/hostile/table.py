"""The list of hostile files, and how one is made of a good one."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import zstandard

from nightschool.marketplace import dsse
from nightschool.marketplace.bundle import ustar
from nightschool.schemas.bundle import PAYLOAD_TYPE

from ..making import KEY, factors, make, safetensors

HOSTILE: list[tuple[int, str, str, functools.partial]] = []


def hostile(number, code, *arguments, name=""):
    """Add an input to the list."""

    def add(function):
        label = name or function.__name__
        HOSTILE.append((number, label, code, functools.partial(function, *arguments)))
        return function

    return add


def variants(number, *rows):
    """Add several: (code, name, argument)."""

    def add(function):
        for code, name, argument in rows:
            hostile(number, code, argument, name=f"{function.__name__}-{name}")(function)
        return function

    return add


@functools.cache
def good() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder)).read_bytes()


def parts():
    """Return payload and blobs, by role, in order."""
    read = lambda offset, size: good()[offset : offset + size]  # noqa: E731
    members = list(ustar.members(read, len(good())))
    first, *others = (read(member.start, member.size) for member in members)
    payload = json.loads(dsse.open_envelope(first).unverified_payload)
    return payload, dict(zip((row["role"] for row in payload["predicate"]["files"]), others, strict=True))


def raw_files():
    payload, blobs = parts()
    found = {}
    for row in payload["predicate"]["files"]:
        blob = blobs[row["role"]]
        found[row["role"]] = zstandard.ZstdDecompressor().decompress(blob) if row["codec"] == "zstd" else blob
    found["weights"] = safetensors(factors(), metadata={"format": "pt"})
    return found


def tar(members, *, end=ustar.END) -> bytes:
    body = b"".join(ustar.header(name, len(data)) + data + bytes(-len(data) % 512) for name, data in members)
    return body + end


def bundle(payload, blobs, *, keys=(KEY,), envelope=None, kind=PAYLOAD_TYPE) -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
    signed = dsse.sign(data, kind, list(keys)) if envelope is None else envelope
    named = [(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob) for blob in blobs.values()]
    return tar([(ustar.MANIFEST_NAME, signed), *named])


def with_file(role, *, raw=None, blob=None, codec="raw", size=None, keep=False, also=None) -> bytes:
    """Return a bundle with another file of a role, listed and signed as if it were right."""
    payload, blobs = parts()
    (row,) = [row for row in payload["predicate"]["files"] if row["role"] == role]
    blob = raw if blob is None else blob
    if raw is not None:
        row.update(raw_size=len(raw), raw_sha256=hashlib.sha256(raw).hexdigest())
    row.update(blob=hashlib.sha256(blob).hexdigest(), blob_size=len(blob))
    if not keep:
        row["codec"] = codec
    if size is not None:
        row["raw_size"] = size
    blobs[role] = blob
    (subject,) = [one for one in payload["subject"] if one["name"] == row["path"]]
    subject["digest"]["sha256"] = row["raw_sha256"]
    if also:
        also(payload["predicate"])
    return bundle(payload, blobs)


def changed(change, **options) -> bytes:
    payload, blobs = parts()
    return bundle(change(payload) or payload, blobs, **options)


def with_text(old: bytes, new: bytes) -> bytes:
    """Return a bundle whose payload has another text in place of one, signed."""
    payload, blobs = parts()
    data = json.dumps(payload).encode()
    assert data.count(old) >= 1
    return bundle(data.replace(old, new, 1), blobs)
