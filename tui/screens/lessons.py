"""What was noted in a slot: read it, approve it, say it in other words, or dismiss it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import ListLessons, UpdateLesson
from ...schemas.records import Evidence, Lesson, LessonState, Provenance, Scope
from ..keys import bindings_of
from ..safe_text import one_line, safe

if TYPE_CHECKING:
    from ..engine_link import EngineLink
    from ..session import Session

WAITING = [LessonState.PROPOSED, LessonState.APPROVED]
LOOK = {
    LessonState.PROPOSED: ("○ proposed ", "$warning"),
    LessonState.APPROVED: ("● approved ", "$success"),
    LessonState.LEARNED: ("✓ learned  ", "$primary"),
    LessonState.REJECTED: ("✗ rejected ", "$error"),
    LessonState.DISMISSED: ("– dismissed", "$foreground-muted"),
}


class LessonsScreen(ModalScreen[None]):
    """The lessons of the selected slot, the latest first."""

    CSS_PATH = "lessons.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("lessons")]

    def __init__(self, link: EngineLink, session: Session) -> None:
        super().__init__()
        self.link = link
        self.session = session
        self.lessons: list[Lesson] = []
        self.all = True

    def compose(self) -> ComposeResult:
        """The list above, the highlighted lesson in full below."""
        with Vertical(classes="dialog", id="lessons") as box:
            box.border_title = Content(f"Lessons of {one_line(self.session.title_of(self.session.slot_name), 40)}")
            box.border_subtitle = "a approve · d dismiss · e re-word · x forget · f filter · f5 study · esc back"
            yield OptionList(markup=False)
            with VerticalScroll(id="lesson", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        self.run_worker(self._refresh())

    async def _refresh(self) -> None:
        """Ask again and keep the highlight."""
        states = [] if self.all else WAITING
        try:
            self.lessons = await self.link.call(ListLessons(slot=self.session.slot_name, states=states))
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        rows = self.query_one(OptionList)
        place = rows.highlighted or 0
        rows.clear_options()
        rows.add_options([Option(self._row(lesson)) for lesson in self.lessons])
        rows.highlighted = min(place, len(self.lessons) - 1) if self.lessons else None
        self._show()

    @staticmethod
    def _row(lesson: Lesson) -> Content:
        label, style = LOOK[lesson.state]
        return Content.assemble((f"{label}  ", style), one_line(lesson.rule or "(no rule could be read)", 200))

    @property
    def lesson(self) -> Lesson | None:
        """The highlighted lesson."""
        place = self.query_one(OptionList).highlighted
        return self.lessons[place] if place is not None and place < len(self.lessons) else None

    def on_option_list_option_highlighted(self) -> None:
        """Show the highlighted lesson in full."""
        self._show()

    def _show(self) -> None:
        lesson = self.lesson
        empty = "Nothing was noted here yet. Correct a reply with ctrl+e, or say “Always …”."
        self.query_one("#lesson > Static", Static).update(in_full(lesson) if lesson else Content(empty))

    def _change(self, state: LessonState | None = None, rule: str | None = None) -> None:
        if self.lesson is not None:
            self.run_worker(self._update(UpdateLesson(lesson=self.lesson.id, state=state, rule=rule)))

    async def _update(self, request: UpdateLesson) -> None:
        try:
            await self.link.call(request)
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        await self._refresh()

    def action_approve(self) -> None:
        """Learn it with the next study."""
        self._change(LessonState.APPROVED)

    def action_set_aside(self) -> None:
        """Do not learn it."""
        self._change(LessonState.DISMISSED)

    def action_reword(self) -> None:
        """Say the rule in other words."""
        from .ask import AskScreen

        lesson = self.lesson

        def entered(rule: str | None) -> None:
            if rule and rule.strip() and lesson is not None and rule.strip() != lesson.rule:
                self._change(rule=rule.strip())

        if lesson is not None:
            self.app.push_screen(AskScreen("The rule in your words", lesson.rule), entered)

    def action_forget(self) -> None:
        """Train the slot anew without it."""
        from .ask import ConfirmScreen
        from .study import StudyScreen

        lesson = self.lesson
        if lesson is None:
            return
        if lesson.state is not LessonState.LEARNED:
            self.app.notify("Only what is learned can be forgotten; dismiss it with d.", markup=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.switch_screen(StudyScreen(self.session, forget=lesson))

        subject = (
            f"{lesson.rule}\n\nThe slot is trained anew on the rest of its lessons, which takes as long as a study, "
            "and the new generation counts only if this one shows no more. The older generations keep it."
        )
        self.app.push_screen(ConfirmScreen("Forget this lesson?", subject, "Forget"), answered)

    def action_filter(self) -> None:
        """Show all, or only those that wait."""
        self.all = not self.all
        self.run_worker(self._refresh())

    def action_study(self) -> None:
        """Go on to the study."""
        from .study import StudyScreen

        self.app.switch_screen(StudyScreen(self.session))

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


_ORIGIN = {
    Provenance.SAID: "you said it",
    Provenance.EDITED: "from your edit",
    Provenance.INFERRED: "inferred from what you said",
}
_REACH = {
    Scope.REPLY: "about one reply, as far as it says",
    Scope.CONVERSATION: "for one conversation, as far as it says",
    Scope.SLOT: "for all conversations of the slot",
}


def in_full(lesson: Lesson) -> Content:
    """Return all that is known of a lesson."""
    parts = [Content.styled(one_line(lesson.rule or "(no rule could be read)", 600), "bold")]
    if lesson.when:
        parts.append(Content(f"when: {one_line(lesson.when, 300)}"))
    if lesson.steps:
        parts.append(Content.styled(f"done by: {', '.join(one_line(s.rewriter, 40) for s in lesson.steps)}", "$accent"))
    else:
        parts.append(Content.styled("It cannot be learned in this form; say it in other words with e.", "$warning"))
    parts.append(Content.styled(f"{_ORIGIN[lesson.provenance]} · {_REACH[lesson.scope]}", "$foreground-muted"))
    if lesson.reason:
        parts.append(Content.styled(one_line(lesson.reason, 600), "$warning"))
    if lesson.version is not None:
        parts.append(Content.styled(f"known since generation {lesson.version}", "$primary"))
    for evidence in lesson.evidence:
        parts += [Content(""), _evidence(evidence)]
    return Content("\n").join(parts)


def _evidence(evidence: Evidence) -> Content:
    rows = (
        ("you asked  ", evidence.prompt),
        ("it said    ", evidence.before),
        ("you made   ", evidence.after),
        ("you said   ", evidence.said),
    )
    lines = [
        Content.assemble((label, "$foreground-muted"), one_line(text, 400)) for label, text in rows if text.strip()
    ]
    return Content("\n").join(lines)
