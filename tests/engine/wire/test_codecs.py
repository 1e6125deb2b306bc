"""Every codec keeps any finite row within the error it can have, says its size, and refuses what it never wrote."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nightschool.engine.wire.codecs import CODECS, LARGEST, codec_named, codec_numbered
from nightschool.engine.wire.codecs.squeeze import squeeze, unsqueeze
from nightschool.engine.wire.frames import Flag, Header, Reader, Type, encode
from nightschool.engine.wire.rows import Writing, check_rows, decode_guesses, decode_rows, encode_rows
from nightschool.schemas.errors import BadFrame

NAMES = [codec.name for codec in CODECS]
NARROW = {"i8h64": 127, "i6h64": 31, "i4h64": 7}

magnitudes = st.one_of(
    st.floats(-1000, 1000, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from([0.0, -0.0, 1e-45, 2.0**-126, 65504.0, 65520.0, 92580.0, 3.4028235e38, -3.4028235e38, LARGEST]),
)
tables = st.tuples(st.integers(1, 3), st.sampled_from([1, 31, 64, 65, 130])).flatmap(
    lambda shape: st.lists(magnitudes, min_size=math.prod(shape), max_size=math.prod(shape)).map(
        lambda values: torch.tensor(values, dtype=torch.float32).reshape(shape)
    )
)


def sent(rows, name, position=0, **writing):
    """Return rows as they arrive, and the frames they came in."""
    wanted = Writing(name, **writing)
    data = b"".join(encode_rows(rows, position, wanted))
    reader = Reader(lambda header: check_rows(header, width=rows.shape[1], most=len(rows), writing=wanted))
    frames = list(reader.feed(data))
    reader.close()
    places = [
        place for frame in frames for place in range(frame.header.position, frame.header.position + frame.header.rows)
    ]
    assert places == list(range(position, position + len(rows)))
    return torch.cat([decode_rows(frame) for frame in frames]), frames


def bound(row, name):
    """Return what may be lost of each value of a row: the steps of its numbers."""
    row = row.double()
    top = row.abs().amax()
    if name == "f32":
        return torch.zeros_like(row)
    if name == "bf16":
        return row.abs() * 2**-8 + 2**-133
    if name == "f16s" or top > LARGEST:
        return row.abs() * 2**-11 + top * 2**-39 + 2**-149
    groups = torch.nn.functional.pad(row, (0, -len(row) % 64)).reshape(-1, 64)
    length = groups.norm(dim=1, keepdim=True)  # no turned value is larger, and a group loses at most four scales
    scale = length / NARROW[name] * 1.01 + 2**-120
    return (4.1 * scale + 1e-5 * length).expand(-1, 64).reshape(-1)[: len(row)]


@pytest.mark.parametrize("name", NAMES)
@given(rows=tables, position=st.integers(0, 1))
@settings(max_examples=150, deadline=None)
def test_any_finite_row_stays_within_the_error_of_its_codec(name, rows, position):
    found, frames = sent(rows, name, position)
    for number, (row, back) in enumerate(zip(rows, found, strict=True)):
        wide = name in NARROW and position + number == 0
        assert bool(((row.double() - back.double()).abs() <= bound(row, "f16s" if wide else name)).all())
    assert all(codec_numbered(frame.header.codec).wide for frame in frames if frame.header.position == 0)


@pytest.mark.parametrize("name", NAMES)
def test_rows_as_they_are_lose_little_and_take_the_bits_that_are_declared(name):
    rows = torch.randn(200, 576, generator=torch.Generator().manual_seed(1))
    rows[:, 17] *= 80  # outliers stand in few columns
    codec = codec_named(name)
    found, _ = sent(rows, name, position=1)
    lost = ((found - rows).norm() / rows.norm()).item()
    assert lost <= {"f32": 0, "bf16": 2e-3, "f16s": 3e-4, "i8h64": 1.2e-2, "i6h64": 5e-2, "i4h64": 0.2}[name]
    assert (lost == 0) == (codec.error is None)
    assert codec.size(1000, 576) * 8 / 576_000 == pytest.approx(codec.bits, abs=0.03)


@pytest.mark.parametrize("name", ["bf16", "i8h64"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compressed_rows_come_back_the_same_in_fewer_bytes(name, dtype):
    rows = torch.randn(64, 128, generator=torch.Generator().manual_seed(2)).to(dtype).cumsum(1)
    plain, _ = sent(rows, name, position=3)
    found, (frame,) = sent(rows, name, position=3, zstd=True)
    assert torch.equal(found, plain)
    if name == "bf16":
        assert Flag.ZSTD in frame.header.flags
        assert frame.header.length < codec_named(name).size(64, 128)
    few, (frame,) = sent(rows[:15], name, position=3, zstd=True)
    assert torch.equal(few, plain[:15])
    assert Flag.ZSTD not in frame.header.flags


def test_long_runs_are_cut_into_frames():
    rows = torch.randn(2500, 8)
    found, frames = sent(rows, "f32")
    assert torch.equal(found, rows)
    assert len(frames) == 3


def test_guessed_tokens_come_with_their_rows():
    rows = torch.randn(3, 64)
    frames = b"".join(encode_rows(rows, 0, Writing("i8h64"), sequence=4, guessed=[7, 1 << 31, 0]))
    found = list(Reader(lambda header: check_rows(header, width=64, most=3, writing=Writing("i8h64"))).feed(frames))
    assert [decode_guesses(frame) for frame in found] == [[7], [1 << 31, 0]]
    assert torch.cat([decode_rows(frame) for frame in found]).shape == (3, 64)
    assert {frame.header.sequence for frame in found} == {4}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_is_neither_sent_nor_taken(name, value):
    rows = torch.ones(1, 64)
    rows[0, 5] = value
    with pytest.raises(BadFrame, match="no numbers"):
        list(encode_rows(rows, 1, Writing(name)))
    if codec_named(name).wide and name != "f16s":
        forged = rows.to(torch.bfloat16).view(torch.int16) if name == "bf16" else rows.view(torch.int32)
        header = Header(Type.ROWS, codec_named(name).number, position=1, rows=1, width=64)
        (frame,) = Reader(lambda header: None).feed(encode(header, forged.numpy().tobytes()))
        with pytest.raises(BadFrame, match="no numbers"):
            decode_rows(frame)


GOOD = {"codec": 4, "flags": Flag.NONE, "position": 1, "rows": 2, "width": 64, "length": 2 * 66}


@pytest.mark.parametrize(
    "change",
    [
        {"codec": 0},
        {"codec": 9},
        {"codec": 5, "length": 2 * 50},
        {"position": 0},
        {"rows": 0, "length": 0},
        {"rows": 5, "length": 5 * 66},
        {"width": 128, "length": 2 * 132},
        {"length": 2 * 66 - 1},
        {"length": 0xFFFFFFFF},
        {"flags": Flag.ZSTD, "length": 50},
        {"flags": Flag.GUESSED},
    ],
    ids=str,
)
def test_rows_that_were_not_asked_for_are_refused_by_their_header(change):
    asked = {"width": 64, "most": 4, "writing": Writing("i8h64")}
    check_rows(Header(Type.ROWS, **GOOD), **asked)
    with pytest.raises(BadFrame):
        check_rows(Header(Type.ROWS, **{**GOOD, **change}), **asked)


def test_compressed_rows_of_another_size_are_refused_before_they_are_unpacked(monkeypatch):
    bomb = squeeze(bytes(50_000_000), 0, 2)
    assert len(bomb) < 10_000
    monkeypatch.setattr("zstandard.ZstdDecompressor", None)
    with pytest.raises(BadFrame, match="50000000"):
        unsqueeze(bomb, 0, 2, 4096)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_what_was_never_compressed_is_refused(data):
    with pytest.raises(BadFrame):
        unsqueeze(data, 0, 2, 4096)


@pytest.mark.parametrize("name", NARROW)
def test_a_number_that_is_never_written_is_refused(name):
    codec = codec_named(name)
    data = bytearray(codec.encode(torch.ones(1, 64)))
    data[2] = {"i8h64": 0x80, "i6h64": data[2] & 0xC0, "i4h64": data[2] & 0xF0}[name]
    with pytest.raises(BadFrame):
        codec.decode(bytes(data), 1, 64)


def test_numbers_and_names_of_codecs_are_their_own():
    assert len({codec.number for codec in CODECS}) == len({codec.name for codec in CODECS}) == len(CODECS)
    for ask, value in ((codec_named, "fp16"), (codec_numbered, 0)):
        with pytest.raises(BadFrame):
            ask(value)
