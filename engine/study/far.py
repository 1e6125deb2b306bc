"""A study whose trunk is elsewhere: states and replies come through a provider; tail, adapter and choices stay here.

Gates and the search over scales are plain code that waits, while a provider's connections belong to one event loop. So
that loop has a thread of its own here, into which both kinds of caller reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ...schemas.cards import BaseCard
from ...schemas.messages import Sampling
from ..base.card import check_probe
from ..base.halves import Tail
from ..base.provider import Provider, Session, States
from ..chat.drawing import Drawing
from ..chat.habits import Habits
from ..chat.next_rows import NextRows, Wanted
from ..chat.pace import Pace
from ..chat.reading import Reading, let_go
from ..chat.sampler import Sampler
from ..chat.traffic import Traffic
from .generate import Written

_AT_ONCE = 16  # replies that are written at once: a server computes them together


@contextmanager
def far_trunk(open_provider: Callable[[], Provider], tail: Tail, cut: int) -> Iterator[tuple[FarProvider, FarWriter]]:
    """Open a provider, prove it with the card's probe, and lend it for as long as a study lasts.

    Raises:
        BaseMismatch: If another base computes there.
        RemoteError: If it cannot be asked.
    """
    with start_blocking_portal() as portal:
        provider = portal.call(open_provider)
        try:
            portal.call(check_probe, provider.base, provider, tail)
            yield FarProvider(portal, provider), FarWriter(portal, provider, tail, cut)
        finally:
            close = getattr(provider, "close", None)  # one with connections has it
            if close is not None:
                portal.call(close)


class FarProvider:
    """A provider that lives in the loop of a portal, for callers in another loop."""

    def __init__(self, portal: BlockingPortal, provider: Provider) -> None:
        self._portal, self._provider = portal, provider

    @property
    def base(self) -> BaseCard:
        """The base whose states it gives."""
        return self._provider.base

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences; see :class:`Provider`."""
        asked = self._portal.start_task_soon(self._provider.states, batch, cut)
        return await asyncio.wrap_future(asked)

    def open(self, cut: int) -> Session:
        """Begin a session, to be used in the portal's loop alone."""
        return self._provider.open(cut)


class FarWriter:
    """Writes replies as a chat does, several at once: the provider runs ahead, each token is drawn here."""

    def __init__(self, portal: BlockingPortal, provider: Provider, tail: Tail, cut: int) -> None:
        """Prepare; nothing is asked."""
        self._portal, self._provider, self._tail, self._cut = portal, provider, tail, cut
        self._ends = frozenset(provider.base.end_of_turn)
        self._pace = Pace()

    def write(
        self, prompts: Sequence[list[int]], *, limit: int, tell: Callable[[float], None] = lambda share: None
    ) -> list[Written]:
        """Return the likeliest reply to each prompt; see :class:`Writer`."""
        return self._portal.call(self._write, prompts, limit, tell)

    async def _write(self, prompts: Sequence[list[int]], limit: int, tell: Callable[[float], None]) -> list[Written]:
        room, done = asyncio.Semaphore(_AT_ONCE), 0

        async def write(prompt: list[int]) -> Written:
            nonlocal done
            async with room:
                written = await self._reply(prompt, limit)
            done += 1
            tell(done / len(prompts))
            return written

        # The mode belongs to the thread, and nothing else runs in this one.
        with torch.inference_mode():
            writing = [asyncio.ensure_future(write(prompt)) for prompt in prompts]
            try:
                return await asyncio.gather(*writing)
            finally:
                for one in writing:
                    one.cancel()
                await asyncio.gather(*writing, return_exceptions=True)

    async def _reply(self, prompt: list[int], limit: int) -> Written:
        sampling = Sampling(temperature=0.0, max_tokens=limit)
        reading, traffic = Reading(self._provider.open(self._cut), self._tail), Traffic()
        rows = NextRows(
            reading,
            Wanted(sampling, seed=0),
            pace=self._pace,
            traffic=traffic,
            drafting=False,
            habits=Habits(),
            reopen=lambda: self._provider.open(self._cut),
        )
        tokens: list[int] = []
        try:
            room = min(limit, self._provider.base.context - len(prompt))
            hidden = await rows.begin(prompt, room)
            drawing = Drawing(rows, reading, self._tail, Sampler(sampling), traffic)
            async for token in drawing.tokens(hidden, room):
                if token in self._ends:
                    return Written(tokens, finished=True)
                tokens.append(token)
            return Written(tokens, finished=False)
        finally:
            await rows.close()
            await let_go(reading.session)
