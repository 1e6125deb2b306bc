"""The same question to several slots at once."""

from __future__ import annotations

import asyncio
import threading

from ...schemas.errors import UsageError
from ...schemas.events import ComparedEvent
from ...schemas.messages import CancelCompare, CompareSlots
from ...schemas.records import Compared, Role
from ..chat.prompt import Turn, fit
from .model_thread import Model
from .rooms import Rooms, Tell

_MOST = 8
"""Slots at once; each has caches of its own."""


class CompareService:
    """Handlers of ``slots.compare`` and ``slots.compare.cancel``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._running: list[threading.Event] = []

    async def compare(self, request: CompareSlots, tell: Tell) -> list[Compared]:
        """Let several slots answer a question; nothing of it is stored and nothing learned from it.

        Raises:
            UsageError: If there is no question, or fewer than two slots or too many.
            NotFound: If a slot does not exist.
            BaseMismatch, Damaged: If a slot's adapter cannot be used.
            PromptTooLong: If the question does not fit the context.
        """
        if not request.text.strip():
            raise UsageError("A question needs at least one visible character; ask something.")
        if not 2 <= len(request.slots) <= _MOST:
            raise UsageError(f"Name two slots to compare, or up to {_MOST}.")
        card = (await self._rooms.model.model()).base.card
        spoken = [self._rooms.spoken(slot, card, None) for slot in request.slots]
        system = self._rooms.store.slot(request.slots[0]).system_prompt
        room = max(1, min(request.sampling.max_tokens, card.context // 4))

        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def on_text(place: int, piece: str) -> None:
            loop.call_soon_threadsafe(tell, ComparedEvent(place=place, text=piece))

        async def answer(model: Model) -> list[Compared]:
            from ..chat.prompt import encode
            from ..chat.side_by_side import SideBySide

            prompt = encode(model.base, fit(model.base, [Turn(Role.USER, request.text)], system, room))
            voices = [voice for _, voice in spoken]
            speakers = SideBySide(model.base, model.cut)
            found = speakers.answer(prompt, voices, request.sampling, on_text, stopped.is_set)
            return [
                Compared(slot=slot, version=version.number, text=reply.text, finish=reply.finish, tokens=reply.tokens)
                for slot, (version, _), reply in zip(request.slots, spoken, found, strict=True)
            ]

        self._running.append(stopped)
        try:
            return await self._rooms.model.do(answer)
        finally:
            self._running.remove(stopped)

    async def cancel(self, request: CancelCompare, tell: Tell) -> bool:
        """Stop all of them at their next token."""
        for stopped in self._running:
            stopped.set()
        return bool(self._running)
