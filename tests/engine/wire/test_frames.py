"""Frames come through in any pieces; what is forged, damaged or cut off is refused, and before its payload is held."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightschool.engine.wire.bodies import encode_request
from nightschool.engine.wire.frames import HEADER_BYTES, MAX_JSON, MAX_PAYLOAD, Flag, Header, Reader, Type, encode
from nightschool.engine.wire.tokens import check_tokens, decode_tokens, encode_tokens
from nightschool.schemas.errors import BadFrame
from nightschool.schemas.hsp import Step

FRAMES = [
    encode(Header(Type.REQUEST), b"{}"),
    encode_tokens([5, 70_000, 0], position=9),
    encode(Header(Type.ROWS, 2, Flag.GUESSED, 1, 1, 2, 3), bytes(8)),
]


def everything(header):
    """Expect anything."""


def read(data, size=None, expect=everything):
    reader, found = Reader(expect), []
    for start in range(0, len(data), size or len(data) or 1):
        found += reader.feed(data[start : start + (size or len(data))])
    reader.close()
    return found


@pytest.mark.parametrize("size", [1, 7, 32, 33, 1000])
def test_frames_come_through_in_any_pieces(size):
    found = read(b"".join(FRAMES), size)
    assert [(frame.header.type, frame.header.position, frame.header.sequence) for frame in found] == [
        (Type.REQUEST, 0, 0),
        (Type.TOKENS, 9, 0),
        (Type.ROWS, 1, 3),
    ]
    assert decode_tokens(found[1]) == [5, 70_000, 0]


@given(st.integers(0, 2), st.data())
@settings(max_examples=300, deadline=None)
def test_any_changed_bit_is_seen(which, data):
    frame = bytearray(FRAMES[which])
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadFrame):
        read(bytes(frame))


@pytest.mark.parametrize("kept", [1, 31, 32, 40])
def test_a_stream_that_ends_inside_a_frame_is_seen(kept):
    with pytest.raises(BadFrame, match="middle"):
        read(FRAMES[1][:kept] if kept < len(FRAMES[1]) else FRAMES[1] + FRAMES[0][:1])


@pytest.mark.parametrize(
    ("kind", "length"), [(Type.ROWS, MAX_PAYLOAD + 1), (Type.ROWS, 0xFFFFFFFF), (Type.END, MAX_JSON + 1)]
)
def test_a_forged_length_is_refused_before_the_payload_comes(kind, length):
    header = struct.pack("<4sBBBBIIIIII", b"HSP/", 1, kind, 0, 0, 0, 0, 0, 0, length, 0)
    with pytest.raises(BadFrame, match="announces"):
        list(Reader(everything).feed(header))


def test_a_refused_header_is_refused_before_the_payload_comes():
    def nothing(header):
        raise BadFrame("not asked for")

    with pytest.raises(BadFrame, match="not asked for"):
        list(Reader(nothing).feed(FRAMES[1][:HEADER_BYTES]))


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=40), st.integers(0, 0xFFFFFFFF))
@settings(max_examples=200, deadline=None)
def test_any_tokens_come_through_in_as_few_bytes_as_the_largest_needs(tokens, position):
    (frame,) = read(encode_tokens(tokens, position=position), expect=lambda header: check_tokens(header, 40))
    assert (decode_tokens(frame), frame.header.position) == (tokens, position)
    assert frame.header.width == max(2, (max(tokens, default=0).bit_length() + 7) // 8)


@pytest.mark.parametrize("tokens", [[-1], [1 << 32]])
def test_what_is_no_token_is_not_sent(tokens):
    with pytest.raises(BadFrame, match="cannot be sent"):
        encode_tokens(tokens)


@pytest.mark.parametrize("changes", [{"rows": 4}, {"rows": 2}, {"width": 2}, {"width": 0}, {"width": 8}, {"rows": 41}])
def test_tokens_that_disagree_with_their_header_are_refused(changes):
    fields = {"position": 0, "rows": 3, "width": 3, **changes}
    data = encode(Header(Type.TOKENS, **fields), bytes(fields["rows"] * 3 if changes.get("rows") == 41 else 9))
    with pytest.raises(BadFrame):
        read(data[:HEADER_BYTES], expect=lambda header: check_tokens(header, 40))


def test_a_long_history_is_sent_again_in_little():
    """8,192 tokens of a vocabulary of 128,000."""
    history = [(number * 7919) % 128_000 for number in range(8192)]
    assert len(encode_request(Step(step=1, hash="0" * 32, first=8192), [history])) < 32_000
