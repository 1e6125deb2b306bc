"""The verbs of HSP/1 over vLLM: sessions are histories of tokens, for vLLM knows by itself what it has read.

Running ahead is vLLM's own generation in short bursts. It says greedily what the plain base would say; with a
temperature the client's noise is not known there, so that fewer of its guesses come true.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .....schemas.hsp import Capture, CaptureEnd, Code, Description, Open, Opened, Step, StepEnd, Stream
from ...bodies import encode_record
from ...frames import Type
from ...rows import Writing, encode_rows
from ..checks import Checks
from ..keys import Key
from ..metrics import Gauge, Metrics
from ..refused import Refused, shutting_down
from ..running_ahead import RunningAhead, guesses_of, parted
from ..sending import frames_of
from ..served import Served, describe
from ..sessions import Asked, Session, Sessions
from ..tails import Tails
from .engine import Burst, VllmEngine

if TYPE_CHECKING:
    from torch import Tensor

FIRST_BURST, LONGEST_BURST = 2, 16
"""Tokens of a burst: short at first, as the first guesses are wrong as often as any, then twice as long each time."""
_CAPTURED_AT_ONCE = 8

NOTES = (
    "vLLM computes: its guesses are the plain base's likeliest tokens, whatever the temperature.",
    "A session's keys and values are vLLM's to keep or to drop; nothing is lost by that but time.",
)


@dataclass(frozen=True)
class _Work:
    """What is done for a session: who asked, whether it was stopped, and where frames go."""

    key: Key
    session: Session
    verb: str
    ahead: RunningAhead
    put: Callable[[bytes], None]


class VllmService:
    """Answers the verbs. Used in the loop's thread only."""

    def __init__(
        self,
        served: Served,
        sessions: Sessions,
        engine: VllmEngine,
        metrics: Metrics,
        *,
        streams: bool = True,
        tails: Tails | None = None,
        sockets: bool = False,
    ) -> None:
        """Prepare; ``streams``: whether it may run ahead; the rest as of ``Service``."""
        self.served, self.sessions, self.metrics, self.sockets = served, sessions, metrics, sockets
        self._engine, self._streams, self._tails = engine, streams, tails
        self._checks = Checks(served, lambda: self.stopping)
        self._working: set[asyncio.Event] = set()
        self._opening: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.stopping = False
        metrics.gauges += [
            Gauge("sessions", "Open sessions.", lambda: len(sessions)),
            Gauge("sessions_busy", "Sessions that are worked on.", lambda: sessions.busy),
        ]

    def start(self) -> None:
        """Begin to take rows; called in the loop."""
        self._opening = asyncio.ensure_future(self._engine.open())
        self._sweeping = asyncio.ensure_future(self._sweep())

    async def stop(self, seconds: float) -> None:
        """Accept nothing more, and wait so long at most for what is worked on."""
        self.stopping = True
        ends = [asyncio.ensure_future(event.wait()) for event in self._working]
        if ends:
            _, late = await asyncio.wait(ends, timeout=seconds)
            for end in late:
                end.cancel()

    async def close(self) -> None:
        """Ask no more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._engine.close()

    def describe(self, key: Key) -> Description:
        """Say what is served and what this key may."""
        return describe(
            self.served,
            key,
            idle_seconds=self.sessions.idle_seconds,
            streams=self._streams,
            tail=self._tails is not None,
            sockets=self.sockets,
            notes=NOTES,
        )

    def tails(self, key: Key) -> Tails:
        """Return what gives the parts of the base.

        Raises:
            Refused: If this key, or this server, does not offer them.
        """
        if self.stopping:
            raise shutting_down()
        if self._tails is None or not key.allowance.tails:
            raise Refused(Code.NOT_OFFERED, "This server gives no tail to this key; ask its owner, or another server.")
        return self._tails

    def open(self, key: Key, asked: Open) -> Opened:
        """Begin an empty session.

        Raises:
            Refused: If the base is another one, or what is asked for is not offered.
        """
        self._checks.base(asked.fingerprint, asked.cut, asked.codec)
        session = self.sessions.open(key, asked.cut, Writing(asked.codec, asked.zstd))
        return Opened(session=session.id, idle_seconds=self.sessions.idle_seconds)

    def close_session(self, key: Key, name: str) -> None:
        """Free a session, if there is one."""
        try:
            self.sessions.close(self.sessions.find(key, name))
        except Refused:
            return

    async def step(self, key: Key, name: str, asked: Step, position: int, tokens: list[int]) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer as they come.

        Raises:
            Refused: If it is not accepted; the session is as it was.
        """
        session = await self._found(key, name, asked.step)
        self._accept(key, session, asked, position, tokens)
        return self._begin(key, session, "step", lambda work: self._step(work, asked.first, tokens))

    async def stream(
        self, key: Key, name: str, asked: Stream, position: int, tokens: list[int]
    ) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer and of what vLLM says to follow it.

        Raises:
            Refused: If it is not accepted; the session is as it was.
        """
        if not self._streams:
            raise Refused(Code.NOT_OFFERED, "This server does not stream; make steps.")
        session = await self._found(key, name, asked.step)
        _, theirs = parted(asked, tokens)
        step = Step(step=asked.step, hash=asked.hash, first=asked.first)
        self._accept(key, session, step, position, tokens)
        return self._begin(key, session, "stream", lambda work: self._run_ahead(work, asked, tokens, theirs))

    async def capture(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        """Compute whole sequences, and return their frames as they come.

        Raises:
            Refused: If that is more than the key may, or not offered.
        """
        self._checks.base(asked.fingerprint, asked.cut, asked.codec)
        self._checks.capture(key, sequences)
        self._checks.meter_of(key).spend(sum(map(len, sequences)))
        return self._captured(key, asked, sequences)

    # -- steps --------------------------------------------------------------------------------------------------------

    async def _found(self, key: Key, name: str, step: int) -> Session:
        """Return a session of which no stream is being answered that is older than ``step``."""
        session = self.sessions.find(key, name)
        ahead, asked = session.ahead, session.asked
        if ahead is not None and ahead.is_stream and asked is not None and step > asked.step:
            await ahead.stop()
            session = self.sessions.find(key, name)
        return session

    def _accept(self, key: Key, session: Session, asked: Step, position: int, tokens: list[int]) -> None:
        """Let a session go back to where a step begins; its tokens are held when they are read."""
        self._checks.step(key, session, asked, position, tokens)
        self._checks.meter_of(key).spend(len(tokens))
        session.asked = Asked(asked.step, position, len(tokens), asked.hash)
        session.history.truncate(position)

    def _begin(
        self, key: Key, session: Session, verb: str, produce: Callable[[_Work], Awaitable[None]]
    ) -> AsyncIterator[bytes]:
        """Work on a session from now on, whether or not anybody reads; return the frames that come of it."""
        ahead = session.ahead = RunningAhead(is_stream=verb == "stream")
        made: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._working.add(ahead.ended)

        def put(frame: bytes) -> None:
            self.metrics.sent.add(len(frame), verb)
            made.put_nowait(frame)

        async def work() -> None:
            try:
                await produce(_Work(key, session, verb, ahead, put))
                made.put_nowait(_held(session))
            except Exception as error:  # noqa: BLE001 (it is raised again where the frames are read)
                made.put_nowait(error)
            finally:
                session.ahead = None
                ahead.ended.set()
                self._working.discard(ahead.ended)
                made.put_nowait(None)

        return _frames_made(made, asyncio.ensure_future(work()))

    async def _step(self, work: _Work, first: int, tokens: list[int]) -> None:
        began, history = time.perf_counter(), work.session.history
        if first < len(history) + len(tokens):
            burst = await self._burst(work, tokens, first)
            await self._put(work, burst.rows, first)
        history.extend(tokens)
        self.metrics.tokens.add(len(tokens), "step")
        self.metrics.step_seconds.observe(time.perf_counter() - began)

    async def _run_ahead(self, work: _Work, asked: Stream, tokens: list[int], theirs: list[int]) -> None:
        """Put the rows of a stream's tokens, then bursts of what vLLM says, each row with what follows it.

        ``theirs``, the last of the tokens, are guesses of the client: vLLM reads them at once with the others.
        """
        history, first, fresh, length = work.session.history, asked.first, tokens, FIRST_BURST
        end = len(history) + len(tokens)
        known = theirs[max(0, first - (end - len(theirs) - 1)) :]  # what follows the rows that are wanted
        if first >= end:  # no row is wanted that a guess could stand with
            history.extend(tokens)
            return
        left = guesses_of(asked, end, self.served.longest)
        while True:
            more = 0 if work.ahead.stopped else min(left, length)
            burst = await self._burst(work, fresh, first, more, asked.ends)
            history.extend([*fresh, *burst.said[:-1]])
            guesses = burst.said[:left]
            following = [*known, *guesses]
            given = len(burst.rows) - len(burst.said) - len(known)  # rows that nothing is guessed to follow
            await self._put(work, burst.rows[:given], first)
            for place, row in enumerate(burst.rows[given:]):
                guessed = following[place : place + 1] or None
                for frame in encode_rows(row[None], first + given + place, work.session.writing, guessed=guessed):
                    work.put(frame)
            self._checks.meter_of(work.key).spend(len(burst.said) - 1)
            left -= len(guesses)
            if len(guesses) < len(burst.said) or guesses[-1] in asked.ends or work.ahead.stopped:
                return
            first, fresh, known, length = len(history), [guesses[-1]], [], min(2 * length, LONGEST_BURST)

    async def _burst(
        self, work: _Work, tokens: list[int], first: int, more: int = 0, ends: Sequence[int] = ()
    ) -> Burst:
        layer = self.served.card.layers - work.session.cut
        whole = [*work.session.history.tokens, *tokens]
        found = await self._engine.ask(whole, first=first, layer=layer, more=more, ends=ends, salt=_salt(work.key))
        self.metrics.rows.add(len(found.rows), work.verb)
        return found

    async def _put(self, work: _Work, rows: Tensor, first: int) -> None:
        for frame in await frames_of(rows, first, work.session.writing) if len(rows) else ():
            work.put(frame)

    # -- captures -----------------------------------------------------------------------------------------------------

    async def _captured(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        writing, layer, turn = Writing(asked.codec, asked.zstd), self.served.card.layers - asked.cut, _turns()
        ended = asyncio.Event()
        self._working.add(ended)

        async def read(tokens: list[int]) -> Burst:
            async with turn:
                return await self._engine.ask(tokens, first=0, layer=layer, salt=_salt(key))

        reading = [asyncio.ensure_future(read(tokens)) for tokens in sequences]
        rows = 0
        try:
            for number, one in enumerate(reading):
                burst = await one
                for frame in await frames_of(burst.rows, 0, writing, number):
                    self.metrics.sent.add(len(frame), "capture")
                    yield frame
                rows += len(burst.rows)
        finally:
            for one in reading:
                one.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            ended.set()
            self._working.discard(ended)
        self.metrics.rows.add(rows, "capture")
        self.metrics.tokens.add(rows, "capture")
        yield encode_record(Type.END, CaptureEnd(sequences=len(sequences), rows=rows))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self.sessions.idle_seconds))
            self.metrics.expired.add(self.sessions.drop_idle())


async def _frames_made(
    made: asyncio.Queue[bytes | Exception | None], working: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    """Give frames as they are made; whoever stops reading ends the work."""
    try:
        while (frame := await made.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame
    finally:
        working.cancel()


def _turns() -> asyncio.Semaphore:
    return asyncio.Semaphore(_CAPTURED_AT_ONCE)


def _salt(key: Key) -> str:
    """Return what lets only the sessions of one key share what was read: the time of an answer would tell others."""
    return hashlib.sha256(f"nightschool {key.name} {key.sha256}".encode()).hexdigest()[:32]


def _held(session: Session) -> bytes:
    return encode_record(Type.END, StepEnd(have=len(session.history), hash=session.history.hash()))
