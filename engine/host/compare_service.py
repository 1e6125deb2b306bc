"""The same question to several slots at once, or to two generations of one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.events import ComparedEvent, PreviewEvent
from ...schemas.messages import CancelCompare, CompareSlots, PreviewVersion, Sampling
from ...schemas.records import Compared, Finish, Role, SamplePair, Slot, Version, VersionPreview
from ..chat.prompt import Turn, fit
from .model_thread import Model
from .rooms import Rooms, Tell

if TYPE_CHECKING:
    from ..chat.side_by_side import SideBySide
    from ..slots.blend import Voice

_MOST = 8
"""Slots at once; each has caches of its own."""
_PREVIEWED = 4
"""Questions of a preview that names none."""


class CompareService:
    """Handlers of ``slots.compare``, ``versions.preview`` and ``slots.compare.cancel``."""

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
        with self._stoppable() as stopped:
            return await self._compared(request, tell, stopped)

    async def _compared(self, request: CompareSlots, tell: Tell, stopped: threading.Event) -> list[Compared]:
        card = (await self._rooms.model.model()).base.card
        spoken = [self._rooms.spoken(slot, card, None) for slot in request.slots]
        system = self._rooms.store.slot(request.slots[0]).system_prompt
        room = max(1, min(request.sampling.max_tokens, card.context // 4))
        loop = asyncio.get_running_loop()

        def on_text(place: int, piece: str) -> None:
            loop.call_soon_threadsafe(tell, ComparedEvent(place=place, text=piece))

        async def answer(model: Model) -> list[Compared]:
            from ..chat.prompt import encode
            from ..chat.side_by_side import SideBySide

            if stopped.is_set():
                return [
                    Compared(slot=slot, version=version.number, text="", finish=Finish.CANCELLED, tokens=0)
                    for slot, (version, _) in zip(request.slots, spoken, strict=True)
                ]
            prompt = encode(model.base, fit(model.base, [Turn(Role.USER, request.text)], system, room))
            voices = [voice for _, voice in spoken]
            speakers = SideBySide(model.base, model.cut)
            found = speakers.answer(prompt, voices, request.sampling, on_text, stopped.is_set)
            return [
                Compared(slot=slot, version=version.number, text=reply.text, finish=reply.finish, tokens=reply.tokens)
                for slot, (version, _), reply in zip(request.slots, spoken, found, strict=True)
            ]

        return await self._rooms.model.do(answer)

    async def preview(self, request: PreviewVersion, tell: Tell) -> VersionPreview:
        """Answer questions with the generation in effect and with another one; nothing of it is stored.

        Raises:
            NotFound: If there is no such slot or generation, or its files were removed.
            UsageError: If it is the one in effect.
            BaseMismatch, Damaged, MarketError: If an adapter cannot be used.
            PromptTooLong: If a question does not fit the context.
        """
        store, slot = self._rooms.store, self._rooms.store.slot(request.slot)
        version = store.version(slot.name, request.number)
        if version.adapter_sha256 == store.current(slot.name).adapter_sha256 and not slot.blend:
            raise UsageError(f"Generation {version.number} of slot {slot.name} is what answers now; name another.")
        with self._stoppable() as stopped:
            return await self._previewed(request, slot, version, tell, stopped)

    async def _previewed(
        self, request: PreviewVersion, slot: Slot, version: Version, tell: Tell, stopped: threading.Event
    ) -> VersionPreview:
        card = (await self._rooms.model.model()).base.card
        current, voice = self._rooms.spoken(slot.name, card, None)
        self._rooms.check_base(slot.name, version, card)
        voices = [voice, self._rooms.store.adapter_folder(slot.name, version.number)]
        prompts = [text for text in request.prompts if text.strip()] or held_out(version, current)
        loop = asyncio.get_running_loop()

        def told(event: PreviewEvent) -> None:
            loop.call_soon_threadsafe(tell, event)

        sampling = Sampling(max_tokens=request.max_tokens)
        both = _Both(slot.system_prompt, voices, sampling, told, stopped.is_set)
        found: list[SamplePair] = []
        for number, prompt in enumerate(prompts):
            if stopped.is_set():
                break
            # Each by itself: a chat need not wait for all of them.
            found.append(await self._rooms.model.do(partial(both.answer, number, prompt)))
        return VersionPreview(
            slot=slot.name, one=current.number, other=version.number, samples=found, stopped=stopped.is_set()
        )

    @contextmanager
    def _stoppable(self) -> Iterator[threading.Event]:
        """Give what is set to stop one of them, from before the model is awake: that may take minutes."""
        stopped = threading.Event()
        self._running.append(stopped)
        try:
            yield stopped
        finally:
            self._running.remove(stopped)

    async def cancel(self, request: CancelCompare, tell: Tell) -> bool:
        """Stop all of them at their next token."""
        return self.stop()

    def stop(self) -> bool:
        """Stop all of them at their next token; return whether there were any."""
        for stopped in self._running:
            stopped.set()
        return bool(self._running)


class _Both:
    """Two generations, asked one question after the other over the same trunk and tails."""

    def __init__(
        self,
        system: str,
        voices: Sequence[Voice],
        sampling: Sampling,
        tell: Callable[[PreviewEvent], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._system, self._voices, self._sampling = system, list(voices), sampling
        self._tell, self._stopped = tell, stopped
        self._speakers: tuple[Model, SideBySide] | None = None

    async def answer(self, number: int, text: str, model: Model) -> SamplePair:
        """Return what both say to a question; runs where the model is."""
        from ..chat.prompt import encode
        from ..chat.side_by_side import SideBySide

        if self._speakers is None or self._speakers[0] is not model:
            self._speakers = model, SideBySide(model.base, model.cut)
        room = max(1, min(self._sampling.max_tokens, model.base.card.context // 4))
        prompt = encode(model.base, fit(model.base, [Turn(Role.USER, text)], self._system, room))

        def on_text(place: int, piece: str) -> None:
            self._tell(PreviewEvent(row=number, prompt=text, place=place, text=piece))

        one, other = self._speakers[1].answer(prompt, self._voices, self._sampling, on_text, self._stopped)
        return SamplePair(prompt=text, one=one.text, other=other.text)


def held_out(version: Version, current: Version) -> list[str]:
    """Return questions that neither generation was trained on: of their reports, else of the prompt bank."""
    reports = [one.report for one in (version, current) if one.report is not None]
    asked = [sample.prompt for report in reports for outcome in report.outcomes for sample in outcome.samples]
    if not asked:
        from ..study.prompts import bank

        asked = [prompt.text for prompt in bank()]
    return list(dict.fromkeys(asked))[:_PREVIEWED]
