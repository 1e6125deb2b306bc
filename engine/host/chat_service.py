"""Saying something and being answered: what is said is stored first, and what was answered stays whatever happens."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...schemas.errors import ChatError, NightSchoolError, UsageError
from ...schemas.events import DeltaEvent, Event, MessageEvent, NoticeEvent, SignalEvent
from ...schemas.messages import CancelReply, Regenerate, Sampling, SendMessage
from ...schemas.records import Finish, GivenTurn, Message, Role, SignalKind, Slot
from ..chat.prompt import Turn, fit
from ..settings import LOCAL, read_settings
from ..slots.blend import Voice
from . import teaching
from .costs import Costs
from .elsewhere import check_can_speak, names_of
from .memory_service import remembering
from .model_thread import Model
from .rooms import Answering, Rooms, Tell
from .wanted import Unwanted, while_wanted

if TYPE_CHECKING:
    from ..chat.chat import Reply

_log = logging.getLogger(__name__)

OTHER_TEMPERATURE = 0.7
"""Of another reply in a slot that always takes the likeliest token: it would say the same again."""


@dataclass(frozen=True)
class _Question:
    """What is to be answered, with which voice."""

    conversation: int
    slot: Slot
    version: int
    adapter: Voice
    turns: list[Turn]
    sampling: Sampling


@dataclass(frozen=True)
class _Said:
    """What was answered, as far as it came; ``error`` is why no more came."""

    text: str
    finish: Finish
    tokens: int
    error: NightSchoolError | None = None


class ChatService:
    """Handlers of ``chat.send``, ``chat.regenerate`` and ``chat.cancel``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def send(self, request: SendMessage, tell: Tell) -> Message:
        """Store what the user says, note what it teaches, and answer it."""
        records = self._rooms.records
        if not request.text.strip():
            raise UsageError("A message needs at least one visible character; say something.")
        records.conversation(request.conversation)
        answering = self._rooms.begin(request.conversation)
        try:
            history = records.messages(request.conversation, limit=teaching.EVERY_MESSAGE)
            turns = turns_of(history, request.text)
            await wait_for_model(self._rooms, answering)
            question = await self._question(request.conversation, turns, request.sampling, request.blend)
            drafts = await teaching.read_words(self._rooms, history, request.text)
            with records.transaction():
                said = records.add_message(request.conversation, Role.USER, request.text)
                noted = teaching.note_words(self._rooms, question.slot.name, history, said, drafts)
            tell(MessageEvent(message=said))
            for signal, lesson in noted:
                tell(SignalEvent(signal=signal, lesson=lesson))
            answer = await self._answer(question, answering, tell)
            if answer.error is not None and not answer.text:
                teaching.withdraw(self._rooms, said)
                raise answer.error
            return self._stored(question, answer, tell)
        finally:
            self._rooms.end(request.conversation)

    async def regenerate(self, request: Regenerate, tell: Tell) -> Message:
        """Answer the last message of the user again; the former reply stays if nothing comes."""
        records = self._rooms.records
        records.conversation(request.conversation)
        answering = self._rooms.begin(request.conversation)
        try:
            history = records.messages(request.conversation, limit=teaching.EVERY_MESSAGE)
            former = history[-1] if history and history[-1].role is Role.ASSISTANT else None
            turns = turns_of(history[:-1] if former else history)
            if not turns or turns[-1].role is not Role.USER:
                raise UsageError("There is nothing to answer in this conversation; say something first.")
            sampling = _another(request.sampling, self._slot_of(request.conversation))
            await wait_for_model(self._rooms, answering)
            question = await self._question(request.conversation, turns, sampling, request.blend)
            answer = await self._answer(question, answering, tell)
            if not answer.text and answer.error is not None:
                raise answer.error
            if not answer.text and answer.finish is Finish.CANCELLED and former is not None:
                return former
            return self._stored(question, answer, tell, former=former)
        finally:
            self._rooms.end(request.conversation)

    async def cancel(self, request: CancelReply, tell: Tell) -> bool:
        """Stop the reply at its next token."""
        answering = self._rooms.answering.get(request.conversation)
        if answering is None:
            return False
        answering.stopped.set()
        return True

    # -- one answer ---------------------------------------------------------------------------------------------------

    def _slot_of(self, conversation: int) -> Slot:
        return self._rooms.store.slot(self._rooms.records.conversation(conversation).slot)

    def _stored(self, question: _Question, answer: _Said, tell: Tell, former: Message | None = None) -> Message:
        """Store a reply, in place of a former one if there is one, and that the user stopped it, if so."""
        records, signal, talk = self._rooms.records, None, question.conversation
        facts: Any = {"version": question.version, "finish": answer.finish, "tokens": answer.tokens}
        with records.transaction():
            if former is None:
                message = records.add_message(talk, Role.ASSISTANT, answer.text, **facts)
            else:
                records.add_signal(former.id, SignalKind.REGENERATE)
                message = records.replace_reply(talk, answer.text, **facts)
            if answer.finish is Finish.CANCELLED:
                signal = records.add_signal(message.id, SignalKind.ABANDON)
        if signal is not None:
            tell(SignalEvent(signal=signal))
        return message

    async def _question(
        self, conversation: int, turns: list[Turn], sampling: Sampling, blend: Mapping[str, float] | None
    ) -> _Question:
        """Prove that the turns can be answered, before anything is stored.

        Raises:
            NightSchoolError: If there is no model, no usable adapter, or no room for the last message.
        """
        model = await self._rooms.model.model()
        slot = remembering(self._rooms, self._slot_of(conversation))
        version, adapter = self._rooms.spoken(slot.name, model.base.card, blend)
        check_can_speak(slot, adapter, read_settings(self._rooms.home))
        room = max(1, min(sampling.max_tokens, model.base.card.context // 4))

        async def measure(model: Model) -> None:
            fit(model.base, turns, slot.system_prompt, room)

        await self._rooms.model.do(measure)
        if sampling.temperature is None:
            sampling = sampling.model_copy(update={"temperature": slot.temperature})
        return _Question(conversation, slot, version.number, adapter, turns, sampling)

    async def _answer(self, question: _Question, answering: Answering, tell: Tell) -> _Said:
        """Have the model answer; an error on the way ends the reply with what was said so far."""
        loop = asyncio.get_running_loop()
        pieces: list[str] = []
        settings = read_settings(self._rooms.home)
        names, stopped = names_of(question.slot.provider, settings), answering.stopped.is_set

        def say(event: Event) -> None:
            loop.call_soon_threadsafe(tell, event)

        async def answer(model: Model) -> Reply:
            costs = Costs(question.conversation, ", ".join(names), say)
            through = await model.through(names, settings)
            chat = model.chat_over(through)

            def on_text(piece: str) -> None:
                pieces.append(piece)
                say(DeltaEvent(conversation=question.conversation, text=piece))
                if names != (LOCAL,):
                    costs.now_and_then(chat.traffic)

            reply = await chat.reply(
                question.conversation,
                question.turns,
                system=question.slot.system_prompt,
                adapter=question.adapter,
                sampling=question.sampling,
                on_text=on_text,
                cancelled=stopped,
                through=through,
            )
            if names != (LOCAL,):
                costs.tell(reply.traffic)
            return reply

        try:
            reply = await self._rooms.model.do(lambda model: while_wanted(answer(model), stopped))
        except Unwanted:
            return _Said("".join(pieces), Finish.CANCELLED, len(pieces))
        except Exception as error:  # noqa: BLE001 (whatever a model raises must not lose what was said)
            told = sentence(error)
            if pieces:
                self._rooms.broadcast(NoticeEvent(level="error", text=f"The reply broke off: {told}"))
            return _Said("".join(pieces), Finish.FAILED, len(pieces), told)
        return _Said(reply.text, reply.finish, reply.tokens)


async def wait_for_model(rooms: Rooms, answering: Answering) -> None:
    """Wait for the model, or until the user does not want to wait any longer.

    Raises:
        ChatError: If the user stopped it; nothing was said.
    """
    waiting = {asyncio.ensure_future(rooms.model.model()), asyncio.ensure_future(answering.stopped.wait())}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)  # why there is no model is said by who asks for it
    if answering.stopped.is_set():
        raise ChatError("Stopped before the model could answer; say it again when you like.")


def turns_of(history: Sequence[Message | GivenTurn], said: str = "") -> list[Turn]:
    """Return what the model reads of a conversation, and what is said now: user and reply in turn.

    A question whose reply was stopped before its first word is left out with it; one that a crash left without any is
    read together with the next.
    """
    turns: list[Turn] = []
    for message in [*(Turn(m.role, m.text) for m in history), *([Turn(Role.USER, said)] if said else [])]:
        last = turns[-1] if turns else None
        if message.role is Role.ASSISTANT and not message.text:
            if last is not None and last.role is Role.USER:
                turns.pop()
        elif last is not None and last.role is message.role:
            joined = last.text if message.text == last.text else f"{last.text}\n\n{message.text}"
            turns[-1] = Turn(message.role, joined)
        else:
            turns.append(message)
    return turns


def _another(sampling: Sampling, slot: Slot) -> Sampling:
    """Return a sampling that does not repeat the reply it replaces, unless the caller chose one."""
    changes: dict[str, float | int] = {}
    if sampling.temperature is None and slot.temperature == 0:
        changes["temperature"] = OTHER_TEMPERATURE
    if sampling.seed is None:
        changes["seed"] = secrets.randbelow(1 << 31)
    return sampling.model_copy(update=changes)


def sentence(error: Exception) -> NightSchoolError:
    """Return why a reply failed as an error of ours."""
    if isinstance(error, NightSchoolError):
        return error
    _log.error("a reply failed", exc_info=error)
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ChatError(f"The model could not answer ({reason}); try again, or run `nightschool doctor`.")
