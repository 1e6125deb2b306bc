"""A simulated network, in process and deterministic: a provider behind a delay, on a clock that nobody waits for.

The server is asked for real when its answer is wanted; when it would have come is computed: requests and frames travel
for half a round trip each, the server does one thing at a time, and what it would have computed ahead in vain until a
correction arrived is counted. So a reply of many seconds takes as long as its computing, and each run is the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from nightschool.engine.base.halves import Tail, open_tail
from nightschool.engine.base.library import LoadedBase
from nightschool.engine.base.provider import Frame, Guess, Session, States
from nightschool.engine.wire.ahead import RunsAhead
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.cards import BaseCard
from nightschool.schemas.errors import Unreachable


class Clock:
    """Simulated seconds of the client. With ``real`` its own computing counts as it takes; else it takes no time."""

    def __init__(self, *, real: bool = False) -> None:
        self._real = real
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return what it is."""
        return self._ahead + (time.perf_counter() if self._real else 0.0)

    def wait_until(self, moment: float) -> None:
        """Let time pass, if that moment is still to come."""
        self._ahead += max(0.0, moment - self())

    def elsewhere(self, seconds: float) -> None:
        """Take back what another machine's computing took of real time."""
        if self._real:
            self._ahead -= seconds


@dataclass
class Link:
    """A way there and back.

    Attributes:
        round_trip: Seconds.
        jitter: Up to so many seconds more, each way; what was sent first arrives first.
        bytes_per_s: Of the way back; 0: any number.
        breaks: After which calls the line breaks: numbers of frames and steps, counted from 1.
        seed: Of the jitter.
    """

    round_trip: float
    jitter: float = 0.0
    bytes_per_s: float = 0.0
    breaks: frozenset[int] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.calls = 0

    def delay(self, size: int = 0) -> float:
        """Return the seconds of one way for so many bytes."""
        sending = size / self.bytes_per_s if self.bytes_per_s else 0.0
        return self.round_trip / 2 + self._random.random() * self.jitter + sending

    def use(self) -> None:
        """Count a call.

        Raises:
            Unreachable: If the line breaks now.
        """
        self.calls += 1
        if self.calls in self.breaks:
            raise Unreachable("The simulated line broke; ask again.")


@dataclass
class Served:
    """What the server did: rows computed for steps and streams, and those that were guessed in vain."""

    rows: int = 0
    wasted: int = 0
    streams: int = 0
    steps: int = 0


class DistantProvider:
    """A base of this process as if it were elsewhere.

    Args:
        loaded: The base; the server computes in its numbers.
        link: The way.
        clock: The client's time.
        streams: Whether the server runs ahead.
        cost: Seconds that the server takes for so many tokens and whether it guesses; None: as long as it does take.
    """

    def __init__(
        self,
        loaded: LoadedBase,
        link: Link,
        clock: Clock,
        *,
        streams: bool = True,
        cost: Callable[[int, bool], float] | None = None,
    ) -> None:
        self._loaded, self._local = loaded, LocalProvider(loaded)
        self._streams = streams
        self._tails: dict[int, Tail] = {}
        self.link, self.clock, self.cost = link, clock, cost
        self.served = Served()

    @property
    def base(self) -> BaseCard:
        """The card of the base."""
        return self._local.base

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences."""
        return await self._local.states(batch, cut)

    def open(self, cut: int) -> Session:
        """Begin a session."""
        if not self._streams:
            return DistantSession(self._local.open(cut), self)
        if cut not in self._tails:
            self._tails[cut] = open_tail(self._loaded, cut)
        return StreamingSession(RunsAhead(self._local.open(cut), self._tails[cut], self.base), self)


class DistantSession:
    """A session that each call to costs a round trip."""

    distant = True

    def __init__(self, inner: Session, provider: DistantProvider) -> None:
        self._inner, self._served = inner, provider.served
        self._link, self._clock, self._cost = provider.link, provider.clock, provider.cost
        self._free = 0.0  # when the server has done what it was asked
        self._heard = 0.0  # when the last answer arrived

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return self._inner.length

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate, append, and return the states, one round trip later."""
        self._link.use()
        self._ask(self._clock() + self._link.delay())
        began = time.perf_counter()
        states = await self._inner.extend(position, tokens)
        self._work(began, len(tokens), guessing=False)
        self._served.steps += 1
        self._served.rows += len(tokens)
        self._hear(states.rows.numel())
        return states

    async def close(self) -> None:
        """Free what is held."""
        await self._inner.close()

    def _ask(self, arrives: float) -> None:
        """Let the server hear of a request as soon as it can."""
        self._free = max(self._free, arrives)

    def _work(self, began: float, tokens: int, *, guessing: bool) -> float:
        real = time.perf_counter() - began
        self._clock.elsewhere(real)
        took = real if self._cost is None else self._cost(tokens, guessing)
        self._free += took
        return took

    def _hear(self, numbers: int) -> None:
        self._heard = max(self._heard, self._free + self._link.delay(2 * numbers))  # in 16 bits each
        self._clock.wait_until(self._heard)


class StreamingSession(DistantSession):
    """A session whose server runs ahead."""

    def __init__(self, inner: RunsAhead, provider: DistantProvider) -> None:
        super().__init__(inner, provider)
        self._ahead = inner
        self._ends = frozenset(provider.base.end_of_turn)
        self._more = 0  # frames that the server would go on to compute
        self._step = 0.0  # seconds of the last one

    async def stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Frame]:
        """Give the frames, each when it would have arrived."""
        self._link.use()
        self._ask(self._clock() + self._link.delay())
        self._served.streams += 1
        frames = self._ahead.stream(position, tokens, guess)
        while True:
            began = time.perf_counter()
            frame = await anext(frames, None)
            if frame is None:
                return
            self._step = self._work(began, len(frame.tokens), guessing=frame.guess is not None)
            goes_on = frame.guess is not None and frame.guess not in self._ends
            self._more = position + len(tokens) + guess.ahead - frame.position - len(frame.tokens) if goes_on else 0
            self._served.rows += len(frame.tokens)
            self._link.use()
            self._hear(frame.rows.numel())
            yield frame

    def _ask(self, arrives: float) -> None:
        """Let the server hear of a request; until then it goes on computing in vain."""
        while self._more > 0 and self._free < arrives:
            self._free += self._step
            self._more -= 1
            self._served.rows += 1
            self._served.wasted += 1
        self._more = 0
        super()._ask(arrives)
