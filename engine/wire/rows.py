"""States in frames: which codec writes which row, and what is asked of a frame before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...schemas.errors import BadFrame
from .codecs import FIRST_ROW, LARGEST, Codec, codec_named, codec_numbered
from .codecs.squeeze import MIN_ROWS, squeeze, unsqueeze
from .frames import MAX_PAYLOAD, Flag, Frame, Header, Type, encode
from .tokens import GUESS_BYTES, pack, unpack

if TYPE_CHECKING:
    from torch import Tensor

MAX_FRAME_ROWS = 1024


@dataclass(frozen=True)
class Writing:
    """How rows are to be written: what ``open`` or ``capture`` asked for."""

    codec: str
    zstd: bool = False


def encode_rows(
    rows: Tensor, position: int, writing: Writing, *, sequence: int = 0, guessed: list[int] | None = None
) -> Iterator[bytes]:
    """Give the frames of states ``(n, d)``, any dtype and device, the first of which is that of ``position``.

    Rows that a narrow codec must not write go in frames of their own. ``guessed``: the tokens at these positions.

    Raises:
        BadFrame: If a state is not a finite number, or a row is too long for a frame.
    """
    import torch

    plain = rows.detach().to(device="cpu", dtype=torch.float32)
    if not bool(torch.isfinite(plain).all()):
        raise BadFrame("The base computed states that are no numbers; it cannot be served in these numbers.")
    codec = codec_named(writing.codec)
    most = max(1, min(MAX_FRAME_ROWS, MAX_PAYLOAD // (codec.size(1, plain.shape[1]) + GUESS_BYTES)))
    for start, stop, chosen in _runs(plain, position, codec, most):
        header = Header(Type.ROWS, chosen.number, position=position + start, sequence=sequence)
        tokens = guessed[start:stop] if guessed is not None else None
        yield _frame(header, plain[start:stop], chosen, zstd=writing.zstd, tokens=tokens)


def check_rows(header: Header, *, width: int, most: int, writing: Writing) -> None:
    """Refuse a ROWS frame that is not what was asked for, before its payload comes.

    Args:
        header: Of the frame.
        width: Of the base.
        most: Rows that are still to come.
        writing: What was asked for; a wider codec is always right.

    Raises:
        BadFrame: Saying what does not fit.
    """
    codec = codec_numbered(header.codec)
    if header.width != width:
        raise BadFrame(f"The peer sent states of width {header.width} for a base of width {width}; do not use it.")
    if not 0 < header.rows <= most:
        raise BadFrame(f"The peer sent {header.rows} rows where at most {most} were to come; do not use it.")
    if not codec.wide and (codec.name != writing.codec or header.position == 0):
        raise BadFrame(f"The peer wrote the rows from {header.position} on in {codec.name}, which was not asked for.")
    if Flag.ZSTD in header.flags and (not writing.zstd or header.rows < MIN_ROWS):
        raise BadFrame("The peer sent compressed rows that were not asked for; do not use it.")
    size = codec.size(header.rows, width)
    length = header.length - (GUESS_BYTES * header.rows if Flag.GUESSED in header.flags else 0)
    if (not 0 < length < size) if Flag.ZSTD in header.flags else length != size:
        raise BadFrame(f"{header.rows} rows in {codec.name} cannot have {header.length} bytes; do not use this peer.")


def decode_rows(frame: Frame) -> Tensor:
    """Return the states ``(n, d)``, float32, of a ROWS frame whose header was checked.

    Raises:
        BadFrame: If they do not read or are not finite.
    """
    import torch

    header, codec = frame.header, codec_numbered(frame.header.codec)
    body = frame.payload[GUESS_BYTES * header.rows :] if Flag.GUESSED in header.flags else frame.payload
    if Flag.ZSTD in header.flags:
        size = codec.size(header.rows, header.width)
        body = unsqueeze(body, header.rows * codec.side(header.width), codec.item, size)
    rows = codec.decode(body, header.rows, header.width)
    if not bool(torch.isfinite(rows).all()):
        raise BadFrame("The peer sent states that are no numbers; do not use it.")
    return rows


def decode_guesses(frame: Frame) -> list[int]:
    """Return the tokens that the server guessed at the positions of a ROWS frame; [] where it guessed none."""
    if Flag.GUESSED not in frame.header.flags:
        return []
    return unpack(frame.payload[: GUESS_BYTES * frame.header.rows], GUESS_BYTES)


def _runs(rows: Tensor, position: int, codec: Codec, most: int) -> Iterator[tuple[int, int, Codec]]:
    """Give (start, stop, codec) of the frames that rows become."""
    wide = [False] * len(rows)
    if not codec.wide and len(rows):
        wide = (rows.abs().amax(dim=1) > LARGEST).tolist()
        wide[0] |= position == 0
    start = 0
    while start < len(rows):
        stop = start + 1
        while stop < len(rows) and stop - start < most and wide[stop] == wide[start]:
            stop += 1
        yield start, stop, codec_named(FIRST_ROW) if wide[start] else codec
        start = stop


def _frame(header: Header, rows: Tensor, codec: Codec, *, zstd: bool, tokens: list[int] | None) -> bytes:
    count, width = rows.shape
    body = codec.encode(rows)
    small = squeeze(body, count * codec.side(width), codec.item) if zstd and count >= MIN_ROWS else None
    flags = Flag.NONE if small is None else Flag.ZSTD
    front = b""
    if tokens is not None:
        front, flags = pack(tokens, GUESS_BYTES), flags | Flag.GUESSED
    whole = replace(header, rows=count, width=width, flags=flags)
    return encode(whole, front + (body if small is None else small))
