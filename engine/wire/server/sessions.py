"""What the server remembers: the tokens of open sessions, and their keys and values, under a budget of bytes.

Nothing here waits and nothing computes. Whoever is idle longest makes room first; a session that is worked on never
does. The client can always say everything again, so that to forget costs time and nothing else.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....schemas.hsp import Code
from ...base.lean.stream import room_for
from ..prefix import BLOCK, Prefix
from ..rows import Writing
from .keys import Key
from .refused import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from ...base.halves import Cache
    from .running_ahead import Read, RunningAhead
    from .scheduler import Work


@dataclass(frozen=True)
class Asked:
    """A step that was accepted, as a retry must repeat it."""

    step: int
    position: int
    count: int
    hash: str


class KeptStates:
    """The states of what is held, so that they can be answered again and to other sessions without computing.

    They are a small part of what keys and values take.
    """

    def __init__(self) -> None:
        self._rows: Tensor | None = None
        self._length = self._expected = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return 0 if self._rows is None else self._rows.nbytes

    def begin(self, position: int, expected: int) -> None:
        """Hold the first ``position`` rows, and expect as many in the end."""
        self._length, self._expected = position, expected

    def append(self, rows: Tensor) -> None:
        """Hold more rows, ``(n, d)``."""
        needed, room = self._length + len(rows), 0 if self._rows is None else len(self._rows)
        if self._rows is None or needed > room:
            larger = rows.new_empty((room_for(max(needed, self._expected), room), rows.shape[1]))
            if self._rows is not None:
                larger[: self._length] = self._rows[: self._length]
            self._rows = larger
        self._rows[self._length : needed] = rows
        self._length = needed

    def take(self, start: int, stop: int) -> Tensor | None:
        """Return a copy of some rows that are held; None where these are none."""
        stop = min(stop, self._length)
        return None if self._rows is None or start >= stop else self._rows[start:stop].clone()


@dataclass(eq=False)
class Session:
    """One sequence of one key.

    Attributes:
        id: Its random name.
        key: The name of the key that opened it.
        cut: Of its states.
        writing: How its states are written.
        history: The tokens that are held. While a step is worked on: those before it.
        cache: Their keys and values; None: nothing is held.
        states: Their states.
        size: Bytes of the budget that it takes, without what guesses need.
        used: When it was last used, on the monotonic clock.
        asked: The last step that was accepted.
        work: What is done for it now.
        ahead: The stream that is being answered.
        read: What the tail has read of it, for guesses.
    """

    id: str
    key: str
    cut: int
    writing: Writing
    history: Prefix = field(default_factory=Prefix)
    cache: Cache | None = None
    states: KeptStates = field(default_factory=KeptStates)
    size: int = 0
    used: float = 0.0
    asked: Asked | None = None
    work: Work | None = None
    ahead: RunningAhead | None = None
    read: Read | None = None
    read_size: int = 0
    """Bytes that ``read`` takes, beside ``size``."""

    @property
    def taken(self) -> int:
        """Bytes of the budget that it takes in all."""
        return self.size + self.read_size

    @property
    def is_idle(self) -> bool:
        """Whether nothing is done for it."""
        return self.work is None and self.ahead is None

    def forget(self) -> None:
        """Let go of all that is held."""
        self.history, self.cache, self.states, self.size = Prefix(), None, KeptStates(), 0
        self.read, self.read_size = None, 0


class Sessions:
    """All that are open, the one used longest ago first. Used in the loop's thread only."""

    def __init__(
        self,
        budget: int,
        token_bytes: dict[int, int],
        idle_seconds: float,
        evicted: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without any.

        Args:
            budget: Bytes of keys and values.
            token_bytes: By cut: bytes of one token's keys and values, at most.
            idle_seconds: After which a session may be dropped.
            evicted: Called for each that had to make room.
            clock: In seconds.
        """
        self.budget, self.idle_seconds = budget, idle_seconds
        self._token_bytes, self._evicted, self._clock = token_bytes, evicted, clock
        self._open: OrderedDict[str, Session] = OrderedDict()
        self.borrowed = 0
        """Bytes that are taken by work without a session."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._open.values())

    @property
    def busy(self) -> int:
        """How many are worked on."""
        return sum(not session.is_idle for session in self)

    @property
    def size(self) -> int:
        """Bytes of the budget that are taken."""
        return self.borrowed + sum(session.taken for session in self)

    def open(self, key: Key, cut: int, writing: Writing) -> Session:
        """Begin an empty session; where the key has as many as it may, the one idle longest is closed for it.

        Raises:
            Refused: If all of them are worked on.
        """
        own = [session for session in self if session.key == key.name]
        if len(own) >= key.allowance.sessions:
            idle = next((session for session in own if session.is_idle), None)
            if idle is None:
                most = key.allowance.sessions
                raise Refused(
                    *(Code.TOO_MANY, f"This key has {most} sessions open, and all are at work; close one, or wait."),
                    retry_after=1.0,
                    limit=most,
                )
            del self._open[idle.id]
        session = Session(secrets.token_urlsafe(24), key.name, cut, writing, used=self._clock())
        self._open[session.id] = session
        return session

    def find(self, key: Key, name: str) -> Session:
        """Return an open session of a key, and count it as used.

        Raises:
            Refused: If there is none; one of another key is answered alike.
        """
        session = self._open.get(name)
        if session is None or session.key != key.name:
            raise Refused(Code.UNKNOWN_SESSION, "There is no such session; open one and send the history.")
        session.used = self._clock()
        self._open.move_to_end(name)
        return session

    def close(self, session: Session) -> None:
        """Drop a session; what is still done for it goes nowhere."""
        self._open.pop(session.id, None)

    def drop_idle(self) -> int:
        """Drop those that were idle too long, and return their number."""
        late = [one for one in self if one.is_idle and self._clock() - one.used > self.idle_seconds]
        for session in late:
            del self._open[session.id]
        return len(late)

    # -- room ---------------------------------------------------------------------------------------------------------

    def needed(self, cut: int, tokens: int, size: int = 0) -> int:
        """Return the bytes in which ``tokens`` are held where buffers of ``size`` bytes were."""
        each = self._token_bytes[cut]
        return room_for(tokens, size // each) * each if each and tokens else size

    def reserve(self, session: Session, key: Key, tokens: int) -> None:
        """Count the bytes that a session will take when it holds ``tokens``, and make room for them.

        Raises:
            Refused: If that cannot be; nothing of this session has changed.
        """
        size = self.needed(session.cut, tokens, session.size)
        self.make_room(size - session.size, key, session)
        session.size = size

    def reserve_reading(self, session: Session, key: Key, tokens: int, each: int) -> None:
        """Count the bytes in which a tail holds ``tokens`` of ``each`` bytes, and make room for them.

        Raises:
            Refused: As of :meth:`reserve`.
        """
        size = room_for(tokens, session.read_size // each) * each if each else 0
        self.make_room(size - session.read_size, key, session)
        session.read_size = size

    def make_room(self, size: int, key: Key, spared: Session | None = None) -> None:
        """See to it that ``size`` more bytes fit the budget and the key's part of it.

        Raises:
            Refused: If sessions that are worked on take too much of it.
        """
        mine = key.allowance.cache_bytes
        if mine is not None:
            own = [session for session in self if session.key == key.name]
            self._free(sum(session.taken for session in own) + size - mine, own, spared)
        self._free(self.size + size - self.budget, list(self), spared)

    def _free(self, surplus: int, candidates: Sequence[Session], spared: Session | None) -> None:
        if surplus <= 0:
            return
        idle = [one for one in candidates if one.is_idle and one is not spared and one.taken]
        if sum(one.taken for one in idle) < surplus:
            raise Refused(
                Code.CACHE_FULL, "The server has no room for this now; wait, or go on with another.", retry_after=2.0
            )
        for session in idle:
            if surplus <= 0:
                break
            surplus -= session.taken
            session.forget()
            self._evicted()

    # -- what is alike ------------------------------------------------------------------------------------------------

    def alike(self, session: Session, tokens: Sequence[int]) -> tuple[Session | None, int]:
        """Return another session of the same key and cut that begins like ``tokens``, and how far.

        Only within one key: the time of an answer would tell others what somebody has said.
        """
        best: tuple[Session | None, int] = (None, 0)
        for other in self:
            if other is session or (other.key, other.cut) != (session.key, session.cut) or other.cache is None:
                continue
            far = _alike(other.history.tokens, tokens)
            if far >= BLOCK and far > best[1]:
                best = (other, far)
        return best


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    most = min(len(one), len(other))
    step = BLOCK  # whole blocks are compared at once
    start = 0
    while start < most and one[start : start + step] == other[start : start + step]:
        start += step
    start = min(start, most)
    while start < most and one[start] == other[start]:
        start += 1
    return start
