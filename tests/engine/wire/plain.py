"""HSP/1 frames read by docs/protocol.md alone: plain Python, slow, nothing of the engine. What tests compare with."""

from __future__ import annotations

import hashlib
import struct
import zlib

import zstandard

NAMES = {1: "f32", 2: "bf16", 3: "f16s", 4: "i8h64", 5: "i6h64", 6: "i4h64"}
FIELDS = ("magic", "version", "type", "codec", "flags", "position", "rows", "width", "sequence", "length", "crc32")
BITS = {4: 8, 5: 6, 6: 4}
ITEM = {1: 4, 2: 2, 3: 2, 4: 1, 5: 1, 6: 1}


def frames(data):
    """Give (header, payload) of whole frames."""
    while data:
        names = [
            "magic",
            "version",
            "type",
            "codec",
            "flags",
            "position",
            "rows",
            "width",
            "sequence",
            "length",
            "crc32",
        ]
        header = dict(zip(names, struct.unpack("<4sBBBBIIIIII", data[:32]), strict=True))
        payload = data[32 : 32 + header["length"]]
        assert header["magic"] == b"HSP/"
        assert zlib.crc32(data[:28] + payload) == header["crc32"]
        yield header, payload
        data = data[32 + header["length"] :]


def tokens(header, payload):
    width = header["width"]
    return [int.from_bytes(payload[i : i + width], "little") for i in range(0, len(payload), width)]


def states(header, payload):
    """Return the tokens that were guessed, and rows of floats."""
    codec, rows, width = header["codec"], header["rows"], header["width"]
    guessed = []
    if header["flags"] & 2:
        guessed = [int.from_bytes(payload[4 * i : 4 * i + 4], "little") for i in range(rows)]
        payload = payload[4 * rows :]
    groups = (width + 63) // 64
    side = {3: 2, 4: 2 * groups, 5: 2 * groups, 6: 2 * groups}.get(codec, 0) * rows
    if header["flags"] & 1:
        payload = zstandard.ZstdDecompressor().decompress(payload)
        head, body = payload[:side], payload[side:]
        count = len(body) // ITEM[codec]
        payload = head + bytes(body[byte * count + i] for i in range(count) for byte in range(ITEM[codec]))
    sides, values = payload[:side], payload[side:]
    if codec == 1:
        flat = struct.unpack(f"<{rows * width}f", values)
    elif codec == 2:
        flat = [bfloat(values[i : i + 2]) for i in range(0, len(values), 2)]
    elif codec == 3:
        exponents = struct.unpack(f"<{rows}h", sides)
        halves = struct.unpack(f"<{rows * width}e", values)
        flat = [value * 2.0 ** exponents[i // width] for i, value in enumerate(halves)]
    else:
        return guessed, turned(sides, values, rows, width, groups, BITS[codec])
    return guessed, [list(flat[row * width : (row + 1) * width]) for row in range(rows)]


def turned(sides, values, rows, width, groups, bits):
    scales = [bfloat(sides[i : i + 2]) for i in range(0, len(sides), 2)]
    if bits == 8:
        whole = struct.unpack(f"<{len(values)}b", values)
    elif bits == 6:
        triples = [int.from_bytes(values[i : i + 3], "little") for i in range(0, len(values), 3)]
        whole = [(triple >> shift & 63) - 32 for triple in triples for shift in (0, 6, 12, 18)]
    else:
        whole = [part - 8 for byte in values for part in (byte & 15, byte >> 4)]
    found = []
    for row in range(rows):
        line = []
        for group in range(groups):
            number = row * groups + group
            part = [value * scales[number] for value in whole[64 * number : 64 * number + 64]]
            line += [sum(v if (i & j).bit_count() % 2 == 0 else -v for i, v in enumerate(part)) / 8 for j in range(64)]
        found.append(line[:width])
    return found


def bfloat(two):
    return struct.unpack("<f", b"\0\0" + two)[0]


def prefix_hash(ids):
    chain = bytes(32)
    while len(ids) >= 64:
        chain, ids = hashlib.sha256(chain + struct.pack("<64I", *ids[:64])).digest(), ids[64:]
    return hashlib.sha256(chain + struct.pack(f"<{len(ids)}I", *ids)).hexdigest()[:32]
