"""Providers of strangers: what they open is awaited under guard, for as long as a chat or a study uses it.

A provider is the one item whose answers are themselves called, again and again and asynchronously. Each such call has a
time, what it gives is looked at before anything computes with it, and a fault is blamed on the plugin and raised as
``PluginError``: a reply cannot go on without its states, so nothing can stand in for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ...schemas.errors import PluginError
from ..base.provider import Counting, Distant, Keepable, LastRows, Provider, Session, Streaming, end_stream
from .guard import FAULTS, Place, described, on_purpose

if TYPE_CHECKING:
    from ..base.provider import Guess

T = TypeVar("T")

SECONDS = 600.0
"""For one call of a provider: a long prompt on a slow machine."""


class Calls:
    """Calls of one plugin's provider, each of which may fail."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def wait(self, name: str, ask: Callable[[], Awaitable[T]], wrong: Callable[[T], str] | None = None) -> T:
        """Return what ``ask`` begins; ``wrong`` says in a clause what is wrong with an answer, "": nothing.

        Raises:
            PluginError: If it fails, takes too long or answers wrongly. What is raised on purpose comes through.
        """
        self._check()
        time = asyncio.timeout(SECONDS)
        try:
            async with time:
                answer = await ask()
        except FAULTS as error:
            if time.expired():
                raise self.fault(f"{name}() took longer than {SECONDS:g} s", error) from error
            if on_purpose(error):
                raise
            raise self.fault(f"{name}() failed with {described(error)}", error) from error
        if wrong is not None and (clause := wrong(answer)):
            raise self.fault(f"{name}() {clause}")
        return answer

    def now(self, name: str, ask: Callable[[], T]) -> T:
        """Return the answer of a call that is not awaited.

        Raises:
            PluginError: As of :meth:`wait`.
        """
        self._check()
        try:
            return ask()
        except FAULTS as error:
            if on_purpose(error):
                raise
            raise self.fault(f"{name}() failed with {described(error)}", error) from error

    def fault(self, text: str, error: BaseException | None = None) -> PluginError:
        """Blame the plugin and return what is to be raised."""
        self._place.judge.blame(self._place.plugin, self._place.hook, f"{text}.", error)
        return self._failed(text)

    def _check(self) -> None:
        if self._place.judge.is_off(self._place.plugin):
            raise self._failed("it was turned off after it failed")

    def _failed(self, text: str) -> PluginError:
        name = self._place.plugin
        return PluginError(
            f"The provider of the plugin {name} failed: {text}; let the slot compute elsewhere "
            f"(`nightschool providers use local`), update the plugin, or `nightschool plugins disable {name}`."
        )


OPENS = frozenset({"open", "named"})
"""Functions of a record that open a provider."""


def guarded_provider(provider: Provider, opened_by: str, place: Place) -> Provider:
    """Return a provider like this one whose every call is guarded; it counts bytes only if this one does.

    Raises:
        PluginError: If it is none.
    """
    if not all(callable(getattr(provider, name, None)) for name in ("states", "open")):
        raise Calls(place).fault(f"{opened_by}() returned {type(provider).__name__}, which is no provider")
    kind = _CountingProvider if isinstance(provider, Counting) else _GuardedProvider
    return kind(provider, Calls(place))


async def guarded_answer(name: str, answer: Awaitable[T], place: Place) -> T:
    """Return what is awaited of a record's function, such as ``examine``."""
    return await Calls(place).wait(name, lambda: answer)


class _GuardedProvider:
    def __init__(self, inner: Provider, calls: Calls) -> None:
        self.base = calls.now("base", lambda: inner.base)
        self._inner, self._calls = inner, calls

    async def states(self, batch: list[list[int]], cut: int) -> Any:
        """As of ``Provider``."""

        def wrong(answer: Any) -> str:
            if not isinstance(answer, list) or len(answer) != len(batch):
                return "does not give one item of states for each sequence"
            found = (_wrong(one, 0, len(tokens), self.base.width) for one, tokens in zip(answer, batch, strict=True))
            return next(filter(None, found), "")

        return await self._calls.wait("states", lambda: self._inner.states(batch, cut), wrong)

    def open(self, cut: int) -> Session:
        """As of ``Provider``."""
        session = self._calls.now("open", lambda: self._inner.open(cut))
        return _GuardedSession(session, self._calls, self.base.width)


class _CountingProvider(_GuardedProvider):
    @property
    def moved(self) -> int:
        """As of ``Counting``."""
        inner: Any = self._inner
        return int(self._calls.now("moved", lambda: inner.moved))


class _GuardedSession:
    """A session with what the inner one has: what is optional is put on where that has it."""

    def __init__(self, inner: Session, calls: Calls, width: int) -> None:
        self._inner, self._calls, self._width = inner, calls, width
        if isinstance(inner, LastRows):
            self.last = self._last
        if isinstance(inner, Streaming):
            self.stream = self._stream
        if isinstance(inner, Distant):
            self.distant = inner.distant
        if isinstance(inner, Keepable):
            self.held, self.restore = inner.held, inner.restore

    @property
    def length(self) -> int:
        """As of ``Session``."""
        return self._calls.now("length", lambda: self._inner.length)

    async def extend(self, position: int, tokens: list[int]) -> Any:
        """As of ``Session``."""
        return await self._calls.wait(
            "extend",
            lambda: self._inner.extend(position, tokens),
            lambda answer: _wrong(answer, position, len(tokens), self._width),
        )

    async def close(self) -> None:
        """As of ``Session``; that it cannot be told so is blamed, and no failure of whoever lets it go."""
        with suppress(PluginError):
            await self._calls.wait("close", self._inner.close)

    async def _last(self, position: int, tokens: list[int], count: int) -> Any:
        inner: Any = self._inner
        return await self._calls.wait(
            "last",
            lambda: inner.last(position, tokens, count),
            lambda answer: _wrong(answer, None, max(1, count), self._width),
        )

    async def _stream(self, position: int, tokens: list[int], guess: Guess) -> AsyncIterator[Any]:
        inner: Any = self._inner
        frames: Any = self._calls.now("stream", lambda: aiter(inner.stream(position, tokens, guess)))
        at = position
        try:
            while (frame := await self._calls.wait("stream", lambda: anext(frames, None))) is not None:
                if fault := _wrong(frame, at, len(getattr(frame, "tokens", ())), self._width):
                    raise self._calls.fault(f"stream() {fault}")
                at += len(frame.tokens)
                yield frame
        finally:
            await end_stream(frames)


def _wrong(states: Any, position: int | None, count: int, width: int) -> str:
    """Return what is wrong with states in a clause; ``position`` None: any."""
    import torch

    rows = getattr(states, "rows", None)
    if not isinstance(rows, torch.Tensor) or not rows.is_floating_point():
        return f"gives {type(states).__name__} where states with rows of floating-point numbers are wanted"
    if rows.shape != (count, width):
        return f"gives rows of the shape {tuple(rows.shape)} where {(count, width)} is wanted"
    if position is not None and getattr(states, "position", None) != position:
        return f"gives states from position {getattr(states, 'position', None)} on where {position} is wanted"
    if not bool(torch.isfinite(rows).all()):
        return "gives states that are not finite numbers"
    return ""
