"""One message of the transcript: its text, what was learned from it, and an editor in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message as UiMessage
from textual.widgets import Static

from ...schemas.records import Finish, Lesson, LessonState, Message, Role, Signal, SignalKind
from ..commands import message_bindings
from ..safe_text import one_line, safe
from .prose import Prose

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from .reply_editor import ReplyEditor

FLUSHES_PER_SECOND = 10


def lesson_mark(signal: Signal, lesson: Lesson | None) -> Content:
    """Return the line that says what a signal teaches."""
    if lesson is None:
        words = {
            SignalKind.THUMB_UP: "▲ good reply",
            SignalKind.THUMB_DOWN: "▼ bad reply",
            SignalKind.EDIT: "✎ edited",
            SignalKind.REGENERATE: "↻ answered again",
            SignalKind.PRAISE: "▲ welcome",
            SignalKind.ACCEPT: "▲ goes on" if signal.text else "▲ copied",
            SignalKind.ABANDON: "▽ stopped",
            SignalKind.REPHRASE: "▼ asked again",
            SignalKind.CLARIFY: "▽ doubted",
            SignalKind.CORRECT_BARE: "▼ called wrong",
            SignalKind.CORRECTION: "▼ corrected",
            SignalKind.STYLE: "▼ wanted otherwise",
            SignalKind.FACT: f"✎ remembered: {one_line(signal.text, 120)}",
        }
        return Content.styled(words.get(signal.kind, "✎ noted"), "$foreground-muted")
    rule = one_line(lesson.rule, 160)
    if not lesson.steps and lesson.state is not LessonState.LEARNED:
        why = one_line(lesson.reason or "no rule can be read from it yet", 120)
        return Content.styled(f"✎ cannot learn yet: {rule or why}", "$warning")
    words_by_state = {
        LessonState.PROPOSED: ("✎ may learn: ", "$warning"),
        LessonState.APPROVED: ("✎ will learn: ", "$success"),
        LessonState.LEARNED: ("✓ learned: ", "$success"),
        LessonState.REJECTED: ("✗ not learned: ", "$error"),
        LessonState.DISMISSED: ("– dismissed: ", "$foreground-muted"),
    }
    label, style = words_by_state[lesson.state]
    return Content.styled(label + rule, style)


class MessageView(Vertical, can_focus=True):
    """A message; a reply is Markdown, the user's words are plain text."""

    DEFAULT_CSS = """
    MessageView {
        height: auto;
        padding: 0 2 0 1;
        margin: 0 1 1 1;
        border-left: outer $panel-lighten-2;
        &.-user { border-left: outer $accent; background: $boost; }
        &:focus { border-left: outer $primary; background: $primary 12%; }
        &.-target > .note { color: $text-muted; }
        & > .body { height: auto; margin-bottom: 1; }
        &.-user > .body { margin-bottom: 0; }
        & > .note { height: auto; color: $text-disabled; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, show=False) for row in message_bindings()]

    class LinkAsked(UiMessage):
        """A link in a reply was clicked; nothing is opened before the user agrees."""

        def __init__(self, address: str) -> None:
            super().__init__()
            self.address = address

    def __init__(self, message: Message, slot: str, origin: str = "") -> None:
        super().__init__(classes="-user" if message.role is Role.USER else "-reply")
        self.message = message
        self.slot = slot
        self.origin = origin
        """The chat that the conversation was imported from, whose replies have no generation."""
        self.marks: dict[int, tuple[Signal, Lesson | None]] = {}
        self.failure = ""
        self.doing = ""
        """What is going on while the reply streams, in words."""
        self._unseen: list[str] = []
        self._flushes: Timer | None = None

    @property
    def is_reply(self) -> bool:
        """Whether the model said it."""
        return self.message.role is Role.ASSISTANT

    def compose(self) -> ComposeResult:
        """Body and note: three nodes however long the text is."""
        if self.is_reply:
            yield Prose(self.message.text, classes="body")
        else:
            yield Static(safe(self.message.text), classes="body", markup=False)
        yield Static(self._note(), classes="note", markup=False)

    def on_mount(self) -> None:
        """A user's message needs no note before something was noted."""
        self.redraw_note()

    # -- what is said beside the message ------------------------------------------------------------------------------

    def _note(self) -> Content:
        parts: list[Content] = []
        if self.is_reply:
            parts.append(self._facts())
        parts.extend(lesson_mark(signal, lesson) for signal, lesson in self.marks.values() if not signal.undone)
        if self.failure:
            parts.append(Content.styled(one_line(self.failure, 400), "$error"))
        return Content("\n").join(parts)

    def _facts(self) -> Content:
        if self._flushes is not None:
            return Content.styled(one_line(self.doing), "$primary")
        foreign = self.origin and self.message.version is None
        facts = [f"from {self.origin}" if foreign else self.slot]
        if self.message.version is not None:
            facts.append(f"generation {self.message.version}" if self.message.version else "base")
        facts.extend({1: ["▲"], -1: ["▼"]}.get(self.message.thumb, []))
        if self.message.original is not None:
            facts.append("edited by you")
        words = {Finish.CANCELLED: "stopped", Finish.LENGTH: "cut at the length limit", Finish.FAILED: "failed"}
        if self.message.finish in words:
            facts.append(words[self.message.finish])
        return Content(one_line(" · ".join(facts)))

    def redraw_note(self) -> None:
        """Draw the lines under the message again."""
        note = self.query_one(".note", Static)
        content = self._note()
        note.update(content)
        note.display = bool(content.plain)

    def mark(self, signal: Signal, lesson: Lesson | None) -> None:
        """Show (or hide, where it is undone) what a signal teaches."""
        self.marks[signal.id] = (signal, lesson)
        self.redraw_note()

    def fail(self, sentence: str) -> None:
        """Show one sentence of error under the message."""
        self.failure = sentence
        if self.is_mounted:
            self.redraw_note()

    # -- text ---------------------------------------------------------------------------------------------------------

    def replace(self, message: Message) -> None:
        """Show another text for the same place: an edit, its undoing, a final reply."""
        changed = message.text != self.message.text
        self.message = message
        if changed:
            body = self.query_one(".body")
            if isinstance(body, Prose):
                body.update(message.text)
            elif isinstance(body, Static):
                body.update(safe(message.text))
        self.redraw_note()

    def hear(self, text: str) -> None:
        """Take a piece of the streaming reply; it is drawn with the next flush. Safe to call from any task."""
        self._unseen.append(text)

    def say_doing(self, words: str) -> None:
        """Say what is going on."""
        self.doing = words
        if self.is_mounted:
            self.redraw_note()

    def start_stream(self) -> None:
        """Begin to draw what ``hear`` takes, at most ``FLUSHES_PER_SECOND`` times a second."""
        self._flushes = self.set_interval(1 / FLUSHES_PER_SECOND, self._flush)
        self.redraw_note()

    def finish(self, message: Message) -> None:
        """Draw the rest and show the reply as it was stored."""
        if self._flushes is not None:
            self._flushes.stop()
            self._flushes = None
        self._flush()
        self.replace(message)

    def _flush(self) -> None:
        if self._unseen:
            text = "".join(self._unseen)
            self._unseen.clear()
            self.message = self.message.model_copy(update={"text": self.message.text + text})
            self.query_one(Prose).append(text)

    # -- editing ------------------------------------------------------------------------------------------------------

    @property
    def editor(self) -> ReplyEditor | None:
        """The editor that stands in place of the text, while it does."""
        from .reply_editor import ReplyEditor

        found = self.query(ReplyEditor)
        return found.first() if found else None

    async def edit(self) -> None:
        """Put an editor in place of the text."""
        from .reply_editor import ReplyEditor

        if self.editor is None:
            self.query_one(".body").display = False
            editor = ReplyEditor(self.message)
            await self.mount(editor, before=".note")
            editor.focus()

    async def end_edit(self) -> None:
        """Put the text back in place of the editor."""
        if self.editor is not None:
            await self.editor.remove()
        self.query_one(".body").display = True

    def on_prose_link_clicked(self, event: Prose.LinkClicked) -> None:
        """Ask before anything is opened."""
        event.stop()
        self.post_message(self.LinkAsked(event.address))
