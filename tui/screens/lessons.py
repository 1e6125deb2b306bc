"""What was noted in a slot: read it, approve it, say it in other words, or dismiss it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import ExpireLesson, ForgetLesson, ListLessons, ListRelations, MergeLessons, UpdateLesson
from ...schemas.records import Evidence, Lesson, LessonRelation, LessonState, Provenance, RelationKind, Scope
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

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

    def __init__(self, link: EngineLink, session: Session, found: Collection[int] = ()) -> None:
        """Show the lessons of the selected slot, or only those ``found`` in an import, of whatever slot."""
        super().__init__()
        self.link = link
        self.session = session
        self.found = frozenset(found)
        self.lessons: list[Lesson] = []
        self.relations: list[LessonRelation] = []
        self.all = True

    def compose(self) -> ComposeResult:
        """The list above, the highlighted lesson in full below."""
        with Vertical(classes="dialog", id="lessons") as box:
            slot = one_line(self.session.title_of(self.session.slot_name), 40)
            box.border_title = Content("What the import teaches" if self.found else f"Lessons of {slot}")
            box.border_subtitle = (
                "a approve · d dismiss · e re-word · m merge · t until · x forget · f filter · f5 study · esc back"
            )
            yield OptionList(markup=False)
            with VerticalScroll(id="lesson", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        work_on(self, self._refresh())

    async def _refresh(self) -> None:
        """Ask again and keep the highlight."""
        states = [] if self.all else WAITING
        slot = None if self.found else self.session.slot_name
        try:
            lessons = await self.link.call(ListLessons(slot=slot, states=states))
            self.lessons = [lesson for lesson in lessons if not self.found or lesson.id in self.found]
            self.relations = await self.link.call(ListRelations(slot=slot))
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        rows = self.query_one(OptionList)
        place = rows.highlighted or 0
        rows.clear_options()
        rows.add_options([Option(self._row(lesson, slot is None)) for lesson in self.lessons])
        rows.highlighted = min(place, len(self.lessons) - 1) if self.lessons else None
        self._show()

    @staticmethod
    def _row(lesson: Lesson, with_slot: bool) -> Content:
        label, style = LOOK[lesson.state]
        where = (f"{one_line(lesson.slot, 20)}: " if with_slot else "", "$foreground-muted")
        return Content.assemble((f"{label}  ", style), where, one_line(lesson.rule or "(no rule could be read)", 200))

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
        shown = in_full(lesson, beside(lesson, self.relations)) if lesson else Content(empty)
        self.query_one("#lesson > Static", Static).update(shown)

    def _change(self, state: LessonState | None = None, rule: str | None = None) -> None:
        if self.lesson is not None:
            work_on(self, self._update(UpdateLesson(lesson=self.lesson.id, state=state, rule=rule)))

    async def _update(self, request: UpdateLesson | MergeLessons | ExpireLesson) -> None:
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

    def action_merge(self) -> None:
        """Let it count for the others that say the same."""
        from .ask import ConfirmScreen

        lesson = self.lesson
        if lesson is None:
            return
        pairs = [{row.earlier, row.later} for row in self.relations if row.kind is RelationKind.SAME]
        others = sorted({other for pair in pairs if lesson.id in pair for other in pair} - {lesson.id})
        if not others:
            self.app.notify("No other lesson says the same.", markup=False)
            return
        rules = [row.rule for row in self.lessons if row.id in others]

        def answered(yes: bool | None) -> None:
            if yes:
                work_on(self, self._update(MergeLessons(lessons=[lesson.id, *others])))

        subject = "\n".join([lesson.rule, *rules]) + "\n\nThe others are dismissed; approving one parts it again."
        self.app.push_screen(ConfirmScreen("Merge these lessons?", subject, "Merge"), answered)

    def action_end(self) -> None:
        """Say when it ends to count."""
        from .ask import AskScreen

        lesson = self.lesson

        def entered(end: str | None) -> None:
            if end and end.strip() and lesson is not None:
                work_on(self, self._update(ExpireLesson(lesson=lesson.id, end=end.strip())))

        if lesson is not None:
            self.app.push_screen(AskScreen("Until when? (30d, 2026-12-24, Friday, never)", "30d"), entered)

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
                self.app.switch_screen(StudyScreen(self.session, ForgetLesson(lesson=lesson.id)))

        subject = (
            f"{lesson.rule}\n\nThe slot is trained anew on the rest of its lessons, which takes as long as a study, "
            "and the new generation counts only if this one shows no more. The older generations keep it."
        )
        self.app.push_screen(ConfirmScreen("Forget this lesson?", subject, "Forget"), answered)

    def action_filter(self) -> None:
        """Show all, or only those that wait."""
        self.all = not self.all
        work_on(self, self._refresh())

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


def beside(lesson: Lesson, relations: Sequence[LessonRelation]) -> list[Content]:
    """Return the lessons that say the same as one, and those that contradict it, the later one named as the winner."""
    lines = []
    for row in relations:
        if lesson.id not in (row.earlier, row.later):
            continue
        earlier = row.earlier == lesson.id
        number, says = (row.later, row.later_says) if earlier else (row.earlier, row.earlier_says)
        if row.kind is RelationKind.SAME:
            lines.append(Content.styled(f"= lesson {number} says the same; m merges them", "$accent"))
        else:
            words = (
                f"≠ lesson {number}: {one_line(says, 200)} {'It is later and wins.' if earlier else 'This one wins.'}"
            )
            lines.append(Content.styled(words, "$warning"))
    return lines


def in_full(lesson: Lesson, related: Sequence[Content] = ()) -> Content:
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
    if lesson.expires is not None:
        parts.append(Content.styled(f"until {datetime.fromtimestamp(lesson.expires - 1):%Y-%m-%d}", "$accent"))
    parts += related
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
