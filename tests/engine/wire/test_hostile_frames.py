"""Frames that somebody has tampered with are refused or mean what was asked for: no crash, no hang, nothing held.

``NIGHTSCHOOL_MUTATIONS=200000`` tries as many.
"""

import os
import random
import struct
import zlib

import pytest
import torch

from nightschool.engine.wire.bodies import decode_record, encode_record
from nightschool.engine.wire.frames import HEADER_BYTES, Reader, Type
from nightschool.engine.wire.rows import Writing, check_rows, decode_guesses, decode_rows, encode_rows
from nightschool.engine.wire.tokens import check_tokens, decode_tokens, encode_tokens
from nightschool.schemas.errors import BadFrame
from nightschool.schemas.hsp import Problem, Step, StepEnd

COUNT = int(os.environ.get("NIGHTSCHOOL_MUTATIONS", "3000"))
WIDTH, MOST = 64, 40
WRITINGS = [
    Writing("bf16", zstd=True),
    Writing("i8h64", zstd=True),
    Writing("f16s"),
    Writing("i6h64"),
    Writing("i4h64"),
]


def samples():
    rows = torch.randn(MOST, WIDTH, generator=torch.Generator().manual_seed(0))
    for writing in WRITINGS:
        yield writing, b"".join(encode_rows(rows, 0, writing))
        yield writing, b"".join(encode_rows(rows[:3], 7, writing, guessed=[1, 2, 3]))
    for frame in (
        encode_tokens(list(range(20))),
        encode_record(Type.REQUEST, Step(step=1, hash="0" * 32, first=3)),
        encode_record(Type.END, StepEnd(have=3, hash="0" * 32)),
        encode_record(Type.ERROR, Problem(code="conflict", have=3, hash="0" * 32)),
    ):
        yield WRITINGS[0], frame


def mutated(data, draw):
    """Return bytes with some changed, dropped, repeated or added; often with a right checksum."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(data))
        kind = draw.random()
        if kind < 0.4:
            data[place] = draw.randrange(256)
        elif kind < 0.6:  # a number of the header
            field = draw.choice((8, 12, 16, 20, 24))
            value = draw.choice((0, 1, 2, 63, 64, 65, 0xFFFF, 1 << 26, (1 << 26) + 1, 0x7FFFFFFF, 0xFFFFFFFF))
            data[field : field + 4] = struct.pack("<I", value)
        elif kind < 0.75:
            data[draw.choice((4, 5, 6, 7))] = draw.randrange(8)
        elif kind < 0.85 and len(data) > HEADER_BYTES:
            del data[place : place + draw.randrange(1, 40)]
        else:
            data[place:place] = draw.randbytes(draw.randrange(1, 40))
        if not data:
            return b""
    if draw.random() < 0.7 and len(data) >= HEADER_BYTES:
        end = HEADER_BYTES + struct.unpack_from("<I", data, 24)[0]
        if end <= len(data):
            data[28:32] = struct.pack("<I", zlib.crc32(bytes(data[:28]) + bytes(data[HEADER_BYTES:end])))
    return bytes(data)


def read(data, writing, draw):
    """Read as either side would; return how many frames were right."""

    def expect(header):
        if header.type is Type.ROWS:
            check_rows(header, width=WIDTH, most=MOST, writing=writing)
        elif header.type is Type.TOKENS:
            check_tokens(header, MOST)

    reader, right, start = Reader(expect), 0, 0
    while start < len(data):
        size = draw.randrange(1, 2000)
        for frame in reader.feed(data[start : start + size]):
            kind = frame.header.type
            if kind is Type.ROWS:
                rows = decode_rows(frame)
                assert rows.shape == (frame.header.rows, WIDTH) and rows.dtype == torch.float32
                assert len(decode_guesses(frame)) in (0, len(rows))
            elif kind is Type.TOKENS:
                assert len(decode_tokens(frame)) == frame.header.rows
            else:
                decode_record(frame, {Type.REQUEST: Step, Type.END: StepEnd, Type.ERROR: Problem}[kind])
            right += 1
        start += size
    reader.close()
    return right


@pytest.mark.parametrize("number", range(14))
def test_tampered_frames_are_refused_or_right(number):
    draw = random.Random(number)
    writing, whole = list(samples())[number]
    assert read(whole, writing, draw) >= 1
    refused = 0
    for _ in range(COUNT // 14):
        data = mutated(whole, draw)
        try:
            read(data, writing, draw)
        except BadFrame as error:
            refused += 1
            assert len(str(error)) < 300
    assert refused > COUNT // 14 // 3
