"""Rows as the frames that a client is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..rows import Writing, encode_rows
from .scheduler import FEW
from .sessions import Session

if TYPE_CHECKING:
    from torch import Tensor


async def frames_of(rows: Tensor, place: int, writing: Writing, sequence: int = 0) -> list[bytes]:
    """Return the frames of some rows; many of them are written in another thread, so that the loop goes on."""
    if len(rows) <= FEW:
        return list(encode_rows(rows, place, writing, sequence=sequence))
    return await asyncio.to_thread(lambda: list(encode_rows(rows, place, writing, sequence=sequence)))


async def frames_of_stream(session: Session, first: int, token: int | None) -> list[bytes]:
    """Return the frames of the rows from ``first`` on, the last one with the token that is guessed to follow it."""
    last = len(session.history) - 1
    frames: list[bytes] = []
    before, rows = session.states.take(first, last), session.states.take(max(first, last), last + 1)
    if before is not None:
        frames += await frames_of(before, first, session.writing)
    if rows is not None:
        guessed = None if token is None else [token]
        frames += encode_rows(rows, last, session.writing, guessed=guessed)
    return frames
