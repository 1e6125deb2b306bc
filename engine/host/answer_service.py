"""Answering chats whose history lies with the caller, and keeping one when there is something to learn from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.events import DeltaEvent, SignalEvent
from ...schemas.messages import AnswerTurns, KeepAnswer, NoteWords, Sampling
from ...schemas.records import Answered, Finish, Message, Role
from ..chat.prompt import Turn, check_all_fits
from ..chat.stops import Stops
from ..settings import read_settings
from ..slots.blend import Voice
from . import teaching
from .chat_service import sentence, turns_of, wait_for_model
from .elsewhere import check_can_speak, names_of
from .memory_service import remembering
from .model_thread import Model
from .rooms import Rooms, Tell
from .wanted import Unwanted, while_wanted

if TYPE_CHECKING:
    from ..chat.chat import Reply


@dataclass(frozen=True)
class _Speaker:
    """Who answers: with which words before everything, which generation and voice, how tokens are chosen, and where.

    ``provider``: as the slot says it; empty: where the profile does.
    """

    system: str
    version: int
    voice: Voice
    sampling: Sampling
    provider: str = ""


class AnswerService:
    """Handlers of ``chat.answer``, ``chat.keep`` and ``chat.note``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def answer(self, request: AnswerTurns, tell: Tell) -> Answered:
        """Answer the last of the given turns.

        Raises:
            UsageError: If that is not the user's.
            NotFound: If there is no such slot.
            PromptTooLong: If not all of it fits the context.
            NightSchoolError: If there is no model or no usable adapter.
        """
        turns = turns_of(request.turns)
        if not turns or turns[-1].role is not Role.USER or not turns[-1].text.strip():
            raise UsageError("The last message must be the user's, with at least one visible character.")
        answering = self._rooms.begin(request.conversation)
        try:
            await wait_for_model(self._rooms, answering)
            speaker = await self._speaker(request)
            stops = Stops(request.stop)
            loop = asyncio.get_running_loop()

            def on_text(piece: str) -> None:
                free = stops.feed(piece)
                if free:
                    loop.call_soon_threadsafe(tell, DeltaEvent(conversation=request.conversation, text=free))

            reply = await self._reply(turns, speaker, on_text, lambda: stops.found or answering.stopped.is_set())
            rest = stops.flush()
            if rest:
                tell(DeltaEvent(conversation=request.conversation, text=rest))
            return _answered(reply, stops, speaker.version)
        finally:
            self._rooms.end(request.conversation)

    async def keep(self, request: KeepAnswer, tell: Tell) -> Message:
        """Store given turns and their reply as a conversation, all of it or nothing."""
        records, slot = self._rooms.records, self._rooms.store.slot(request.slot).name
        if not request.reply.text:
            raise UsageError("An empty reply teaches nothing; ask again.")
        with records.transaction():
            conversation = records.create_conversation(slot).id
            for turn in turns_of(request.turns):
                records.add_message(conversation, turn.role, turn.text)
            reply = request.reply
            return records.add_message(
                conversation, Role.ASSISTANT, reply.text, finish=reply.finish, tokens=reply.tokens
            )

    async def note(self, request: NoteWords, tell: Tell) -> Message:
        """Store what the user says of a reply, and note what it teaches."""
        records = self._rooms.records
        if not request.text.strip():
            raise UsageError("A comment needs at least one visible character; say something.")
        slot = records.conversation(request.conversation).slot
        self._rooms.begin(request.conversation)
        try:
            history = records.messages(request.conversation, limit=teaching.EVERY_MESSAGE)
            drafts = await teaching.read_words(self._rooms, history, request.text)
            with records.transaction():
                said = records.add_message(request.conversation, Role.USER, request.text)
                noted = teaching.note_words(self._rooms, slot, history, said, drafts)
        finally:
            self._rooms.end(request.conversation)
        for signal, lesson in noted:
            tell(SignalEvent(signal=signal, lesson=lesson))
        return said

    async def _reply(
        self,
        turns: Sequence[Turn],
        speaker: _Speaker,
        on_text: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Reply:
        settings, said = read_settings(self._rooms.home), 0

        def heard(piece: str) -> None:
            nonlocal said
            said += 1
            on_text(piece)

        async def work(model: Model) -> Reply:
            room = max(1, min(speaker.sampling.max_tokens, model.base.card.context // 4))
            check_all_fits(model.base, turns, speaker.system, room)
            through = await model.through(names_of(speaker.provider, settings), settings)
            return await model.chat_over(through).reply(
                None,
                turns,
                system=speaker.system,
                adapter=speaker.voice,
                sampling=speaker.sampling,
                on_text=heard,
                cancelled=cancelled,
                through=through,
            )

        try:
            return await self._rooms.model.do(lambda model: while_wanted(work(model), cancelled))
        except Unwanted:
            from ..chat.chat import Reply

            return Reply("", Finish.CANCELLED, said)  # what came is with whoever heard it
        except Exception as error:
            raise sentence(error) from error

    async def _speaker(self, request: AnswerTurns) -> _Speaker:
        if not request.slot:
            return _Speaker(request.system, 0, None, request.sampling)
        slot = self._rooms.store.slot(request.slot)
        if request.memory:
            slot = remembering(self._rooms, slot)
        version, voice = self._rooms.spoken(slot.name, (await self._rooms.model.model()).base.card, None)
        check_can_speak(slot, voice, read_settings(self._rooms.home))
        sampling = request.sampling
        if sampling.temperature is None:
            sampling = sampling.model_copy(update={"temperature": slot.temperature})
        system = "\n\n".join(filter(None, (slot.system_prompt, request.system)))
        return _Speaker(system, version.number, voice, sampling, slot.provider)


def _answered(reply: Reply, stops: Stops, version: int) -> Answered:
    return Answered(
        text=stops.text,
        finish=Finish.STOP if stops.found else reply.finish,
        tokens=reply.tokens,
        prompt_tokens=reply.asked,
        held_tokens=reply.held,
        version=version,
    )
