"""What the endpoint asks of the engine, whatever carries the requests: models, replies, feedback."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, Protocol, TypeVar

from ...schemas.errors import NightSchoolError
from ...schemas.events import DeltaEvent, Event, SignalEvent
from ...schemas.messages import (
    AnswerTurns,
    CancelReply,
    EditReply,
    GetStatus,
    KeepAnswer,
    ListSlots,
    ListVersions,
    NoteWords,
    Request,
    Thumb,
)
from ...schemas.records import Answered, Finish, Message, Slot
from . import shapes
from .asking import Asked, Feedback
from .recent import Completion, Recent
from .refusal import Refusal, shutting_down
from .turnstile import Turnstile

R = TypeVar("R")

_STOP_SECONDS = 5.0  # in which the engine ends a reply that nobody reads any more
_LONGEST_PAUSE = 30.0  # before an engine that keeps dying is started again
_CALM = 60.0  # seconds after which its former deaths do not count


class Link(Protocol):
    """What is needed of an engine's client."""

    async def call(self, request: Request[R], on_event: Callable[[Event], None] | None = None) -> R:
        """Ask, and wait for the answer."""
        ...

    def when_lost(self, callback: Callable[[str], None]) -> None:
        """Hear that the engine ended without being asked to."""
        ...

    async def restart(self, model: str | None = None) -> None:
        """Start it again."""
        ...


