"""Several providers of one base as one: the first that answers is used, and where it fails the next one goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from ...engine.base.provider import Counting, Frame, Guess, Provider, Session, States, Streaming, end_stream
from ...engine.wire.session import check_tokens
from ...schemas.cards import BaseCard
from ...schemas.errors import BaseMismatch, NightSchoolError, RemoteError, Unreachable, UsageError

_log = logging.getLogger(__name__)

T = TypeVar("T")

REST = 30.0
"""Seconds for which a provider that failed is asked last."""

_FAILURES = (RemoteError, BaseMismatch, UsageError)
"""What makes another provider worth asking. What is asked has been checked here: a usage error is about a provider."""

Admit = Callable[[Provider], Awaitable[object]]
"""Proves a provider before it is used, as ``check_probe`` does; raises ``BaseMismatch``."""


@runtime_checkable
class Resumable(Protocol):
    """A session that can go on from tokens whose states nobody wants."""

    def resume(self, tokens: list[int]) -> None:
        """Hold these tokens, in place of nothing."""
        ...


class SeveralProviders:
    """Providers of one base, the preferred one first. One that proves to be another base is not asked again."""

    def __init__(
        self, providers: Sequence[Provider], admit: Admit | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; nothing is asked.

        Raises:
            UsageError: If there is none.
            BaseMismatch: If they are not of one base.
        """
        if not providers:
            raise UsageError("No provider is named; name at least one.")
        if len({provider.base.fingerprint for provider in providers}) > 1:
            raise BaseMismatch("The providers are not of one base; name those of the same model and revision together.")
        self._providers = list(providers)
        self._admit = admit
        self._clock = clock
        self._admitted: set[int] = set()  # by their place
        self._refused: dict[int, BaseMismatch] = {}
        self._failed: dict[int, float] = {}  # when

    @property
    def base(self) -> BaseCard:
        """The card of all of them."""
        return self._providers[0].base

    @property
    def moved(self) -> int:
        """Bytes that went either way so far, to those that count them."""
        return sum(provider.moved for provider in self._providers if isinstance(provider, Counting))

    async def states(self, batch: list[list[int]], cut: int) -> list[States]:
        """Return the states of whole sequences from the first provider that gives them.

        Raises:
            UsageError, PromptTooLong: If nobody could give them.
            RemoteError: If nobody does now.
        """
        for tokens in batch:
            check_tokens(tokens, 0, self.base)

        async def ask(number: int) -> list[States]:
            return await self._providers[number].states(batch, cut)

        return await self.first(ask)

    def open(self, cut: int) -> Session:
        """Begin an empty session at a cut.

        Raises:
            UsageError: If the base has no such cut.
        """
        if not 0 <= cut <= self.base.layers:
            raise UsageError(f"The cut must lie between 0 and {self.base.layers}, not at {cut}.")
        return _SeveralSession(self, cut)

    def begin(self, number: int, cut: int) -> Session:
        """Begin a session at one of them."""
        return self._providers[number].open(cut)

    async def first(self, ask: Callable[[int], Awaitable[T]], *, now: int | None = None) -> T:
        """Return what the first provider answers that can, beginning with ``now``.

        Raises:
            RemoteError: The last failure, if none can.
        """
        last: NightSchoolError = Unreachable("No provider of this base can be used; check their addresses and bases.")
        for number in self._order(now):
            try:
                await self._prove(number)
                found = await ask(number)
            except _FAILURES as error:
                last = error
                self._failed[number] = self._clock()
                _log.warning("provider %d of %s failed: %s", number + 1, self.base.name, error)
                if isinstance(error, BaseMismatch):
                    self._refused[number] = error
            else:
                self._failed.pop(number, None)
                return found
        raise last

    async def _prove(self, number: int) -> None:
        if number in self._refused:
            raise self._refused[number]
        if self._admit is not None and number not in self._admitted:
            await self._admit(self._providers[number])
            self._admitted.add(number)

    def _order(self, now: int | None) -> list[int]:
        """Return whom to ask one after the other: the one in use, those in order, those that failed lately last."""

        def rank(number: int) -> tuple[bool, bool, int]:
            rests = self._clock() - self._failed.get(number, float("-inf")) < REST
            return rests, number != now, number

        return sorted(range(len(self._providers)), key=rank)


class _SeveralSession:
    """One conversation's history, and a session for it at whoever answers now."""

    distant = True

    def __init__(self, providers: SeveralProviders, cut: int) -> None:
        self._providers = providers
        self._cut = cut
        self._tokens: list[int] = []
        self._number: int | None = None
        self._session: Session | None = None
        self._open = True

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return len(self._tokens)

    async def extend(self, position: int, tokens: list[int]) -> States:
        """Truncate to ``position`` tokens, append ``tokens``, and return their states, whoever computes them.

        Raises:
            UsageError, PromptTooLong: If nobody could; nothing has changed.
            RemoteError: If nobody does now; nothing has changed.
        """
        if not self._open:
            raise UsageError("The session is closed; open another one.")
        if not 0 <= position <= self.length:
            raise UsageError(f"The session holds {self.length} tokens and cannot go on from {position}.")
        check_tokens(tokens, position, self._providers.base)

        async def ask(number: int) -> States:
            return await (await self._at(number)).extend(position, tokens)

        states = await self._providers.first(ask, now=self._number)
        self._tokens[position:] = tokens
        return states

    async def stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Frame]:
        """Give what the provider in use sends by itself; one that does not run ahead gives the states of ``tokens``.

        Where it fails ``extend`` goes on with the next one.

        Raises:
            UsageError, PromptTooLong, RemoteError: As of :meth:`extend`.
        """
        session = await self._providers.first(self._at, now=self._number) if self._open else None
        if not isinstance(session, Streaming) or not 0 <= position <= self.length:
            states = await self.extend(position, tokens)
            yield Frame(position, tuple(tokens), states.rows, None)
            return
        del self._tokens[position:]
        frames = session.stream(position, tokens, guess)
        try:
            async for frame in frames:
                self._tokens += frame.tokens
                yield frame
        finally:
            await end_stream(frames)

    def resume(self, tokens: list[int]) -> None:
        """Hold these tokens, in place of nothing."""
        self._tokens, self._session, self._number = list(tokens), None, None

    async def close(self) -> None:
        """Free what is held. Closing twice is harmless."""
        self._open = False
        await self._leave()

    async def _at(self, number: int) -> Session:
        """Return the session at a provider, which holds the history."""
        if self._session is None or self._number != number or self._session.length != self.length:
            await self._leave()
            self._session, self._number = self._providers.begin(number, self._cut), number
            if isinstance(self._session, Resumable):
                self._session.resume(list(self._tokens))
            elif self._tokens:
                await self._session.extend(0, list(self._tokens))
        return self._session

    async def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


_: type[Provider] = SeveralProviders  # the type checker proves the contract here
