"""An engine that follows a script: the tests, the benchmark and the pictures put it where the real one would be.

It behaves as the protocol says, in memory and without a model: it wakes in stages, streams replies in pieces, notes
signals, makes lessons of edits, studies with progress, keeps generations, refuses with our errors, and can die.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.cards import BaseCard, Probe
from ..schemas.errors import Busy, EngineLost, NightSchoolError, NotFound, NothingToLearn
from ..schemas.events import (
    DeltaEvent,
    Event,
    MessageEvent,
    SignalEvent,
    StateEvent,
    StudyEndedEvent,
    StudyEvent,
    TrafficEvent,
)
from .scripted_bases import ScriptedBases
from .scripted_exchange import ScriptedExchange
from .scripted_hub import ScriptedHub
from .scripted_lessons import ScriptedLessons
from .scripted_merges import ScriptedMerges
from .scripted_plugins import ScriptedPlugins
from .scripted_providers import ScriptedProviders
from .scripted_report import scripted_report
from .scripted_slots import ScriptedSlots

R = TypeVar("R")
Tell = Callable[[Event], None]

CARD = BaseCard(
    fingerprint="ab" * 32, name="SmolLM2-135M-Instruct", family="llama", layers=30, width=576, vocabulary=49152,
    context=8192, config_hash="", tokenizer_hash="", template_hash="", tensors_hash="", end_of_turn=[2],
    probe=Probe(tokens=[], top_ids=[], top_logprobs=[]),
)  # fmt: skip
SLOTS = (
    ("science", "Science", "Answers with numbers, units and where they come from."),
    ("creative", "Creative", "Stories, poems, names and ideas."),
    ("gaming", "Gaming", "Plays along, plans builds, explains rules."),
    ("professional", "Professional", "Letters, summaries and plans, brief and polite."),
)


class ScriptedEngine(
    ScriptedBases,
    ScriptedExchange,
    ScriptedHub,
    ScriptedLessons,
    ScriptedMerges,
    ScriptedPlugins,
    ScriptedProviders,
    ScriptedSlots,
):
    """Stands in for the engine client; what it answers is set by its attributes."""

    def __init__(self, *, pause: float = 0.0, wake: float = 0.0) -> None:
        ScriptedBases.__init__(self)
        ScriptedExchange.__init__(self)
        ScriptedHub.__init__(self)
        ScriptedMerges.__init__(self)
        ScriptedPlugins.__init__(self)
        ScriptedProviders.__init__(self)
        ScriptedSlots.__init__(self)
        self.pause = pause
        """Seconds between two pieces of a reply, and between two steps of a study or a pull."""
        self.wake = wake
        """Seconds of each stage of waking."""
        self.reply = "The capital of France is **Paris**."
        self.steps = 12
        self.accept = True
        self.fail: dict[str, NightSchoolError] = {}
        """Errors to raise, by method, once each."""
        self.stalled: set[str] = set()
        """Methods that are never answered."""
        self.hold = asyncio.Event()
        """While cleared, a reply or a pull waits after its first piece."""
        self.hold.set()
        self.awake = asyncio.Event()
        """While cleared, the engine stays in its first stage of waking."""
        self.awake.set()
        self.asked: list[ask.Request[Any]] = []
        self.starts = 0
        self.state = ask.EngineStatus(state="waking", stage="starting")
        self.model: str | None = None
        """What a restart asked for."""
        self.slots = {name: rec.Slot(name=name, title=title, description=text) for name, title, text in SLOTS}
        self.conversations: dict[int, rec.Conversation] = {}
        self.deleted: dict[int, rec.Conversation] = {}
        self.messages: dict[int, rec.Message] = {}
        self.signals: dict[int, rec.Signal] = {}
        self.lessons: dict[int, rec.Lesson] = {}
        self.relations: list[rec.LessonRelation] = []
        self.notes: dict[int, rec.MemoryNote] = {}
        self.studies: dict[int, rec.Study] = {}
        self.nights: list[rec.Night] = []
        self.versions: dict[str, list[rec.Version]] = {name: [self._base(name)] for name in self.slots}
        self._listeners: list[Tell] = []
        self._lost: list[Callable[[str], None]] = []
        self._dead = asyncio.Event()
        self._cancelled: set[int] = set()
        self._answering: set[int] = set()
        self._study_cancelled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    # -- the link -----------------------------------------------------------------------------------------------------

    async def start(self, *, wake: bool = True) -> None:
        """Wake in the background."""
        self.starts += 1
        self._dead = asyncio.Event()
        if not wake:
            self.state = ask.EngineStatus(state="asleep")
            return
        task = asyncio.create_task(self._wake_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def restart(self, model: str | None = None) -> None:
        """Wake again, with the base that was chosen."""
        self.model = model
        self.load_chosen()
        await self.start()

    async def close(self) -> None:
        """End."""
        self._dead.set()
        for task in self._tasks:
            task.cancel()

    def listen(self, callback: Tell) -> None:
        """Hear what is told to everybody."""
        self._listeners.append(callback)

    def when_lost(self, callback: Callable[[str], None]) -> None:
        """Hear that the engine died."""
        self._lost.append(callback)

    def die(self, reason: str = "It was killed (signal 9).") -> None:
        """Behave as an engine process that was killed."""
        self.state = ask.EngineStatus(state="waking", stage="starting")
        self._answering.clear()
        self._dead.set()
        for callback in self._lost:
            callback(reason)

    async def call(self, request: ask.Request[R], on_event: Tell | None = None) -> R:
        """Answer as the script says."""
        self.asked.append(request)
        await asyncio.sleep(0)
        error = self.fail.pop(request.method, None)
        if error is not None:
            raise error
        if request.method in self.stalled:
            await self._dead.wait()
        handler = getattr(self, "_" + request.method.replace(".", "_"))
        work = asyncio.ensure_future(handler(request, on_event or (lambda event: None)))
        death = asyncio.ensure_future(self._dead.wait())
        await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not work.done():
            work.cancel()
            raise EngineLost("The engine process ended before it answered; it is being restarted.")
        return work.result()  # type: ignore[no-any-return]

    def _tell(self, event: Event) -> None:
        for callback in self._listeners:
            callback(event)

    def _next(self) -> int:
        self._last += 1
        return self._last

    async def _wake_up(self) -> None:
        stages = (("reading the model", 0.1), ("loading weights", 0.45), ("checking the base", 0.9))
        for stage, fraction in stages:
            self.state = ask.EngineStatus(state="waking", stage=stage, fraction=fraction)
            self._tell(StateEvent(status=self.state))
            await asyncio.sleep(self.wake)
            await self.awake.wait()
        card = CARD.model_copy(update={"name": self.loaded.title, "fingerprint": self.loaded.fingerprint})
        self.state = ask.EngineStatus(state="ready", base=card)
        self._tell(StateEvent(status=self.state))

    # -- engine and slots ---------------------------------------------------------------------------------------------

    async def _engine_status(self, request: ask.GetStatus, tell: Tell) -> ask.EngineStatus:
        return self.state

    def _slot(self, name: str) -> rec.Slot:
        if name not in self.slots:
            raise NotFound(f"There is no slot “{name}”.")
        waiting = sum(row.slot == name and row.state is rec.LessonState.APPROVED for row in self.lessons.values())
        current = next(row.number for row in self.versions[name] if row.current)
        return self.slots[name].model_copy(update={"waiting": waiting, "current": current})

    async def _slots_create(self, request: ask.CreateSlot, tell: Tell) -> rec.Slot:
        name = request.name or request.title.lower().replace(" ", "-")
        fields = {"title": request.title, "description": request.description, "system_prompt": request.system_prompt}
        self.slots[name] = rec.Slot(name=name, **fields)
        self.versions[name] = [self._base(name)]
        return self._slot(name)

    async def _slots_update(self, request: ask.UpdateSlot, tell: Tell) -> rec.Slot:
        changed = request.model_dump(exclude_none=True, exclude={"name"})
        self.slots[request.name] = self._slot(request.name).model_copy(update=changed)
        return self._slot(request.name)

    def _base(self, slot: str) -> rec.Version:
        kind = rec.VersionKind.BASE
        return rec.Version(slot=slot, number=0, kind=kind, parent=None, base="ab" * 32, created=0.0, current=True)

    async def _versions_list(self, request: ask.ListVersions, tell: Tell) -> list[rec.Version]:
        return list(reversed(self.versions[request.slot]))

    async def _versions_rollback(self, request: ask.Rollback, tell: Tell) -> rec.Version:
        to = self._slot(request.slot).current - 1 if request.to is None else request.to
        if to < 0:
            raise NotFound("There is no generation before the base.")
        return self._add_version(request.slot, kind=rec.VersionKind.ROLLBACK, restores=to)

    async def _versions_quality(self, request: ask.GetQuality, tell: Tell) -> list[rec.GenerationQuality]:
        replies = [row for row in self.messages.values() if row.role is rec.Role.ASSISTANT]
        return [
            rec.GenerationQuality(
                version=row.number,
                created=row.created,
                kind=row.kind,
                lessons=len(row.lessons),
                replies=sum(reply.version == row.number for reply in replies),
                stick=0.92 if row.report else None,
                kept_kl=0.04 if row.report else None,
            )
            for row in self.versions[request.slot]
        ]

    def _add_version(self, slot: str, **fields: Any) -> rec.Version:
        rows = [row.model_copy(update={"current": False}) for row in self.versions[slot]]
        parent = self._slot(slot).current
        version = rec.Version(
            slot=slot, number=len(rows), parent=parent, base="ab" * 32, created=time.time(), current=True, **fields
        )
        self.versions[slot] = [*rows, version]
        return version

    # -- conversations ------------------------------------------------------------------------------------------------

    async def _conversations_list(self, request: ask.ListConversations, tell: Tell) -> list[rec.Conversation]:
        rows = [row for row in self.conversations.values() if request.slot in (None, row.slot)]
        return sorted(rows, key=lambda row: -row.updated)[request.offset : request.offset + request.limit]

    async def _conversations_create(self, request: ask.CreateConversation, tell: Tell) -> rec.Conversation:
        return self.add_conversation(request.slot, request.title)

    def add_conversation(self, slot: str, title: str) -> rec.Conversation:
        """Store a conversation."""
        now = time.time()
        row = rec.Conversation(id=self._next(), slot=slot, title=title, created=now, updated=now)
        self.conversations[row.id] = row
        return row

    def add_message(self, conversation: int, role: rec.Role, text: str, **fields: Any) -> rec.Message:
        """Store a message."""
        row = rec.Message(
            id=self._next(), conversation=conversation, role=role, text=text, created=time.time(), **fields
        )
        self.messages[row.id] = row
        return row

    def _conversation(self, number: int) -> rec.Conversation:
        if number not in self.conversations:
            raise NotFound(f"There is no conversation {number}.")
        return self.conversations[number]

    async def _conversations_rename(self, request: ask.RenameConversation, tell: Tell) -> rec.Conversation:
        row = self._conversation(request.conversation).model_copy(update={"title": request.title})
        self.conversations[row.id] = row
        return row

    async def _conversations_delete(self, request: ask.DeleteConversation, tell: Tell) -> None:
        self.deleted[request.conversation] = self._conversation(request.conversation)
        del self.conversations[request.conversation]

    async def _conversations_restore(self, request: ask.RestoreConversation, tell: Tell) -> rec.Conversation:
        self.conversations[request.conversation] = self.deleted.pop(request.conversation)
        return self.conversations[request.conversation]

    def _of(self, conversation: int) -> list[rec.Message]:
        return [row for row in self.messages.values() if row.conversation == conversation]

    async def _conversations_messages(self, request: ask.ListMessages, tell: Tell) -> list[rec.Message]:
        rows = [row for row in self._of(request.conversation) if request.before is None or row.id < request.before]
        return rows[-request.limit :]

    async def _conversations_search(self, request: ask.SearchConversations, tell: Tell) -> list[rec.SearchHit]:
        hits = []
        for row in self.messages.values():
            place = row.text.lower().find(request.query.lower())
            if place >= 0 and row.conversation in self.conversations:
                conversation = self.conversations[row.conversation]
                end = place + len(request.query)
                excerpt = f"{row.text[:place]}\ue000{row.text[place:end]}\ue001{row.text[end:]}"
                fields = {"title": conversation.title, "slot": conversation.slot, "role": row.role, "excerpt": excerpt}
                hits.append(rec.SearchHit(conversation=row.conversation, message=row.id, **fields))
        return hits[: request.limit]

    # -- chat ---------------------------------------------------------------------------------------------------------

    async def _chat_send(self, request: ask.SendMessage, tell: Tell) -> rec.Message:
        row = self._conversation(request.conversation)
        if row.id in self._answering:
            raise Busy("The conversation is already being answered; wait or cancel.")
        said = self.add_message(row.id, rec.Role.USER, request.text)
        title = row.title or request.text[:40]
        self.conversations[row.id] = row.model_copy(update={"title": title, "updated": time.time()})
        tell(MessageEvent(message=said))
        if request.text.lower().startswith("always "):
            rule = request.text[7:].rstrip(".").capitalize() + "."
            self._note(said, rec.SignalKind.RULE, request.text, rule, tell)
        return await self._answer(row, tell)

    async def _chat_regenerate(self, request: ask.Regenerate, tell: Tell) -> rec.Message:
        last = self._of(request.conversation)[-1]
        if last.role is rec.Role.ASSISTANT:
            del self.messages[last.id]
        return await self._answer(self._conversation(request.conversation), tell)

    async def _answer(self, row: rec.Conversation, tell: Tell) -> rec.Message:
        said, finish = await self._say(row.id, row.slot, tell)
        version = self._slot(row.slot).current
        return self.add_message(row.id, rec.Role.ASSISTANT, said, version=version, finish=finish, tokens=len(said) // 4)

    async def _say(self, conversation: int, slot: str, tell: Tell) -> tuple[str, rec.Finish]:
        """Tell the reply in pieces; return how far it came, and why no further."""
        self._answering.add(conversation)
        self._cancelled.discard(conversation)
        said, finish = "", rec.Finish.STOP
        for place in range(0, len(self.reply), 4):
            piece = self.reply[place : place + 4]
            said += piece
            tell(DeltaEvent(conversation=conversation, text=piece))
            if (cost := self.traffic(slot, place // 4 + 1)) is not None:
                tell(TrafficEvent(conversation=conversation, traffic=cost))
            await asyncio.sleep(self.pause)
            while not self.hold.is_set() and conversation not in self._cancelled:
                await asyncio.sleep(0.005)
            if conversation in self._cancelled:
                finish = rec.Finish.CANCELLED
                break
        self._answering.discard(conversation)
        return said, finish

    async def _chat_cancel(self, request: ask.CancelReply, tell: Tell) -> bool:
        self._cancelled.add(request.conversation)
        return request.conversation in self._answering

    async def _chat_answer(self, request: ask.AnswerTurns, tell: Tell) -> rec.Answered:
        version = self._slot(request.slot).current if request.slot else 0
        said, finish = await self._say(request.conversation, request.slot or "", tell)
        read = sum(len(turn.text) for turn in request.turns) // 4
        return rec.Answered(text=said, finish=finish, tokens=len(said) // 4, prompt_tokens=read, version=version)

    async def _chat_keep(self, request: ask.KeepAnswer, tell: Tell) -> rec.Message:
        row = self.add_conversation(self._slot(request.slot).name, request.turns[0].text[:40])
        for turn in request.turns:
            self.add_message(row.id, turn.role, turn.text)
        return self.add_message(row.id, rec.Role.ASSISTANT, request.reply.text, finish=request.reply.finish)

    async def _chat_note(self, request: ask.NoteWords, tell: Tell) -> rec.Message:
        said = self.add_message(self._conversation(request.conversation).id, rec.Role.USER, request.text)
        self._note(said, rec.SignalKind.RULE, request.text, request.text, tell)
        return said

    async def _chat_edit(self, request: ask.EditReply, tell: Tell) -> rec.Message:
        before = self._message(request.message)
        fields = {"text": request.text, "original": before.original or before.text}
        self.messages[before.id] = before.model_copy(update=fields)
        opening = request.text.removesuffix(before.text).strip()
        rule = f"Begin every reply with “{opening}”." if opening and opening != request.text.strip() else ""
        self._note(before, rec.SignalKind.EDIT, request.text, rule, tell)
        return self.messages[before.id]

    def _message(self, number: int) -> rec.Message:
        if number not in self.messages:
            raise NotFound(f"There is no message {number}.")
        return self.messages[number]

    async def _chat_thumb(self, request: ask.Thumb, tell: Tell) -> rec.Message:
        row = self._message(request.message).model_copy(update={"thumb": request.value})
        self.messages[row.id] = row
        return row

    # -- signals and lessons ------------------------------------------------------------------------------------------

    def _note(self, on: rec.Message, kind: rec.SignalKind, text: str, rule: str, tell: Tell) -> None:
        slot = self.conversations[on.conversation].slot
        steps = [rec.Step(rewriter="opening", args={"text": rule})] if rule else []
        state = rec.LessonState.APPROVED if rule else rec.LessonState.PROPOSED
        lesson = rec.Lesson(id=self._next(), slot=slot, state=state, rule=rule, steps=steps, created=time.time())
        self.lessons[lesson.id] = lesson
        signal = rec.Signal(
            id=self._next(), conversation=on.conversation, message=on.id, kind=kind, text=text, lesson=lesson.id
        )
        self.signals[signal.id] = signal
        tell(SignalEvent(signal=signal, lesson=lesson))

    # -- studies ------------------------------------------------------------------------------------------------------

    async def _study_start(self, request: ask.StartStudy, tell: Tell) -> rec.Study:
        waiting = [
            row
            for row in self.lessons.values()
            if row.slot == request.slot and row.state is rec.LessonState.APPROVED and row.steps
        ]
        if not waiting:
            raise NothingToLearn("No approved lesson waits in this slot; correct a reply first.")
        started, number = time.time(), self._next()
        self._study_cancelled = False
        curve: list[rec.CurvePoint] = []
        for step in range(1, self.steps + 1):
            point = rec.CurvePoint(step=step, loss=3.1 * 0.85**step + 0.1, kl=0.05 * (1 - 0.9**step))
            curve.append(point)
            self._tell(
                StudyEvent(
                    study=number, slot=request.slot, stage="training", fraction=step / self.steps, step=step,
                    steps=self.steps, loss=point.loss, kl=point.kl,
                    seconds_left=(self.steps - step) * max(self.pause, 1.0),
                )
            )  # fmt: skip
            await asyncio.sleep(self.pause)
            if self._study_cancelled:
                break
        study = self._study_result(number, request.slot, waiting, curve, started)
        self.studies[number] = study
        self._tell(StudyEndedEvent(study=study))
        return study

    def _study_result(
        self, number: int, slot: str, waiting: list[rec.Lesson], curve: list[rec.CurvePoint], started: float
    ) -> rec.Study:
        fields: dict[str, Any] = {
            "id": number, "slot": slot, "lessons": [row.id for row in waiting],
            "started": started, "finished": time.time(),
        }  # fmt: skip
        if self._study_cancelled:
            return rec.Study(state=rec.StudyState.CANCELLED, reason="You stopped it.", **fields)
        report = scripted_report(waiting, curve, accepted=self.accept)
        state, version = rec.StudyState.REJECTED, None
        if self.accept:
            learned = {"state": rec.LessonState.LEARNED}
            self.lessons.update({row.id: row.model_copy(update=learned) for row in waiting})
            lessons = fields["lessons"]
            version = self._add_version(slot, kind=rec.VersionKind.STUDY, report=report, lessons=lessons).number
            state = rec.StudyState.ACCEPTED
        return rec.Study(state=state, version=version, report=report, reason=report.reason, **fields)

    async def _lessons_forget(self, request: ask.ForgetLesson, tell: Tell) -> rec.Study:
        lesson = self.lessons[request.lesson]
        dismissed = {"state": rec.LessonState.DISMISSED, "reason": "Forgotten."}
        self.lessons[lesson.id] = lesson.model_copy(update=dismissed)
        gone = rec.LessonOutcome(lesson=lesson.id, rule=lesson.rule, before=1.0, after=0.0)
        report = scripted_report([], []).model_copy(update={"forgotten": [gone]})
        version = self._add_version(lesson.slot, kind=rec.VersionKind.STUDY, report=report)
        study = rec.Study(
            id=self._next(), slot=lesson.slot, state=rec.StudyState.ACCEPTED, lessons=[], started=time.time(),
            finished=time.time(), version=version.number, report=report,
        )  # fmt: skip
        self.studies[study.id] = study
        self._tell(StudyEndedEvent(study=study))
        return study

    async def _study_cancel(self, request: ask.CancelStudy, tell: Tell) -> bool:
        self._study_cancelled = True
        return True

    async def _study_list(self, request: ask.ListStudies, tell: Tell) -> list[rec.Study]:
        rows = [row for row in self.studies.values() if request.slot in (None, row.slot)]
        return sorted(rows, key=lambda row: -row.id)

    async def _night_run(self, request: ask.RunNight, tell: Tell) -> rec.Night:
        begun = time.time()
        waiting = {row.slot for row in self.lessons.values() if row.state is rec.LessonState.APPROVED and row.steps}
        made = [(await self._study_start(ask.StartStudy(slot=slot), tell)).id for slot in sorted(waiting)]
        notes = [] if made else ["No lesson waited in any slot; there was nothing to study."]
        night = rec.Night(id=self._next(), started=begun, finished=time.time(), studies=made, notes=notes)
        self.nights.insert(0, night)
        return night

    async def _night_list(self, request: ask.ListNights, tell: Tell) -> list[rec.Night]:
        return self.nights[: request.limit]
