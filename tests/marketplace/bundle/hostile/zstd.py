"""What is wrong with how files are packed."""

from __future__ import annotations

import struct

import numpy as np
import zstandard

from .table import bundle, good, hostile, parts, raw_files, variants, with_file


def frame(data: bytes, **options) -> bytes:
    given = {"write_checksum": True, "write_content_size": True, **options}
    return zstandard.ZstdCompressor(**given).compress(data)


BOMB = 64 << 20


@hostile(36, "zstd-size")
def bomb_that_says_so():
    return with_file("card", blob=frame(bytes(BOMB)), codec="zstd")


@hostile(37, "zstd-size")
def bomb_that_does_not():
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return with_file("card", blob=stream.compress(bytes(BOMB)) + stream.flush(), codec="zstd")


@hostile(38, "zstd-frame")
def bomb_that_lies():
    """A frame that claims 20 bytes and holds 64 MiB."""
    honest = frame(bytes(BOMB))
    start = zstandard.frame_header_size(honest)
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 20)
    return with_file("card", blob=header + honest[start:], codec="zstd", size=20)


@hostile(38, "zstd-frame")
def claims_more_than_it_holds():
    honest = frame(b"Ahoy. " * 50, level=1)
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 400)
    return with_file("card", blob=header + honest[zstandard.frame_header_size(honest) :], codec="zstd", size=400)


@hostile(39, "zstd-window")
def window_of_a_gigabyte():
    stream = bytes([0b10000100, (30 - 10) << 3]) + struct.pack("<I", 20)
    block = (1 | 20 << 3).to_bytes(3, "little") + bytes(20)
    return with_file("card", raw=bytes(20), blob=b"\x28\xb5\x2f\xfd" + stream + block + bytes(4), codec="zstd")


@hostile(40, "zstd-dictionary")
def dictionary():
    words = zstandard.ZstdCompressionDict(b"Captain ahoy! " * 64, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    trained = zstandard.train_dictionary(1024, [b"Captain %d ahoy %d!" % (n, n * n) for n in range(400)])
    assert words and trained.dict_id()
    card = b"Captain 7 ahoy 49! Captain 8 ahoy 64!"
    return with_file("card", raw=card, blob=frame(card, dict_data=trained), codec="zstd")


@variants(
    41,
    ("zstd-frame", "two", lambda card: frame(card) + frame(b"")),
    ("zstd-frame", "skippable-after", lambda card: frame(card) + b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"evil"),
    ("zstd-frame", "skippable-before", lambda card: b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"evil" + frame(card)),
    ("zstd-frame", "trailing", lambda card: frame(card) + b"x"),
    ("zstd-frame", "no-checksum", lambda card: frame(card, write_checksum=False)),
    ("zstd-frame", "nothing", lambda card: b"\x28"),
)
def not_one_frame(make_frame):
    card = b"Ahoy. " * 50
    return with_file("card", raw=card, blob=make_frame(card), codec="zstd")


@hostile(41, "zstd-frame")
def countless_empty_blocks():
    head = b"\x28\xb5\x2f\xfd" + bytes([0b10000100, 0x58]) + struct.pack("<I", 300)
    return with_file("card", blob=head + bytes(3) * 100_000 + b"\x01\0\0" + bytes(4), codec="zstd", size=300)


@variants(42, ("zstd-frame", "checksum", -2), ("zstd-frame", "block", -9), ("zstd-frame", "header", 7))
def cut_frame(length):
    card = b"Ahoy. " * 50
    return with_file("card", raw=card, blob=frame(card)[:length], codec="zstd")


@hostile(42, "zstd-frame")
def flipped_bit_in_a_frame():
    card = bytes(range(256)) * 4
    data = bytearray(frame(card))
    data[-8] ^= 1
    return with_file("card", raw=card, blob=bytes(data), codec="zstd")


def planes(shorter=0, top=None, header_length=None) -> bytes:
    raw = raw_files()["weights"]
    length = int.from_bytes(raw[:8], "little")
    numbers = np.frombuffer(raw, np.uint8, offset=8 + length).reshape(-1, 4)
    low = b"".join(numbers[:, place].tobytes() for place in range(3))
    packed = frame(numbers[:, 3].tobytes()[top:] if top else numbers[:, 3].tobytes())
    said = length if header_length is None else header_length
    return struct.pack("<I", said) + raw[8 : 8 + length] + low[: len(low) - shorter] + packed


@hostile(43, "planes")
def planes_cut_off():
    return with_file("weights", blob=planes()[:2000], keep=True)


@hostile(43, "zstd-frame")
def plane_too_short():
    return with_file("weights", blob=planes(shorter=1), keep=True)


@hostile(43, "zstd-size")
def top_plane_too_short():
    return with_file("weights", blob=planes(top=1), keep=True)


@hostile(43, "weights-header")
def planes_with_a_long_header():
    return with_file("weights", blob=planes(header_length=1 << 30), keep=True)


@hostile(43, "fields")
def planes_of_a_card():
    return with_file("card", raw=b"Ahoy.", codec="stp1")


@hostile(43, "blob-digest")
def blob_changed():
    data = bytearray(good())
    data[-1024 - 600] ^= 1
    return bytes(data)


@hostile(43, "raw-digest")
def unpacks_to_something_else():
    payload, blobs = parts()
    for row in payload["predicate"]["files"]:
        if row["role"] == "card":
            row["raw_sha256"] = "0" * 64
    for row in payload["subject"]:
        if row["name"] == "card.md":
            row["digest"]["sha256"] = "0" * 64
    return bundle(payload, blobs)
