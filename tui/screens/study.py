"""The study: what will be learned, how far it is, and the report in the morning."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual_plotext import PlotextPlot

from ...schemas.errors import NightSchoolError
from ...schemas.events import StudyEvent
from ...schemas.messages import CancelStudy, ForgetLesson, ImportAdapter, ListLessons, StartStudy, TeachSlot
from ...schemas.records import Lesson, LessonState, Study
from ..keys import bindings_of
from ..safe_text import one_line, safe
from ..widgets.report import report_text, verdict
from ..widgets.status_line import bar, clock
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool
    from ..session import Session

REDRAWS_PER_SECOND = 2
LOSS, DRIFT = (143, 168, 255), (240, 198, 116)
"""Colours of the two curves; plotext takes numbers, not names of the theme."""


class StudyScreen(ModalScreen[None]):
    """Three faces of one screen: before, during and after. Closing it does not stop the study."""

    CSS_PATH = "study.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("study")]

    def __init__(self, session: Session, begin: ForgetLesson | ImportAdapter | TeachSlot | None = None) -> None:
        """Show what a study would learn; ``begin``: begin this one at once."""
        super().__init__()
        self.session = session
        self.begin_at_once = begin
        self.ended: Study | None = None
        self.starting = False
        self._drawn: StudyEvent | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """Words above, the curve below while it runs."""
        with Vertical(classes="dialog", id="study") as box:
            box.border_title = Content(f"Study of {one_line(self.session.title_of(self.session.slot_name), 40)}")
            with VerticalScroll(id="words"):
                yield Static("", markup=False)
            yield PlotextPlot(id="curve")

    def on_mount(self) -> None:
        """Show what waits, or the study that runs already."""
        self.query_one("#words").focus()
        self.set_interval(1 / REDRAWS_PER_SECOND, self._draw_running)
        if self.begin_at_once is not None:
            self._start(self.begin_at_once)
        elif self.session.study is None:
            work_on(self, self._show_plan())
        else:
            self._draw_running()

    # -- before -------------------------------------------------------------------------------------------------------

    async def _show_plan(self) -> None:
        try:
            lessons = await self.night.link.call(
                ListLessons(slot=self.session.slot_name, states=[LessonState.APPROVED, LessonState.PROPOSED])
            )
        except NightSchoolError as error:
            self._say(Content.styled(one_line(str(error), 600), "$error"), "esc back")
            return
        if self.session.study is None and self.ended is None:
            ready = any(row.state is LessonState.APPROVED and row.steps for row in lessons)
            self._say(plan(lessons), "enter start · esc back" if ready else "esc back")

    def _say(self, content: Content, keys: str, *, curve: bool = False) -> None:
        self.query_one("#words > Static", Static).update(content)
        self.query_one("#study").border_subtitle = keys
        self.query_one("#study").set_class(curve, "-running")
        self.refresh_bindings()

    # -- during -------------------------------------------------------------------------------------------------------

    def _draw_running(self) -> None:
        study = self.session.study
        if study is None or study is self._drawn or self.ended is not None:
            return
        self._drawn = study
        self._say(progress(study, self.size.width), "c cancel · esc back to the chat, the study goes on", curve=True)
        if len(self.session.curve) > 1:
            draw_curve(self.query_one(PlotextPlot), self.session.curve)

    # -- after --------------------------------------------------------------------------------------------------------

    def study_ended(self, study: Study) -> None:
        """Show how it ended."""
        self.ended = study
        self.starting = False
        content = verdict(study)
        if study.report is not None:
            content = Content("\n").join([content, report_text(study.report)])
        self._say(content, "↑↓ scroll · f4 versions · esc back")
        self.query_one("#words").scroll_home(animate=False)

    def study_failed(self, sentence: str) -> None:
        """Show why it did not even begin."""
        self.starting = False
        self._say(Content.styled(one_line(sentence, 600), "$error"), "esc back")

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Start before, cancel during."""
        if action == "start":
            return self.session.study is None and self.ended is None and not self.starting
        if action == "cancel":
            return self.session.study is not None
        return True

    def action_start(self) -> None:
        """Begin."""
        self._start(StartStudy(slot=self.session.slot_name))

    def _start(self, request: StartStudy | ForgetLesson | ImportAdapter | TeachSlot) -> None:
        self.starting = True
        self._say(Content.styled("Preparing the study…", "$accent"), "esc back to the chat, the study goes on")
        self.night.start_study(request)

    def action_cancel(self) -> None:
        """Stop it."""
        work_on(self, self._cancel())

    async def _cancel(self) -> None:
        try:
            await self.night.link.call(CancelStudy())
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)

    def action_versions(self) -> None:
        """Go on to the generations."""
        from .versions import VersionsScreen

        if self.session.slot is not None:
            self.app.switch_screen(VersionsScreen(self.night.link, self.session.slot))

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def plan(lessons: list[Lesson]) -> Content:
    """Return what a study would learn, and what it would leave."""
    ready = [row for row in lessons if row.state is LessonState.APPROVED and row.steps]
    rest = [row for row in lessons if row not in ready]
    if not ready:
        parts = [
            Content.styled("Nothing waits to be learned.", "bold"),
            Content("Correct a reply with ctrl+e, say “Always …”, or approve what was noted with f2."),
        ]
    else:
        parts = [Content.styled("This will be learned:", "bold $primary")]
        parts += [Content.assemble(("  ● ", "$success"), one_line(row.rule, 400)) for row in ready]
        parts += [
            Content(""),
            Content.styled(
                "The slot's own weights are trained on this machine. The new generation answers only if it passes "
                "every gate; the old ones stay, and f4 goes back to them.",
                "$foreground-muted",
            ),
        ]
    if rest:
        parts += [Content(""), Content.styled("Not in this study (approve or re-word with f2):", "$foreground-muted")]
        parts += [
            Content.styled(f"  ○ {one_line(row.rule or row.reason or 'no rule yet', 300)}", "$foreground-muted")
            for row in rest
        ]
    return Content("\n").join(parts)


def progress(study: StudyEvent, width: int) -> Content:
    """Return how far the study is, in words and as a bar."""
    length = max(16, min(60, width - 40))
    facts = [f"step {study.step} of {study.steps}"] if study.steps else []
    facts += [f"loss {study.loss:.3f}"] if study.loss is not None else []
    facts += [f"KL {study.kl:.3f}"] if study.kl is not None else []
    facts += [f"about {clock(study.seconds_left)} left"] if study.seconds_left is not None else []
    return Content.assemble(
        (one_line(study.stage, 60).capitalize(), "bold $accent"), "\n",
        bar(study.fraction, length), (f" {study.fraction:.0%}", "bold"), "\n",
        (" · ".join(facts), "$foreground-muted"),
    )  # fmt: skip


def draw_curve(plot: PlotextPlot, curve: list[StudyEvent]) -> None:
    """Draw loss (left axis) and KL (right axis) over the steps."""
    plt = plot.plt
    plt.clear_figure()
    steps = [point.step for point in curve]
    plt.plot(steps, [point.loss or 0.0 for point in curve], label="loss, nats per token", marker="braille", color=LOSS)
    drift = [(point.step, point.kl) for point in curve if point.kl is not None]
    if drift:
        plt.plot(
            [step for step, _ in drift],
            [kl for _, kl in drift],
            label="KL to the base",
            marker="braille",
            yside="right",
            color=DRIFT,
        )
    plt.xlabel("step")
    plot.refresh()
