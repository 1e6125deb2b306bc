"""Corrections of what was answered: edits, thumbs, and taking signals back."""

from __future__ import annotations

from ...schemas.errors import UsageError
from ...schemas.events import SignalEvent
from ...schemas.messages import Copied, EditReply, ListSignals, Thumb, UndoSignal
from ...schemas.records import LessonState, Message, Role, Signal, SignalKind
from . import teaching
from .rooms import Rooms, Tell

_THUMBS = {1: SignalKind.THUMB_UP, -1: SignalKind.THUMB_DOWN}
_ACCEPTED = frozenset({SignalKind.ACCEPT})


class CorrectionService:
    """Handlers of ``chat.edit``, ``chat.thumb``, ``chat.copied`` and ``signals.*``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def edit(self, request: EditReply, tell: Tell) -> Message:
        """Put the user's wording in the place of a reply; wording it as the model did takes the edit back."""
        records = self._rooms.records
        message = records.message(request.message)
        if message.role is not Role.ASSISTANT:
            raise UsageError(f"Message {message.id} is not a reply; choose a message of the model.")
        if not request.text.strip():
            raise UsageError("An edited reply needs at least one visible character; write what it should say.")
        slot = records.conversation(message.conversation).slot
        self._rooms.begin(message.conversation)
        try:
            message = records.message(message.id)
            if request.text == message.text:
                return message
            history = records.messages(message.conversation, limit=teaching.EVERY_MESSAGE)
            back = request.text == teaching.model_text(message)
            draft = None if back else await teaching.read_edit(self._rooms, history, message, request.text)
            with records.transaction():
                self._supersede(message)
                edited = records.edit_message(message.id, request.text)
                noted = draft and teaching.note_edit(self._rooms, slot, history, edited, draft)
        finally:
            self._rooms.end(message.conversation)
        await self._rooms.model.forget(message.conversation)
        if noted:
            tell(SignalEvent(signal=noted[0], lesson=noted[1]))
        return edited

    async def thumb(self, request: Thumb, tell: Tell) -> Message:
        """Rate a reply; another rating takes the place of the former one."""
        records = self._rooms.records
        message = records.message(request.message)
        if message.thumb == request.value and message.role is Role.ASSISTANT:
            return message
        signal = None
        with records.transaction():
            for former in self._live(message, frozenset(_THUMBS.values())):
                records.undo_signal(former.id)
            message = records.set_thumb(message.id, request.value)
            if request.value:
                signal = records.add_signal(message.id, _THUMBS[request.value])
        if signal is not None:
            tell(SignalEvent(signal=signal))
        return message

    async def copied(self, request: Copied, tell: Tell) -> Message:
        """Note that a reply is used elsewhere, which says that it is welcome as it stands."""
        records = self._rooms.records
        message = records.message(request.message)
        if message.role is not Role.ASSISTANT:
            raise UsageError(f"Message {message.id} is not a reply; only replies are accepted by copying them.")
        with records.transaction():
            if self._live(message, _ACCEPTED):
                return message
            signal = records.add_signal(message.id, SignalKind.ACCEPT)
        tell(SignalEvent(signal=signal))
        return message

    async def signals(self, request: ListSignals, tell: Tell) -> list[Signal]:
        """List the signals of a conversation."""
        return self._rooms.records.signals(request.conversation)

    async def undo(self, request: UndoSignal, tell: Tell) -> Signal:
        """Take a signal back."""
        signal = self._rooms.records.signal(request.signal)
        if signal.kind is not SignalKind.EDIT:
            return teaching.take_back(self._rooms, signal)
        self._rooms.begin(signal.conversation)  # its text changes: no reply may be reading it
        try:
            undone = teaching.take_back(self._rooms, signal)
        finally:
            self._rooms.end(signal.conversation)
        await self._rooms.model.forget(signal.conversation)
        return undone

    def _supersede(self, message: Message) -> None:
        """Take back what was said of a reply's former wording; edits that are learned or being studied stay."""
        for signal in self._live(message, _ACCEPTED):
            self._rooms.records.undo_signal(signal.id)
        studied = self._rooms.studied()
        for signal in self._live(message, frozenset({SignalKind.EDIT})):
            learned = signal.lesson is not None and (
                signal.lesson in studied or self._rooms.records.lesson(signal.lesson).state is LessonState.LEARNED
            )
            if not learned:
                teaching.take_back(self._rooms, signal)

    def _live(self, message: Message, kinds: frozenset[SignalKind]) -> list[Signal]:
        signals = self._rooms.records.signals(message.conversation)
        return [s for s in signals if s.message == message.id and s.kind in kinds and not s.undone]
