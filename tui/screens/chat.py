"""The chat: slots and conversations at the left, the conversation, the prompt and the state of the engine.

It owns the session and the exchanges under way; what its commands do stands in ``tui/actions``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from ...schemas.errors import EngineError, NightSchoolError
from ...schemas.events import Event, NoticeEvent, SignalEvent, StudyEndedEvent, TrafficEvent
from ...schemas.messages import (
    ListConversations,
    ListLessons,
    ListMessages,
    ListModels,
    ListSignals,
    ListSlots,
    UndoSignal,
)
from ...schemas.records import Conversation, Lesson, Message, SearchHit, Signal, Slot, Study, StudyState
from ..actions import conversations, replies
from ..actions.plugins import learn_commands
from ..commands import command, command_bindings
from ..model_words import suggestion
from ..safe_text import one_line, safe
from ..session import Session, Undo
from ..widgets.message import MessageView
from ..widgets.prompt import Prompt
from ..widgets.reply_editor import ReplyEditor
from ..widgets.sidebar import Conversations, Sidebar
from ..widgets.status_line import StatusLine
from ..widgets.transcript import PAGE, Earlier, Transcript

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ..app import NightSchool
    from ..engine_link import EngineLink
    from ..talk import Talk


class ChatScreen(Screen[None]):
    """The first screen, and the one all others return to."""

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (90, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys, action, label, show=footer, priority=True) for keys, action, label, footer in command_bindings()
    ]

    def __init__(self, link: EngineLink, session: Session) -> None:
        super().__init__()
        self.link = link
        self.session = session
        self.talks: dict[int, Talk] = {}
        """Exchanges under way by conversation; 0: its conversation does not exist yet."""
        self._woken = asyncio.Event()
        self._gave_up = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Everything is there with the first frame; it fills as the engine wakes."""
        yield Sidebar()
        with Vertical(id="main"):
            yield Static("", id="banner", markup=False)
            yield Transcript()
            yield Prompt()
            yield StatusLine()
            yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        """Write at once; the engine is started by the app after the first frame."""
        self.prompt.focus()
        await self.show_welcome()
        self.set_interval(0.2, self._draw_status)
        self._draw_status()

    # -- parts --------------------------------------------------------------------------------------------------------

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    @property
    def transcript(self) -> Transcript:
        """The conversation on the screen."""
        return self.query_one(Transcript)

    @property
    def prompt(self) -> Prompt:
        """Where the user writes."""
        return self.query_one(Prompt)

    @property
    def talk(self) -> Talk | None:
        """The exchange under way in the open conversation."""
        return self.talks.get(self.session.conversation.id if self.session.conversation else 0)

    @property
    def editing(self) -> bool:
        """A reply is open for rewriting and has the focus."""
        return isinstance(self.focused, ReplyEditor)

    def selected(self) -> MessageView | None:
        """The message that has the focus."""
        return self.focused if isinstance(self.focused, MessageView) else None

    def target(self) -> MessageView | None:
        """The reply that commands mean: the selected one, else the last stored one."""
        selected = self.selected()
        if selected is not None:
            return selected if selected.is_reply and selected.message.id else None
        return next((view for view in reversed(self.transcript.replies) if view.message.id), None)

    # -- commands -----------------------------------------------------------------------------------------------------

    def action_command(self, name: str) -> None:
        """Do what a command of the registry does."""
        work = command(name).run(self)
        if work is not None:
            self.begin(work)

    def begin(self, work: Awaitable[None]) -> None:
        """Work on something in a task of its own: no key ever waits for the engine."""
        self.run_worker(work, group="work", exit_on_error=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A command that is not available neither shows in the footer nor takes its key."""
        if action == "command" and self.is_mounted and self.query(Prompt):
            return command(str(parameters[0])).when(self)
        return True

    def changed(self) -> None:
        """What is available has changed: draw the footer and the status again."""
        self.refresh_bindings()
        self._draw_status()

    def tell(self, text: str, severity: Literal["info", "warning", "error"] = "info") -> None:
        """Show one sentence for a while."""
        level: Literal["information", "warning", "error"] = "information" if severity == "info" else severity
        self.app.notify(safe(text)[:600], severity=level, markup=False, timeout=8 if severity == "error" else 4)

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """Show an error of the engine as the one sentence it is, and go on."""
        try:
            yield
        except NightSchoolError as error:
            self.tell(str(error), "error")

    def _draw_status(self) -> None:
        for line in self.query(StatusLine):  # none: the app is being closed
            line.show(self.session)

    # -- the engine ---------------------------------------------------------------------------------------------------

    async def until_ready(self) -> None:
        """Wait until the engine can answer.

        Raises:
            EngineError: If it cannot wake, or the user does not want to wait.
        """
        while not self.session.ready:
            if self.session.engine.state == "failed" and not self.session.lost:
                raise EngineError(self.session.engine.error or "The engine could not wake; see `nightschool doctor`.")
            self._woken.clear()
            self._gave_up.clear()
            waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._gave_up.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if self._gave_up.is_set():
                raise EngineError("Stopped waiting for the engine; your words are in the prompt again.")

    def stop_waiting(self) -> None:
        """Give up waiting for the engine."""
        self._gave_up.set()

    def engine_changed(self) -> None:
        """The engine told another state, was lost or came back."""
        banner = self.query_one("#banner", Static)
        banner.update(
            Content(f"The engine stopped; restarting…  {one_line(self.session.lost)}") if self.session.lost else ""
        )
        banner.set_class(bool(self.session.lost), "-shown")
        self._woken.set()
        self.changed()

    async def engine_woke(self) -> None:
        """Fill the lists; called as soon as the engine answers, again when it is ready or was restarted."""
        with self.errors_told():
            await self.refresh_slots()
            await self.refresh_library()
            await learn_commands(self)
            if not self.transcript.views and self.session.conversation is None:
                await self.show_welcome()
            if self.session.ready:
                await self._refresh_offer()

    async def _refresh_offer(self) -> None:
        """Ask what a bigger model would give on this machine, and let the greeting say it."""
        offer = suggestion(await self.link.call(ListModels()))
        if offer != self.session.offer and self.query(StatusLine):  # none: the app was closed meanwhile
            self.session.offer = offer
            if not self.transcript.views and self.session.conversation is None:
                await self.show_welcome()

    def told(self, event: Event) -> None:
        """Take an event from any task."""
        self.app.call_later(self.hear, event)

    def hear(self, event: Event) -> None:
        """Show what the engine told."""
        if isinstance(event, SignalEvent):
            self._noted(event.signal, event.lesson)
        elif isinstance(event, TrafficEvent):
            self.session.traffic = event
        elif isinstance(event, NoticeEvent):
            self.tell(event.text, event.level)
        elif isinstance(event, StudyEndedEvent):
            study = event.study
            if not any(getattr(screen, "ended", None) == study for screen in self.app.screen_stack):
                self._tell_end(study)
            self.begin(self.refresh_learning())
        self.changed()

    def _tell_end(self, study: Study) -> None:
        """Say in one sentence how a study ended."""
        title = one_line(self.session.title_of(study.slot), 40)
        if study.state is StudyState.ACCEPTED:
            self.tell(f"{title} has learned: generation {study.version} answers now.")
        elif study.state in (StudyState.REJECTED, StudyState.FAILED):
            self.tell(f"{title} stays as it was: {one_line(study.reason, 300)}", "warning")

    def _noted(self, signal: Signal, lesson: Lesson | None) -> None:
        """Show a mark beside its message; a new one can be undone."""
        view = self.transcript.view_of(signal.message)
        if view is not None:
            view.mark(signal, lesson)
        if not signal.undone:
            what = f"“{one_line(lesson.rule, 60)}”" if lesson and lesson.rule else signal.kind.value.replace("_", " ")
            self.session.undos.append(Undo(what, partial(self._undo_signal, signal)))

    async def _undo_signal(self, signal: Signal) -> None:
        undone = await self.link.call(UndoSignal(signal=signal.id), self.told)
        view = self.transcript.view_of(signal.message)
        if view is not None:
            view.mark(undone.model_copy(update={"undone": True}), None)
            if self.session.conversation is not None:
                for message in await self.link.call(ListMessages(conversation=signal.conversation, limit=PAGE)):
                    if message.id == signal.message:
                        view.replace(message)
        await self.refresh_slots()

    # -- lists --------------------------------------------------------------------------------------------------------

    async def refresh_slots(self) -> None:
        """Ask for the slots again; an archived one is among them only while it is open."""
        self._keep_in_sight(await self.link.call(ListSlots(archived=True)))
        if self.session.slot is None and self.session.slots:
            self.session.slot_name = self.session.slots[0].name
        self.draw_library()
        self.changed()

    def _keep_in_sight(self, rows: list[Slot]) -> None:
        self.session.slots = [row for row in rows if row.archived is None or row.name == self.session.slot_name]

    async def refresh_library(self) -> None:
        """Ask for the conversations of the slot again."""
        with self.errors_told():
            if self.session.slot_name:
                self.session.conversations = await self.link.call(ListConversations(slot=self.session.slot_name))
                self.draw_library()

    def draw_library(self) -> None:
        """Draw both lists."""
        if not self.query("#slots"):  # the app is being closed
            return
        sidebar = self.query_one(Sidebar)
        sidebar.show_slots(self.session.slots, self.session.slot_name)
        open_one = self.session.conversation
        sidebar.show_conversations(self.session.conversations, open_one.id if open_one else None)
        slot = self.session.slot
        self.prompt.border_title = Content(f"to {one_line(slot.title, 40)}" if slot else "")

    def toggle_sidebar(self) -> None:
        """Show or hide the left side; in a narrow terminal it is hidden until asked for."""
        sidebar = self.query_one(Sidebar)
        shown = sidebar.styles.display != "none" and sidebar.display
        sidebar.set_class(shown, "-hidden")
        sidebar.set_class(not shown, "-forced")

    # -- conversations ------------------------------------------------------------------------------------------------

    async def show_welcome(self) -> None:
        """Greet, where there is nothing to read yet."""
        from .welcome import welcome

        await self.transcript.welcome(welcome(self.session))
        self.changed()

    async def choose_slot(self, name: str) -> None:
        """Go to a slot and begin a new conversation there."""
        self.session.slot_name = name
        self.session.conversation = None
        self._keep_in_sight(self.session.slots)
        await self.refresh_library()
        self.draw_library()
        await self.show_welcome()
        self.prompt.focus()

    async def open_conversation(self, conversation: Conversation, message: int | None = None) -> None:
        """Show a conversation from its end (or so that one message is in sight)."""
        with self.errors_told():
            messages = await self.link.call(ListMessages(conversation=conversation.id, limit=PAGE + 1))
            earlier = len(messages) > PAGE
            while message is not None and earlier and messages[0].id > message:
                page = await self._before(conversation.id, messages[0].id)
                earlier = len(page) == PAGE
                messages = page + messages
            self.session.conversation = conversation
            self.session.slot_name = conversation.slot
            title = self.session.title_of(conversation.slot)
            shown = messages[-PAGE:] if message is None else messages
            await self.transcript.show(shown, title, earlier=earlier, origin=conversation.origin)
            await self._show_marks()
            if self.talk is not None:
                await replies.attach(self, self.talk)
            self.draw_library()
            self.changed()
            view = self.transcript.view_of(message) if message is not None else None
            (view or self.prompt).focus()

    async def _before(self, conversation: int, message: int) -> list[Message]:
        return await self.link.call(ListMessages(conversation=conversation, before=message, limit=PAGE))

    async def _show_marks(self) -> None:
        """Show beside each message what it teaches."""
        conversation = self.session.conversation
        if conversation is None:
            return
        signals = await self.link.call(ListSignals(conversation=conversation.id))
        lessons = {lesson.id: lesson for lesson in await self.link.call(ListLessons(slot=conversation.slot))}
        for signal in signals:
            view = self.transcript.view_of(signal.message)
            if view is not None:
                view.mark(signal, lessons.get(signal.lesson) if signal.lesson is not None else None)

    def after_search(self, hit: SearchHit | None) -> None:
        """Open what the search found."""
        if hit is not None:
            self.begin(self._open_hit(hit))

    async def _open_hit(self, hit: SearchHit) -> None:
        with self.errors_told():
            rows = await self.link.call(ListConversations(slot=hit.slot, limit=10_000))
            row = next((row for row in rows if row.id == hit.conversation), None)
            if row is not None:
                self.session.slot_name = hit.slot
                self.session.conversations = rows[:100]
                await self.refresh_slots()
                await self.open_conversation(row, hit.message)

    async def refresh_learning(self) -> None:
        """Lessons or generations may have changed: ask for slots and marks again."""
        with self.errors_told():
            await self.refresh_slots()
            await self._show_marks()

    def after_learning(self, _: None) -> None:
        """A screen where lessons or generations can change was closed."""
        self.begin(self.refresh_learning())

    # -- what the parts post ------------------------------------------------------------------------------------------

    @on(Prompt.Sent)
    def _sent(self, event: Prompt.Sent) -> None:
        replies.send(self, event.text)

    @on(ReplyEditor.Saved)
    def _edit_saved(self, event: ReplyEditor.Saved) -> None:
        self.begin(self._save_edit(event.message, event.text))

    async def _save_edit(self, message: Message, text: str) -> None:
        if await replies.save_edit(self, message, text):
            await self._end_edit(message.id)

    @on(ReplyEditor.Left)
    def _edit_left(self, event: ReplyEditor.Left) -> None:
        self.begin(self._end_edit(event.message.id))

    async def _end_edit(self, message: int) -> None:
        view = self.transcript.view_of(message)
        if view is not None:
            await view.end_edit()
        self.prompt.focus()
        self.changed()

    @on(Sidebar.SlotChosen)
    def _slot_chosen(self, event: Sidebar.SlotChosen) -> None:
        self.begin(self.choose_slot(event.name))

    @on(Sidebar.ConversationChosen)
    def _conversation_chosen(self, event: Sidebar.ConversationChosen) -> None:
        row = next((row for row in self.session.conversations if row.id == event.conversation), None)
        self.begin(conversations.new(self) if row is None else self.open_conversation(row))

    @on(Conversations.Asked)
    def _conversation_asked(self, event: Conversations.Asked) -> None:
        row = next((row for row in self.session.conversations if row.id == event.conversation), None)
        if row is not None and event.what == "rename":
            conversations.rename(self, row)
        elif row is not None:
            self.begin(conversations.delete(self, row))

    @on(Earlier.Asked)
    def _earlier(self) -> None:
        self.begin(self._load_earlier())

    async def _load_earlier(self) -> None:
        conversation = self.session.conversation
        views = self.transcript.views
        if conversation is None or not views:
            return
        with self.errors_told():
            messages = await self._before(conversation.id, views[0].message.id)
            title = self.session.title_of(conversation.slot)
            more = len(messages) == PAGE
            await self.transcript.add_earlier(messages, title, views[0], earlier=more, origin=conversation.origin)
            await self._show_marks()

    @on(MessageView.LinkAsked)
    def _link_asked(self, event: MessageView.LinkAsked) -> None:
        from .ask import ConfirmScreen

        def opened(agreed: bool | None) -> None:
            if agreed:
                self.app.open_url(event.address)

        self.app.push_screen(ConfirmScreen("Open this address in your browser?", event.address, "Open"), opened)

    def on_descendant_focus(self) -> None:
        """What is available depends on what is selected."""
        self.changed()

    def on_text_area_changed(self) -> None:
        """What undo means depends on whether something is written."""
        if self.session.undos and len(self.prompt.text) <= 1:
            self.changed()
