"""What is wrong with the container."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile

from nightschool.marketplace import dsse
from nightschool.marketplace.bundle import ustar
from nightschool.schemas.bundle import PAYLOAD_TYPE

from ..making import KEY
from .table import bundle, good, hostile, parts, raw_files, tar, variants


@hostile(1, "empty")
def empty_file():
    return b""


@variants(2, *(("not-a-bundle", kind, kind) for kind in ("zip", "gzip", "text", "weights")))
def something_else(kind):
    if kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("manifest.dsse.json", good())
        return stream.getvalue()
    return {"gzip": b"\x1f\x8b" + good(), "text": b"slot " * 300, "weights": raw_files()["weights"]}[kind]


@hostile(3, "truncated", 200, name="cut-in-the-first-header")
@hostile(3, "truncated", -1024 - 512 - 40, name="cut-before-the-end")
@hostile(4, "truncated", 1500, name="cut-in-the-manifest")
@hostile(4, "truncated", -1024, name="no-end")
@hostile(4, "truncated", -512, name="half-an-end")
def cut(length):
    return good()[:length]


@variants(5, ("trailing", "byte", b"x"), ("trailing", "zeros", bytes(512)), ("trailing", "tar-record", bytes(8192)))
def goes_on(more):
    return good() + more


@hostile(6, "trailing")
def two_joined():
    return good() + good()


@hostile(6, "duplicate-member")
def two_joined_without_an_end():
    return good()[:-1024] + good()


def odd_member(**fields) -> bytes:
    """Return the good archive with an entry of other fields as Python's tarfile writes it after the first."""
    format_ = fields.pop("format", tarfile.USTAR_FORMAT)
    info = tarfile.TarInfo(fields.pop("name", "blobs/sha256/" + "a" * 64))
    for field, value in fields.items():
        setattr(info, field, value)
    return inserted(info.tobuf(format_))


def inserted(block: bytes) -> bytes:
    read = lambda offset, size: good()[offset : offset + size]  # noqa: E731
    first = ustar.first(read)
    return good()[: first.end] + block + good()[first.end :]


@hostile(7, "pax-header")
def pax_header():
    return odd_member(format=tarfile.PAX_FORMAT, pax_headers={"path": "../../evil"})


@hostile(7, "pax-header")
def global_pax_header():
    return odd_member(type=b"g")


@hostile(8, "gnu-name")
def long_name():
    return odd_member(format=tarfile.GNU_FORMAT, name="a/" * 90)


@hostile(9, "sparse")
def sparse():
    return odd_member(type=b"S")


@hostile(9, "sparse")
def base_256_size():
    return odd_member(format=tarfile.GNU_FORMAT, size=1 << 40)


@variants(10, ("symlink", "absolute", "/etc/passwd"), ("symlink", "upwards", "../../x"))
def symbolic_link(target):
    return odd_member(type=b"2", linkname=target)


@hostile(11, "hardlink")
def hard_link():
    return odd_member(type=b"1", linkname="manifest.dsse.json")


@variants(12, *(("special-file", kind.decode(), kind) for kind in (b"3", b"4", b"5", b"6")))
def device(kind):
    return odd_member(type=kind)


@variants(
    13,
    *(
        ("member-name", str(number), name)
        for number, name in enumerate(
            ("../evil", "/etc/cron.d/x", "blobs/sha256/" + "A" * 64, "blobs/../x", "C:\\x", "x\x1b[2J", "con")
        )
    ),
)
def escaping_name(name):
    return inserted(_renamed(name))


def _renamed(name: str) -> bytes:
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[:100] = name.encode().ljust(100, b"\0")
    return _summed(block)


def _summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@hostile(13, "member-name")
def prefix_field():
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[345:353] = b"../../x\0"
    return inserted(_summed(block))


@variants(
    14,
    ("metadata", "setuid", {"mode": 0o4755}),
    ("metadata", "mtime", {"mtime": 1}),
    ("metadata", "uid", {"uid": 1000}),
    ("metadata", "owner", {"uname": "root"}),
)
def told_more(fields):
    return odd_member(**{"mode": 0o644, **fields})


@hostile(14, "header")
def wrong_checksum():
    block = bytearray(ustar.header("blobs/sha256/" + "a" * 64, 0))
    block[150] ^= 1
    return inserted(bytes(block))


@hostile(14, "padding")
def hidden_in_the_padding():
    data = bytearray(good())
    first = ustar.first(lambda offset, size: bytes(data[offset : offset + size]))
    data[first.end - 1] = 7
    return bytes(data)


@hostile(15, "duplicate-member")
def twice():
    payload, blobs = parts()
    named = [(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob) for blob in blobs.values()]
    return tar([(ustar.MANIFEST_NAME, dsse.sign(json.dumps(payload).encode(), PAYLOAD_TYPE, [KEY])), *named, named[0]])


@hostile(15, "duplicate-member")
def two_manifests():
    member = dsse.sign(json.dumps(parts()[0]).encode(), PAYLOAD_TYPE, [KEY])
    return tar([(ustar.MANIFEST_NAME, member), (ustar.MANIFEST_NAME, member)])


@hostile(16, "unlisted-member")
def stowaway():
    payload, blobs = parts()
    return bundle(payload, {**blobs, "more": b"import os"})


@hostile(16, "unlisted-member")
def a_hundred_stowaways():
    payload, blobs = parts()
    return bundle(payload, {**blobs, **{str(number): b"%d" % number for number in range(100)}})


@hostile(17, "missing-member")
def nothing_but_a_manifest():
    return bundle(parts()[0], {})


@hostile(17, "missing-member")
def manifest_is_not_the_first():
    blob = parts()[1]["card"]
    return tar([(ustar.blob_name(hashlib.sha256(blob).hexdigest()), blob)])