class Service:
    """Answers for one profile; meets ``Serving``. Lives in one event loop."""

    def __init__(self, link: Link, *, memory: bool, lost: Callable[[], None] = lambda: None) -> None:
        """Prepare.

        Args:
            link: To an engine that runs.
            memory: Whether replies may tell what is known of the user.
            lost: Called when the engine died.
        """
        self._link, self._memory, self._lost = link, memory, lost
        self._turns = Turnstile()
        self._recent = Recent()
        self._numbers = itertools.count(-1, -1)
        self._running: set[asyncio.Task[Any] | None] = set()
        self._reviving: asyncio.Task[None] | None = None
        self._deaths, self._died = 0, 0.0
        self.stopping = False

    # -- models -------------------------------------------------------------------------------------------------------

    async def models(self) -> list[dict[str, Any]]:
        """Return the slots, and the plain base, as models."""
        base = (await self._link.call(GetStatus())).base
        found = []
        for slot in await self._link.call(ListSlots()):
            versions = await self._link.call(ListVersions(slot=slot.name))
            created = next((version.created for version in versions if version.current), 0.0)
            found.append(shapes.model(slot, created, base))
        return [*found, shapes.model(None, 0.0, base)]

    async def model(self, name: str) -> dict[str, Any]:
        """Return one of them.

        Raises:
            Refusal: If there is none of this name.
        """
        found = next((model for model in await self.models() if model["id"] == name), None)
        if found is None:
            raise _no_model(name, [model["id"] for model in await self.models()])
        return found

    # -- replies ------------------------------------------------------------------------------------------------------

    async def reply(self, key: str, asked: Asked, name: str) -> AsyncGenerator[str | Answered, None]:
        """Give a reply piece by piece, and at last the whole of it. Whoever stops reading stops the reply.

        Args:
            key: Name of the key that asks.
            asked: What it asks.
            name: What the completion is called, when something is said of it.

        Raises:
            NightSchoolError: If there is none.
        """
        if self.stopping:
            raise shutting_down()
        task = asyncio.current_task()
        self._running.add(task)
        try:
            slot = await self._slot(asked.model)
            async with self._turns.turn(key):
                if self.stopping:
                    raise shutting_down()
                async with aclosing(self._answer(asked, slot)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Answered):
                            self._recent.add(Completion(name, key, slot, asked.turns, piece, time.monotonic()))
                        yield piece
        finally:
            self._running.discard(task)

    async def _answer(self, asked: Asked, slot: str) -> AsyncGenerator[str | Answered, None]:
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        heard: asyncio.Queue[str | None] = asyncio.Queue()

        def hear(event: Event) -> None:
            if isinstance(event, DeltaEvent):
                loop.call_soon_threadsafe(heard.put_nowait, event.text)

        request = AnswerTurns(
            conversation=number,
            slot=slot,
            turns=list(asked.turns),
            system=asked.system,
            memory=self._memory,
            sampling=asked.sampling,
            stop=list(asked.stop),
        )
        call = asyncio.ensure_future(self._link.call(request, hear))
        call.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (piece := await heard.get()) is not None:
                yield piece
            answered = await call
        finally:
            if not call.done():
                await self._stop(call, number)
        if answered.finish is Finish.CANCELLED:
            raise Refusal(503, "stopped", "The reply was stopped; ask again.", retry_after=1)
        yield answered

    async def _stop(self, call: asyncio.Future[Answered], number: int) -> None:
        with suppress(NightSchoolError):
            await self._link.call(CancelReply(conversation=number))
        _, running = await asyncio.wait({call}, timeout=_STOP_SECONDS)
        for one in running:
            one.cancel()
        if not running and not call.cancelled():
            call.exception()  # nobody is left to be told

    async def _slot(self, name: str) -> str:
        """Return the slot that a model is; empty: the plain base."""
        if name == shapes.PLAIN:
            return ""
        slots: list[Slot] = await self._link.call(ListSlots())
        names = [slot.name for slot in slots]
        if name not in names:
            raise _no_model(name, [*names, shapes.PLAIN])
        return name

    # -- feedback -----------------------------------------------------------------------------------------------------

    async def feedback(self, key: str, said: Feedback) -> dict[str, Any]:
        """Store a completion as a conversation of its slot, and let what is said of it teach.

        Raises:
            Refusal: If nothing is said, or it is not known any more, or of the plain base.
            NightSchoolError: If it cannot be stored.
        """
        if said.rating is None and said.text is None and said.comment is None:
            raise Refusal(400, "invalid_value", "Give at least one of rating, text and comment.")
        completion = self._recent.find(key, said.id)
        if not completion.slot:
            raise Refusal(400, "not_teachable", "The plain base learns nothing; ask one of the slots.", param="id")
        signals: list[SignalEvent] = []

        def hear(event: Event) -> None:
            if isinstance(event, SignalEvent):
                signals.append(event)

        async with completion.lock:
            kept = await self._keep(completion)
            if said.rating is not None:
                value = 1 if said.rating == "up" else -1
                await self._link.call(Thumb(message=kept.id, value=value), hear)
            if said.text is not None:
                await self._link.call(EditReply(message=kept.id, text=said.text), hear)
            if said.comment is not None:
                await self._link.call(NoteWords(conversation=kept.conversation, text=said.comment), hear)
        return shapes.taught(completion.id, kept, signals)

    async def _keep(self, completion: Completion) -> Message:
        if completion.kept is None:
            request = KeepAnswer(slot=completion.slot, turns=list(completion.turns), reply=completion.reply)
            completion.kept = await self._link.call(request)
        return completion.kept

    # -- beginning and end --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look after the engine from now on."""
        loop = asyncio.get_running_loop()

        def hear(reason: str) -> None:
            loop.call_soon_threadsafe(self._on_loss)

        self._link.when_lost(hear)

    async def stop(self, seconds: float) -> None:
        """Refuse what comes from now on, and wait so long at most for replies that run."""
        self.stopping = True
        ends = time.monotonic() + seconds
        while self._running and time.monotonic() < ends:
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Start nothing again."""
        self.stopping = True
        if self._reviving is not None:
            self._reviving.cancel()

    def _on_loss(self) -> None:
        self._lost()
        if not self.stopping and (self._reviving is None or self._reviving.done()):
            self._reviving = asyncio.ensure_future(self._revive())

    async def _revive(self) -> None:
        """Start the engine again, the later the more often it died."""
        now = time.monotonic()
        self._deaths = self._deaths + 1 if now - self._died < _CALM else 0
        self._died = now
        await asyncio.sleep(min(_LONGEST_PAUSE, 2.0**self._deaths - 1))
        while True:
            try:
                await self._link.restart()
            except NightSchoolError:
                await asyncio.sleep(_LONGEST_PAUSE)
            else:
                return


def _no_model(name: str, names: list[str]) -> Refusal:
    there = ", ".join(names)
    return Refusal(404, "model_not_found", f"There is no model {name[:60]!r}; there is {there}.", param="model")
