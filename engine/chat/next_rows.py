"""Getting the rows after chosen tokens: the provider runs ahead, or guesses of our own are read along, or one by one.

Whichever way, the tokens that are chosen are the same: a row depends on the tokens before it alone, and the noise of a
draw on its position alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from torch import Tensor

from ...schemas.errors import BadFrame, RemoteError
from ...schemas.messages import Sampling
from ..base.provider import Distant, Frame, Guess, Session, Streaming, end_stream
from .drafts import Drafts
from .habits import Habits
from .pace import Pace
from .reading import Reading, let_go
from .traffic import Traffic

_FAR = 16  # guesses of our own at most, where each call costs a round trip
_FAILURES = 2  # streams that broke off, after which a reply goes on without
_SILENT = 2  # streams in a row without a guess, after which it does so, too


@dataclass(frozen=True)
class Wanted:
    """What a reply draws with: the provider guesses with the same."""

    sampling: Sampling
    seed: int


class NextRows:
    """The rows of one reply, one choice after the other.

    Attributes:
        guessed: Tokens at the end of the reading that are not chosen yet; their rows are there. Those that follow a
            wrong one are cut off with the next call.
    """

    def __init__(
        self,
        reading: Reading,
        wanted: Wanted,
        *,
        pace: Pace,
        traffic: Traffic,
        drafting: bool,
        habits: Habits,
        reopen: Callable[[], Session],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare.

        Args:
            reading: What is read so far.
            wanted: What is drawn with.
            pace: Says how far the provider shall run ahead; learns from it.
            traffic: Where it is counted.
            drafting: Whether guesses of our own pay where the trunk is near.
            habits: Of the voice, which are guessed where the provider guesses otherwise.
            reopen: Gives another session, in place of one that is lost.
            clock: Seconds.
        """
        self._reading, self._wanted = reading, wanted
        self._pace, self._traffic, self._clock = pace, traffic, clock
        self._reopen = reopen
        session = reading.session
        self._distant = isinstance(session, Distant) and session.distant
        self._drafting = (self._distant or drafting) if pace.drafts is None else pace.drafts
        self._streams = pace.streams and isinstance(session, Streaming)
        self._drafts = Drafts(reading.tokens, _FAR) if self._distant else Drafts(reading.tokens)
        self._habits = habits
        self._ours = 0  # of the stream's guesses that are not judged yet, the first ones: sent along by us
        self._said = 0  # tokens that were said since guesses were judged
        self._silent = 0
        self._frames: AsyncIterator[Frame] | None = None
        self._expected: int | None = None  # what the provider guesses to follow all that is read
        self.guessed: list[int] = []

    async def begin(self, tokens: list[int], room: int, states: Tensor | None = None) -> Tensor:
        """Read the end of the prompt; return as ``after`` does.

        Args:
            tokens: At least one.
            room: How many tokens may be chosen.
            states: Of ``tokens``, ``(T, d)``, where they are known.
        """
        for token in tokens:
            self._drafts.add(token)
        self._habits.begin(self._reading.tokens + tokens)
        if states is not None:
            return self._reading.take(tokens, states)[-1:]
        return await self._ask(tokens, room, self._habits.guess()[:room] if self._streams_now() else [])

    async def after(self, token: int, right: int, room: int) -> Tensor:
        """Take a chosen token and return its row and those of the tokens guessed to follow it, ``(1 + guessed, d)``.

        Args:
            token: What was chosen after the first ``right`` guessed tokens; not the next guessed one.
            right: How many of ``guessed`` were chosen.
            room: How many more tokens may be chosen after this one.

        Raises:
            RemoteError: If the provider is lost and cannot be had again.
        """
        began = self._clock()
        agreed = self._judge(token, right)
        streamed = True
        hidden = await self._next_of_stream(token) if agreed else None
        if hidden is None:
            agreed = False
            streamed = self._streams_now()
            hidden = await self._ask([token], room, self._guesses(room))
        self._pace.took(self._clock() - began, streamed=streamed, agreed=agreed)
        return hidden

    async def close(self) -> None:
        """End the reply, and a stream that runs."""
        self._habits.end()
        await self._end_stream()

    async def _end_stream(self) -> None:
        frames, self._frames = self._frames, None
        self._expected = None
        if frames is not None:
            await end_stream(frames)

    # -- what was guessed ---------------------------------------------------------------------------------------------

    def said(self, token: int) -> None:
        """Note a token that was chosen, for guesses of our own."""
        self._drafts.add(token)
        theirs = self.guessed[self._said] if self._said < len(self.guessed) else self._expected
        ours = self._said < self._ours
        self._said += 1
        self._habits.add(token, surprising=self._frames is not None and (ours or token != theirs))

    def _guesses(self, room: int) -> list[int]:
        """Return what may follow the token that was said last, which the provider did not guess.

        Where the provider runs ahead only what it cannot know is guessed here.
        """
        if self._can_stream():
            return self._habits.guess()[:room] if self._streams_now() else []
        return self._drafts.guess(room) if self._drafting else []

    def _judge(self, token: int, right: int) -> bool:
        """Compare what was guessed with what was chosen; return whether the provider's next frame follows."""
        surplus = len(self.guessed) - right
        streamed = self._frames is not None
        if streamed:
            agreed = surplus == 0 and token == self._expected
            judged = [True] * right + [agreed] * (surplus > 0 or self._expected is not None)
            theirs = judged[self._ours :]
            self._ours = max(0, self._ours - len(judged))
            for came_true in theirs:
                self._pace.judge(came_true)
            self._traffic.guessed += len(theirs)
            self._traffic.agreed += sum(theirs)
        else:
            self._drafts.judge(right, len(self.guessed))
            agreed = False
        self._traffic.wasted += surplus
        self._reading.cut_back(len(self._reading.tokens) - surplus)
        self.guessed, self._said = [], 0
        return agreed

    def _can_stream(self) -> bool:
        return self._streams and self._traffic.failures < _FAILURES and self._silent < _SILENT

    def _streams_now(self) -> bool:
        return self._can_stream() and self._pace.streams_next()

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _next_of_stream(self, token: int) -> Tensor | None:
        """Return the rows of the next frame, which begins with ``token``; None if none comes."""
        assert self._frames is not None
        try:
            frame = await anext(self._frames, None)
            return self._taken(frame, [token]) if frame is not None else None
        except RemoteError:
            self._traffic.failures += 1
            return None

    async def _ask(self, tokens: list[int], room: int, drafts: list[int]) -> Tensor:
        """Pay a round trip for ``tokens`` and guesses of our own; return as ``after`` does."""
        await self._end_stream()
        self._traffic.round_trips += 1
        self._traffic.drafted += len(drafts)
        if self._streams_now():
            before = len(self._reading.tokens)
            try:
                return await self._begin_stream(tokens, room, drafts)
            except RemoteError:
                self._traffic.failures += 1
                self._traffic.round_trips += 1
                await self._end_stream()
                self._reading.cut_back(before)  # a part may have come
                drafts = []
        hidden = await self._extend([*tokens, *drafts], 1 + len(drafts))
        self._hold(drafts)
        return hidden[-1 - len(drafts) :]

    def _hold(self, guessed: list[int]) -> None:
        """Note guesses whose rows are there."""
        self.guessed, self._said = guessed, 0
        self._reading.several |= bool(guessed)

    async def _begin_stream(self, tokens: list[int], room: int, drafts: list[int]) -> Tensor:
        session, wanted = self._reading.session, self._wanted
        assert isinstance(session, Streaming)
        guess = Guess(wanted.sampling, wanted.seed, self._pace.ahead(room - len(drafts)), tuple(drafts))
        self._frames = session.stream(len(self._reading.tokens), tokens, guess)
        self._ours = len(drafts)
        missing = tokens
        while True:
            frame = await anext(self._frames, None)
            if frame is None:
                raise BadFrame("The provider ended a stream before it had sent what was asked for; ask again.")
            hidden = self._taken(frame, missing)
            missing = missing[len(frame.tokens) :]
            if not missing:
                silent = frame.guess is None and not self.guessed and guess.ahead > 0
                self._silent = self._silent + 1 if silent else 0
                return hidden[-1 - len(self.guessed) :]

    def _taken(self, frame: Frame, given: list[int]) -> Tensor:
        """Read a frame that must begin with the given tokens, or be a part of them; return its rows after the tail."""
        tokens = list(frame.tokens)
        common = min(len(tokens), len(given))
        if (
            not tokens
            or frame.position != len(self._reading.tokens)
            or tokens[:common] != given[:common]
            or len(frame.rows) != len(tokens)
        ):
            raise BadFrame(f"The provider sent states for {frame.position} that were not to come; do not use it.")
        self._hold(tokens[len(given) :])
        self._expected = frame.guess
        return self._reading.take(tokens, frame.rows)

    async def _extend(self, tokens: list[int], wanted: int) -> Tensor:
        """Return the rows of tokens, at least the last ``wanted``.

        A session that is lost is replaced by one that is told all that was read.
        """
        reading = self._reading
        try:
            return await reading.extend(tokens, wanted)
        except RemoteError:
            if not self._distant or reading.last_only:  # which is told all each time
                raise
        self._traffic.failures += 1
        self._traffic.round_trips += 1
        await let_go(reading.session)
        reading.session = self._reopen()
        states = await reading.session.extend(0, reading.tokens + tokens)
        return reading.take(tokens, states.rows[len(reading.tokens) :])
