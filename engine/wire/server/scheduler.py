"""The one thread that computes. It takes all that waits into one pass of the trunk, again and again.

What else is to be computed is done between two passes: another thread would take the cores that a pass runs on.

A pass has the few tokens of every step that waits, and then as many tokens of long prompts as it may have without
keeping the others waiting: a long prompt is read in chunks, and its states go out as they come. That sessions come and
go between two passes is what vLLM and others call continuous batching (Yu et al., Orca, OSDI 2022).
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ...base.cache import bytes_of, crop, expect, fork
from ...base.device import telling_when_full
from ...threads import use_all_cores

if TYPE_CHECKING:
    from torch import Tensor

    from ...base.halves import Cache, Trunk

T = TypeVar("T")

FEW = 32
"""Tokens up to which a piece of work is taken into a pass whole."""
_LEAST, _MOST = 32, 512  # tokens of long prompts in a pass
_PATIENCE, _ALONE = 0.1, 0.3  # seconds that a pass of long prompts should take: where others wait, and where not


@dataclass(frozen=True)
class Beginning:
    """What a stream goes on from.

    Attributes:
        cache: Its own, of which the first ``kept`` tokens are true; None: an empty one.
        kept: How many tokens are held before the new ones.
        history: Those, where they may have to be computed again because a sliding window has dropped what came before.
        donor: Another stream's cache whose first ``kept`` tokens are the same, to be copied.
    """

    cache: Cache | None = None
    kept: int = 0
    history: Sequence[int] = ()
    donor: Cache | None = None


@dataclass(eq=False)
class Work:
    """Tokens to append to a stream. Its fields belong to the thread that computes until it has ended.

    Attributes:
        cut: Of the trunk.
        beginning: What it goes on from.
        tokens: To append.
        on_states: Called with its states ``(n, d)`` as they come, in the loop's thread, before ``states`` has them.
        on_end: Called in the loop's thread once it has ended, before ``ended`` is set.
        is_urgent: Whether somebody waits for it; what is not, comes after.
    """

    cut: int
    beginning: Beginning
    tokens: list[int]
    on_states: Callable[[Tensor], None] = lambda rows: None
    on_end: Callable[[Work], None] = lambda work: None
    is_urgent: bool = True
    cache: Cache | None = None
    size: int = 0
    done: int = 0
    error: Exception | None = None
    states: asyncio.Queue[Tensor | None] = field(default_factory=asyncio.Queue)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    again: int = 0
    """Tokens of the history that are computed once more before the new ones."""

    @property
    def left(self) -> int:
        """Tokens that are still to be computed."""
        return self.again + len(self.tokens) - self.done


@dataclass(frozen=True)
class Pass:
    """What a pass took."""

    streams: int
    tokens: int
    seconds: float


class Scheduler:
    """Owns the trunks. ``submit`` is called in the loop's thread, which also gets all that comes back."""

    def __init__(self, trunks: Mapping[int, Trunk], device: str, told: Callable[[Pass], None]) -> None:
        """Prepare; ``told`` hears of every pass, in the loop's thread."""
        self._trunks, self._device, self._told = dict(trunks), device, told
        self._waiting: deque[Work] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._bell = threading.Condition()
        self._active: list[Work] = []
        self._token_seconds = 0.001
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = itertools.cycle(sorted(self._trunks))
        self._thread = threading.Thread(target=self._run, name="trunk", daemon=True)

    def start(self) -> None:
        """Begin; called in the loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, work: Work) -> None:
        """Have some work done. Its states come through ``states``, ended by None; then ``ended`` is set."""
        with self._bell:
            self._waiting.append(work)
            self._bell.notify()

    async def do(self, work: Callable[[], T]) -> T:
        """Compute something between two passes and return what it gives; it should not take longer than a pass."""
        done: Future[T] = Future()

        def call() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                with telling_when_full(self._device):
                    done.set_result(work())
            except BaseException as error:  # noqa: BLE001 (it is raised again where the work was asked for)
                done.set_exception(error)

        with self._bell:
            self._calls.append(call)
            self._bell.notify()
        return await asyncio.wrap_future(done)

    def cancel(self, work: Work) -> None:
        """Give a piece of work up between two passes; what it has done by then stays done."""
        work.cancelled = True
        with self._bell:
            self._bell.notify()

    def stop(self) -> None:
        """End the thread after the pass that runs."""
        with self._bell:
            self._stopping = True
            self._bell.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        use_all_cores()
        while self._take_in():
            for _ in range(len(self._calls)):
                self._calls.popleft()()
            batch = self._choose()
            if batch:
                self._pass(batch)

    def _take_in(self) -> bool:
        """Let what waits begin; wait for something where there is nothing to do. False: the end has come."""
        with self._bell:
            while not (self._waiting or self._calls or self._active or self._stopping):
                self._bell.wait()
            if self._stopping:
                return False
            fresh = list(self._waiting)
            self._waiting.clear()
        # In the order of asking: a copy of another stream is taken before that stream's next work can change it.
        for work in fresh:
            self._begin(work)
        for work in [work for work in self._active if work.cancelled]:
            self._end(work)
        return True

    def _begin(self, work: Work) -> None:
        begun, trunk = work.beginning, self._trunks[work.cut]
        self._active.append(work)
        try:
            with telling_when_full(self._device):
                total = begun.kept + len(work.tokens)
                if begun.donor is not None:
                    work.cache = fork(begun.donor, begun.kept, trunk.new_cache(), total)
                elif begun.cache is not None and crop(begun.cache, begun.kept):
                    work.cache = begun.cache
                if work.cache is None:
                    work.cache, work.again = trunk.new_cache(), begun.kept
                expect(work.cache, total)
        except Exception as error:  # noqa: BLE001 (it is raised again where the work was asked for)
            self._end(work, error)
            return
        if not work.left:
            self._end(work)

    def _choose(self) -> list[tuple[Work, int]]:
        """Return the work of the next pass, all of one cut, and how many tokens of each."""
        mine: list[Work] = []
        for _ in self._trunks:
            cut = next(self._turn)
            mine = [work for work in self._active if work.cut == cut]
            if mine:
                break
        short = [work for work in mine if work.is_urgent and work.left <= FEW]
        long = sorted((work for work in mine if work not in short), key=lambda work: not work.is_urgent)
        batch = [(work, work.left) for work in short]
        room = self._chunk(alone=len(mine) == 1)
        for work in long:
            if room <= 0:
                break
            batch.append((work, min(work.left, room)))
            room -= batch[-1][1]
        # The long ones take turns: who was served goes to the end.
        for work, _ in batch[len(short) :]:
            self._active.remove(work)
            self._active.append(work)
        return batch

    def _chunk(self, *, alone: bool) -> int:
        """Return how many tokens of long prompts a pass may have."""
        seconds = _ALONE if alone else _PATIENCE
        return max(_LEAST, min(_MOST, int(seconds / self._token_seconds)))

    def _pass(self, batch: list[tuple[Work, int]]) -> None:
        began = time.perf_counter()
        try:
            with telling_when_full(self._device):
                states = self._compute(batch)
        except Exception as error:  # noqa: BLE001 (it is raised again where the work was asked for)
            for work, _ in batch:
                self._end(work, error)
            return
        tokens = sum(count for _, count in batch)
        took = Pass(len(batch), tokens, time.perf_counter() - began)
        if tokens > FEW:
            self._token_seconds += 0.3 * (took.seconds / tokens - self._token_seconds)
        told: list[Callable[[], Any]] = [lambda: self._told(took)]
        for (work, count), rows in zip(batch, states, strict=True):
            skip = max(0, work.again - work.done)  # those were answered before
            work.done += count
            if skip < count:
                told.append(_putting(work, rows[skip:]))
            if not work.left:
                self._active.remove(work)
                told.append(self._ending(work))
        self._tell(told)

    def _compute(self, batch: list[tuple[Work, int]]) -> list[Tensor]:
        import torch

        trunk = self._trunks[batch[0][0].cut]
        with torch.inference_mode():
            states = trunk.extend_together([_part(*one) for one in batch], [work.cache for work, _ in batch])
            if states[0].device.type != "cpu":
                whole = torch.cat(states).to("cpu", torch.float32)
                return list(torch.split(whole, [count for _, count in batch]))
            return states

    def _end(self, work: Work, error: Exception | None = None) -> None:
        """Be done with a piece of work; after an error some blocks have appended to its cache and some have not."""
        work.error = error
        if error is not None:
            work.cache = None
        self._active.remove(work)
        self._tell([self._ending(work)])

    def _ending(self, work: Work) -> Callable[[], None]:
        work.size = bytes_of(work.cache) if work.cache is not None else 0

        def end() -> None:
            work.on_end(work)
            work.states.put_nowait(None)
            work.ended.set()

        return end

    def _tell(self, calls: list[Callable[[], Any]]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(lambda: [call() for call in calls])
        except RuntimeError:  # the loop has ended before the thread
            self._stopping = True


def _part(work: Work, count: int) -> list[int]:
    """Return the next tokens of a piece of work: the end of its history, if that is computed again, then the new."""
    if work.done >= work.again:
        start = work.done - work.again
        return work.tokens[start : start + count]
    return [*work.beginning.history[: work.again], *work.tokens][work.done : work.done + count]


def _putting(work: Work, rows: Tensor) -> Callable[[], None]:
    def put() -> None:
        work.on_states(rows)
        work.states.put_nowait(rows)

    return put
