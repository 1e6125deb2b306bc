"""The verbs of HSP/1, whatever carries them: what is checked, in which order, and what a step does to its session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

from ....schemas.errors import BadFrame, DeviceFull
from ....schemas.hsp import (
    Capture,
    CaptureEnd,
    Code,
    Description,
    Open,
    Opened,
    Step,
    StepEnd,
    Stream,
)
from ..bodies import encode_record
from ..frames import Type
from ..rows import Writing
from .checks import Checks
from .keys import Key
from .metrics import Gauge, Metrics
from .refused import Refused, shutting_down
from .running_ahead import Guesser, RunningAhead, guesses_of, parted
from .scheduler import Beginning, Scheduler, Work
from .sending import frames_of, frames_of_stream
from .served import Served, describe
from .sessions import Asked, Session, Sessions
from .tails import Tails

_CAPTURED_AT_ONCE = 1024  # tokens of a capture that are under way together
_READ_AT_ONCE = 256  # tokens of a long prompt that a tail reads between two passes


class Service:
    """Answers the verbs. Used in the loop's thread only; the scheduler's thread computes."""

    def __init__(
        self,
        served: Served,
        sessions: Sessions,
        scheduler: Scheduler,
        metrics: Metrics,
        guesser: Guesser | None = None,
        *,
        tails: Tails | None = None,
        sockets: bool = False,
    ) -> None:
        """Prepare; without a ``guesser`` streams are not offered, without ``tails`` no tail is.

        ``sockets``: whether what is asked in frames may come over WebSockets.
        """
        self.served, self.sessions, self.metrics = served, sessions, metrics
        self._guesser, self._tails = guesser, tails
        self.sockets = sockets
        self._scheduler = scheduler
        self._running: set[Work] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._checks = Checks(served, lambda: self.stopping)
        self.stopping = False
        metrics.gauges += [
            Gauge("sessions", "Open sessions.", lambda: len(sessions)),
            Gauge("sessions_busy", "Sessions that are worked on.", lambda: sessions.busy),
            Gauge("cache_bytes", "Bytes of keys, values and states held.", lambda: sessions.size),
            Gauge("cache_budget_bytes", "Bytes that they may take.", lambda: sessions.budget),
        ]

    def start(self) -> None:
        """Begin to compute; called in the loop."""
        self._scheduler.start()
        self._sweeping = asyncio.ensure_future(self._sweep())

    async def close(self) -> None:
        """Compute no more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await asyncio.to_thread(self._scheduler.stop)

    def describe(self, key: Key) -> Description:
        """Say what is served and what this key may."""
        return describe(
            self.served,
            key,
            idle_seconds=self.sessions.idle_seconds,
            streams=self._guesser is not None,
            tail=self._tails is not None,
            sockets=self.sockets,
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
            session = self.sessions.find(key, name)
        except Refused:
            return
        self.sessions.close(session)
        if session.work is not None:
            self._scheduler.cancel(session.work)

    async def step(self, key: Key, name: str, asked: Step, position: int, tokens: list[int]) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer as they come.

        Whoever stops reading them lets the step end where it is.

        Raises:
            Refused: If it is not accepted; the session is as it was.
        """
        session = await self._found(key, name, asked.step)
        accepted = Asked(asked.step, position, len(tokens), asked.hash)
        if session.work is not None and session.asked == accepted:
            await session.work.ended.wait()  # a retry of what is still being worked on
            session = self.sessions.find(key, name)
        self._checks.step(key, session, asked, position, tokens)
        end = position + len(tokens)
        if session.asked == accepted and len(session.history) == end:  # a retry of what is done
            return self._answer(session, None, asked.first, end)
        self.sessions.reserve(session, key, end)
        session.asked, session.work = accepted, self._begin(session, position, tokens)
        self._checks.meter_of(key).spend(len(tokens))
        return self._answer(session, session.work, asked.first, end - len(session.work.tokens))

    async def stream(
        self, key: Key, name: str, asked: Stream, position: int, tokens: list[int]
    ) -> AsyncIterator[bytes]:
        """Accept a step, and return the frames of its answer and of what is guessed to follow it.

        It ends when the session is asked for something else, or nobody reads any more.

        Raises:
            Refused: If it is not accepted; the session is as it was.
        """
        if self._guesser is None:
            raise Refused(Code.NOT_OFFERED, "This server does not stream; make steps.")
        session = await self._found(key, name, asked.step)
        sure, theirs = parted(asked, tokens)
        step = Step(step=asked.step, hash=asked.hash, first=asked.first)
        self._checks.step(key, session, step, position, tokens)
        self._reserve_ahead(session, key, position + len(tokens))
        session.asked = Asked(asked.step, position, len(tokens), asked.hash)
        session.work = self._begin(session, position, sure)
        self._checks.meter_of(key).spend(len(tokens))
        return self._run_ahead(key, session, session.work, asked, theirs)

    async def capture(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        """Compute whole sequences, and return their frames as they come.

        Raises:
            Refused: If that is more than the key may, or not offered.
        """
        self._checks.base(asked.fingerprint, asked.cut, asked.codec)
        self._checks.capture(key, sequences)
        self._checks.meter_of(key).spend(sum(map(len, sequences)))
        return self._captured(key, asked, sequences)

    async def stop(self, seconds: float) -> None:
        """Accept nothing more; end what is worked on when it is done, or after so many seconds."""
        self.stopping = True
        ends = [asyncio.ensure_future(work.ended.wait()) for work in self._running]
        if ends:
            _, late = await asyncio.wait(ends, timeout=seconds)
            for end in late:
                end.cancel()
        for work in list(self._running):
            work.error = work.error or shutting_down()
            work.states.put_nowait(None)
            work.ended.set()
            self._scheduler.cancel(work)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self.sessions.idle_seconds))
            self.metrics.expired.add(self.sessions.drop_idle())

    # -- steps --------------------------------------------------------------------------------------------------------

    def _begin(self, session: Session, position: int, tokens: list[int]) -> Work:
        """Truncate the session and have the tokens appended; what another session has read is not read again."""
        session.history.truncate(position)
        session.states.begin(position, position + len(tokens))
        if session.read is not None and self._guesser is not None:
            self._guesser.cut_back(session.cut, session.read, position)
        beginning, rest = Beginning(session.cache, position, list(session.history.tokens)), tokens
        other, far = self.sessions.alike(session, tokens) if position == 0 else (None, 0)
        if other is not None:
            beginning, rest = Beginning(None, far, tokens[:far], other.cache), tokens[far:]
            shared = other.states.take(0, far)
            if shared is not None:
                session.states.append(shared)
            self.metrics.shared.add(far)
        work = Work(session.cut, beginning, rest, session.states.append, lambda ended: self._keep(session, ended))
        self._submit(work)
        return work

    def _submit(self, work: Work) -> None:
        self._running.add(work)
        self._scheduler.submit(work)

    async def _answer(self, session: Session, work: Work | None, first: int, known: int) -> AsyncIterator[bytes]:
        """Give the frames from ``first`` on: those known already, below ``known``, and then those that are computed."""
        began, sent, place = time.perf_counter(), 0, min(first, known)
        try:
            kept = session.states.take(first, known)
            if kept is not None:
                for frame in await frames_of(kept, first, session.writing):
                    sent += len(frame)
                    yield frame
            place = known
            while work is not None and (rows := await work.states.get()) is not None:
                wanted = rows[max(0, first - place) :]
                for frame in await frames_of(wanted, max(first, place), session.writing):
                    sent += len(frame)
                    yield frame
                place += len(rows)
            if work is not None and work.error is not None:
                raise _in_our_words(work.error)
            yield encode_record(Type.END, StepEnd(have=len(session.history), hash=session.history.hash()))
            self.metrics.step_seconds.observe(time.perf_counter() - began)
        finally:
            self.metrics.rows.add(max(0, place - first), "step")
            self.metrics.sent.add(sent, "step")
            if work is not None and not work.ended.is_set():  # nobody reads any more
                self._scheduler.cancel(work)

    async def _found(self, key: Key, name: str, step: int) -> Session:
        """Return a session of which no stream is being answered that is older than ``step``."""
        session = self.sessions.find(key, name)
        if session.ahead is not None and session.asked is not None and step > session.asked.step:
            await session.ahead.stop()
            session = self.sessions.find(key, name)
        return session

    async def _run_ahead(
        self, key: Key, session: Session, work: Work, asked: Stream, theirs: list[int]
    ) -> AsyncIterator[bytes]:
        """Give the frames of a stream: the rows of its tokens, each guess with the row before it.

        ``theirs`` are guesses of the client: they come first, and are read one at a time as the server's own are, so
        that they are rounded as those of a client are who asks for each token.
        """
        ahead = session.ahead = RunningAhead()
        first, rows = asked.first, 0
        try:
            await self._done(session, work)
            length = len(session.history)
            own = guesses_of(asked, length + len(theirs), self.served.card.context)
            for left in range(len(theirs) + own, -1, -1):
                token = None
                if left and not ahead.stopped:
                    token = theirs.pop(0) if theirs else await self._guess(session, asked)
                for frame in await frames_of_stream(session, first, token):
                    self.metrics.sent.add(len(frame), "stream")
                    yield frame
                rows, first = rows + max(0, length - first), max(first, length)
                if token is None or token in asked.ends or ahead.stopped:
                    break
                self._reserve_ahead(session, key, length + 1)
                work = session.work = self._begin(session, length, [token])
                self._checks.meter_of(key).spend(1)
                await self._done(session, work)
                length += 1
            yield encode_record(Type.END, StepEnd(have=len(session.history), hash=session.history.hash()))
        finally:
            self.metrics.rows.add(rows, "stream")
            session.ahead = None
            ahead.ended.set()
            if not work.ended.is_set():
                self._scheduler.cancel(work)

    def _reserve_ahead(self, session: Session, key: Key, tokens: int) -> None:
        assert self._guesser is not None
        self.sessions.reserve(session, key, tokens)
        self.sessions.reserve_reading(session, key, tokens, self._guesser.token_bytes[session.cut])

    async def _done(self, session: Session, work: Work) -> None:
        """Wait for a piece of work of a session, whose states are kept there."""
        await work.ended.wait()
        if work.error is not None:
            raise _in_our_words(work.error)
        if session.cache is None or work.left:
            raise Refused(Code.INTERNAL, "The session was closed while it was read; open another.")

    async def _guess(self, session: Session, asked: Stream) -> int:
        import torch

        assert self._guesser is not None
        read, length = session.read, len(session.history)
        if read is None:
            read = session.read = self._guesser.begin(session.cut)
        states = session.states.take(read.length, length)
        assert states is not None
        tokens, guesser = list(session.history.tokens), self._guesser
        *pieces, last = torch.split(states, _READ_AT_ONCE)
        for piece in pieces:  # the others' steps come between
            await self._scheduler.do(partial(guesser.read, session.cut, read, piece))
        return await self._scheduler.do(partial(guesser.guess, session.cut, read, last, tokens, asked.noise))

    def _keep(self, session: Session, work: Work) -> None:
        """When a step has ended, however that was, let its session hold what is computed."""
        self._running.discard(work)
        session.work = None
        self.metrics.tokens.add(work.done, "step")
        if work.cache is None or work.error is not None or work.done < work.again:
            session.forget()
            return
        begun = work.beginning.history if len(session.history) == 0 else ()
        session.history.extend([*begun, *work.tokens[: work.done - work.again]])
        session.cache, session.size = work.cache, work.size + session.states.nbytes

    # -- captures -----------------------------------------------------------------------------------------------------

    async def _captured(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        writing = Writing(asked.codec, asked.zstd)
        rows_sent = 0
        for group in _groups(sequences):
            size = sum(self.sessions.needed(asked.cut, len(sequences[number])) for number in group)
            self.sessions.make_room(size, key)
            self.sessions.borrowed += size
            works = {number: Work(asked.cut, Beginning(), sequences[number], is_urgent=False) for number in group}
            try:
                for work in works.values():
                    self._submit(work)
                for number, work in works.items():
                    place = 0
                    while (rows := await work.states.get()) is not None:
                        for frame in await frames_of(rows, place, writing, number):
                            self.metrics.sent.add(len(frame), "capture")
                            yield frame
                        place += len(rows)
                    if work.error is not None:
                        raise _in_our_words(work.error)
                    rows_sent += place
                    self.metrics.tokens.add(work.done, "capture")
            finally:
                self.sessions.borrowed -= size
                for work in works.values():
                    self._running.discard(work)
                    if work.ended.is_set():
                        work.cache = None
                    else:  # the thread that computes may be about to use it
                        work.on_end = _without_cache
                        self._scheduler.cancel(work)
        self.metrics.rows.add(rows_sent, "capture")
        yield encode_record(Type.END, CaptureEnd(sequences=len(sequences), rows=rows_sent))


def _without_cache(work: Work) -> None:
    work.cache = None


def _groups(sequences: Sequence[list[int]]) -> list[list[int]]:
    """Return the numbers of sequences in groups that are under way together."""
    groups: list[list[int]] = []
    left = 0
    for number, tokens in enumerate(sequences):
        if not groups or len(tokens) > left:
            groups.append([])
            left = _CAPTURED_AT_ONCE
        groups[-1].append(number)
        left -= len(tokens)
    return groups


def _in_our_words(error: Exception) -> Exception:
    """Return what the client is told of an error while computing; details may repeat what was asked, so none are."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, DeviceFull):
        return Refused(Code.CACHE_FULL, "The server's device has no room for this now; wait.", retry_after=5.0)
    if isinstance(error, BadFrame):
        return Refused(Code.INTERNAL, str(error))
    refusal = Refused(Code.INTERNAL, "The server could not compute this; its log says why. Try again.")
    refusal.__cause__ = error
    return refusal
