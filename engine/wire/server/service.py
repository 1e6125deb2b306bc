"""The verbs of HSP/1, whatever carries them: what is checked, in which order, and what a step does to its session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from ....schemas.cards import BaseCard
from ....schemas.errors import BadFrame, DeviceFull
from ....schemas.hsp import (
    BaseIdentity,
    Capture,
    CaptureEnd,
    Code,
    Compute,
    Description,
    Limits,
    Open,
    Opened,
    Step,
    StepEnd,
    Stream,
)
from ..bodies import encode_record
from ..codecs import CODECS
from ..frames import Type
from ..rows import Writing
from .allowance import Meter
from .keys import Key
from .metrics import Gauge, Metrics
from .refused import Refused, shutting_down
from .running_ahead import Guesser, RunningAhead, guesses_of
from .scheduler import Beginning, Scheduler, Work
from .sending import frames_of, frames_of_stream
from .sessions import Asked, Session, Sessions
from .tails import Tails

BODY_BYTES = 4 << 20
"""The largest body of a request: a million tokens of up to four bytes."""
_CAPTURED_AT_ONCE = 1024  # tokens of a capture that are under way together


@dataclass(frozen=True)
class Served:
    """What is served, and how.

    Attributes:
        card: Of the base.
        compute: What computes it.
        cuts: That are offered.
    """

    card: BaseCard
    compute: Compute
    cuts: tuple[int, ...]


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
    ) -> None:
        """Prepare; without a ``guesser`` streams are not offered, without ``tails`` no tail is."""
        self.served, self.sessions, self.metrics = served, sessions, metrics
        self._guesser, self._tails = guesser, tails
        self._scheduler = scheduler
        self._meters: dict[str, Meter] = {}
        self._running: set[Work] = set()
        self._sweeping: asyncio.Task[None] | None = None
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
        allowed, card = key.allowance, self.served.card
        identity = {name: getattr(card, name) for name in BaseIdentity.model_fields if hasattr(card, name)}
        return Description(
            base=BaseIdentity(**identity),
            compute=self.served.compute,
            cuts=list(self.served.cuts),
            codecs=[codec.info() for codec in CODECS],
            zstd=True,
            verbs=[
                "step",
                *(["capture"] if allowed.capture_tokens else []),
                *(["stream"] if self._guesser is not None else []),
                *(["tail"] if self._tails is not None and allowed.tails else []),
            ],
            limits=Limits(
                step_tokens=allowed.step_tokens,
                capture_tokens=allowed.capture_tokens,
                capture_sequences=allowed.capture_sequences,
                body_bytes=BODY_BYTES,
                sessions=allowed.sessions,
                idle_seconds=self.sessions.idle_seconds,
            ),
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
        self._check_base(asked.fingerprint, asked.cut, asked.codec)
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
        self._check_step(key, session, asked, position, tokens)
        end = position + len(tokens)
        if session.asked == accepted and len(session.history) == end:  # a retry of what is done
            return self._answer(session, None, asked.first, end)
        self.sessions.reserve(session, key, end)
        session.asked, session.work = accepted, self._begin(session, position, tokens)
        self._meter(key).spend(len(tokens))
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
        if not tokens:
            raise Refused(Code.BAD_REQUEST, "A stream begins with at least one token.")
        step = Step(step=asked.step, hash=asked.hash, first=asked.first)
        self._check_step(key, session, step, position, tokens)
        self._reserve_ahead(session, key, position + len(tokens))
        session.asked = Asked(asked.step, position, len(tokens), asked.hash)
        session.work = self._begin(session, position, tokens)
        self._meter(key).spend(len(tokens))
        return self._run_ahead(key, session, session.work, asked)

    async def capture(self, key: Key, asked: Capture, sequences: Sequence[list[int]]) -> AsyncIterator[bytes]:
        """Compute whole sequences, and return their frames as they come.

        Raises:
            Refused: If that is more than the key may, or not offered.
        """
        self._check_base(asked.fingerprint, asked.cut, asked.codec)
        allowed, total = key.allowance, sum(map(len, sequences))
        for count, most in ((len(sequences), allowed.capture_sequences), (total, allowed.capture_tokens)):
            if count > most:
                raise Refused(Code.TOO_LARGE, f"A capture may have {most}, not {count}; send less.", limit=most)
        for tokens in sequences:
            if not tokens:
                raise Refused(Code.BAD_REQUEST, "A sequence of a capture is empty.")
            self._check_tokens(0, tokens)
        self._check_meter(key)
        self._meter(key).spend(total)
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

    # -- checks -------------------------------------------------------------------------------------------------------

    def _check_base(self, fingerprint: str, cut: int, codec: str) -> None:
        if self.stopping:
            raise shutting_down()
        card = self.served.card
        if fingerprint != card.fingerprint:
            raise Refused(Code.WRONG_BASE, f"This server has {card.name} ({card.short}); ask one that has your base.")
        if cut not in self.served.cuts:
            offered = ", ".join(map(str, self.served.cuts))
            raise Refused(Code.NOT_OFFERED, f"The cut {cut} is not offered; ask for one of: {offered}.")
        if codec not in {one.name for one in CODECS}:
            names = ", ".join(one.name for one in CODECS)
            raise Refused(Code.NOT_OFFERED, f"This codec is not offered; ask for one of: {names}.")

    def _check_step(self, key: Key, session: Session, asked: Step, position: int, tokens: list[int]) -> None:
        last = session.asked
        if self.stopping:
            raise shutting_down()
        if last is not None and asked.step < last.step:
            raise _refused_with(session, Code.STALE, "A newer step was made in this session.")
        if not session.is_idle:
            raise Refused(Code.BUSY, "Another step of this session is being worked on; try again.", retry_after=0.1)
        history = session.history
        repeated = Asked(asked.step, position, len(tokens), asked.hash)
        differs = last is not None and asked.step == last.step and repeated != last
        if differs or position > len(history) or asked.hash != history.hash(position):
            raise _refused_with(session, Code.CONFLICT, "The session holds something else; go on from there.")
        if not position <= asked.first <= position + len(tokens):
            raise Refused(Code.BAD_REQUEST, "The first state that is wanted is none of this step.")
        self._check_tokens(position, tokens)
        most = key.allowance.step_tokens
        if len(tokens) > most:
            raise Refused(Code.TOO_LARGE, f"A step may have {most} tokens, not {len(tokens)}.", limit=most)
        self._check_meter(key)

    def _check_tokens(self, position: int, tokens: list[int]) -> None:
        card = self.served.card
        if position + len(tokens) > card.context:
            raise Refused(
                *(Code.TOO_LONG, f"{position + len(tokens)} tokens do not fit the context of {card.context}."),
                limit=card.context,
            )
        if tokens and max(tokens) >= card.vocabulary:
            raise Refused(Code.BAD_REQUEST, f"A token lies outside the {card.vocabulary} that the base knows.")

    def _check_meter(self, key: Key) -> None:
        wait = self._meter(key).wait()
        if wait:
            raise Refused(Code.TOO_MANY, "This key has used up its tokens for now; wait.", retry_after=wait)

    def _meter(self, key: Key) -> Meter:
        meter = self._meters.get(key.name)
        if meter is None or meter.rate != key.allowance.tokens_a_second:
            meter = self._meters[key.name] = Meter(key.allowance.tokens_a_second)
        return meter

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

    async def _run_ahead(self, key: Key, session: Session, work: Work, asked: Stream) -> AsyncIterator[bytes]:
        """Give the frames of a stream: the rows of its tokens, each guess with the row before it."""
        ahead = session.ahead = RunningAhead()
        first, rows = asked.first, 0
        try:
            await self._done(session, work)
            length = len(session.history)
            for left in range(guesses_of(asked, length, self.served.card.context), -1, -1):
                token = await self._guess(session, asked) if left and not ahead.stopped else None
                for frame in await frames_of_stream(session, first, token):
                    self.metrics.sent.add(len(frame), "stream")
                    yield frame
                rows, first = rows + length - first, length
                if token is None or token in asked.ends or ahead.stopped:
                    break
                self._reserve_ahead(session, key, length + 1)
                work = session.work = self._begin(session, length, [token])
                self._meter(key).spend(1)
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
        assert self._guesser is not None
        read, length = session.read, len(session.history)
        if read is None:
            read = session.read = self._guesser.begin(session.cut)
        states = session.states.take(read.length, length)
        assert states is not None
        tokens = list(session.history.tokens)
        return await asyncio.to_thread(self._guesser.guess, session.cut, read, states, tokens, asked.noise)

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
                    if not work.ended.is_set():
                        self._scheduler.cancel(work)
                    work.cache = None
        self.metrics.rows.add(rows_sent, "capture")
        yield encode_record(Type.END, CaptureEnd(sequences=len(sequences), rows=rows_sent))


def _refused_with(session: Session, code: Code, message: str) -> Refused:
    """Return a refusal that says what the session holds."""
    return Refused(code, message, have=len(session.history), hash=session.history.hash())


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
