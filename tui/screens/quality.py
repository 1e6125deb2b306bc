"""How good the generations of a slot were: what their studies measured, and how often they were corrected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual_plotext import PlotextPlot

from ...schemas.errors import NightSchoolError
from ...schemas.messages import GetQuality
from ...schemas.records import GenerationQuality, Slot
from ..keys import bindings_of
from ..safe_text import one_line
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink

STICK, CORRECTED, DRIFT = (143, 168, 255), (236, 132, 132), (240, 198, 116)
"""Colours of the curves; plotext takes numbers, not names of the theme."""


class QualityScreen(ModalScreen[None]):
    """A plot over the generations, and the same in figures."""

    CSS_PATH = "quality.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("quality")]

    def __init__(self, link: EngineLink, slot: Slot) -> None:
        super().__init__()
        self.link = link
        self.slot = slot

    def compose(self) -> ComposeResult:
        """The plot above, the figures below."""
        with Vertical(classes="dialog", id="quality") as box:
            box.border_title = Content(f"Quality of {one_line(self.slot.title, 40)} over time")
            box.border_subtitle = "↑↓ scroll · esc back"
            yield PlotextPlot()
            with VerticalScroll():
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Ask for the figures."""
        self.query_one(VerticalScroll).focus()
        work_on(self, self._fill())

    async def _fill(self) -> None:
        try:
            rows = await self.link.call(GetQuality(slot=self.slot.name))
        except NightSchoolError as error:
            self.query_one(Static).update(Content.styled(one_line(str(error), 600), "$error"))
            return
        self.query_one(Static).update(figures(rows))
        plot = self.query_one(PlotextPlot)
        plot.display = len(rows) > 1
        if plot.display:
            draw(plot, rows)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def draw(plot: PlotextPlot, rows: Sequence[GenerationQuality]) -> None:
    """Draw shares (left axis, percent) and the distance to the base (right axis) over the generations."""
    plt = plot.plt
    plt.clear_figure()

    def curve(value: Callable[[GenerationQuality], float | None], label: str, colour: tuple[int, int, int]) -> None:
        points = [(row.version, found) for row in rows if (found := value(row)) is not None]
        if points:
            side = "right" if colour == DRIFT else "left"
            xs, ys = [x for x, _ in points], [y for _, y in points]
            plt.plot(xs, ys, label=label, marker="braille", color=colour, yside=side)

    curve(lambda row: None if row.stick is None else 100 * row.stick, "lessons followed, %", STICK)
    curve(_per_hundred, "corrected of 100 replies", CORRECTED)
    curve(lambda row: row.kept_kl, "KL to the base (right)", DRIFT)
    plt.xlabel("generation")
    plt.xticks([row.version for row in rows], [str(row.version) for row in rows])
    plot.refresh()


def figures(rows: Sequence[GenerationQuality]) -> Content:
    """Return the figures of each generation, the newest first."""
    heads = ("gen.", "how", "lessons", "followed", "KL", "replies", "corrected", "of 100")
    lines = [Content.styled(_columns(heads), "bold $primary")]
    lines += [Content(_columns(_cells(row))) for row in reversed(rows)]
    note = "Followed and KL were measured by the study; replies and corrections come from your chats."
    return Content("\n").join([*lines, Content(""), Content.styled(note, "$foreground-muted")])


def _cells(row: GenerationQuality) -> tuple[str, ...]:
    stick = "-" if row.stick is None else f"{row.stick:.0%}"
    drift = "-" if row.kept_kl is None else f"{row.kept_kl:.3f}"
    rate = _per_hundred(row)
    counts = (str(row.replies), str(row.corrected), "-" if rate is None else f"{rate:.0f}")
    return (str(row.version), row.kind.value, str(row.lessons), stick, drift, *counts)


def _columns(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:>10}" for cell in cells)


def _per_hundred(row: GenerationQuality) -> float | None:
    return 100 * row.corrected / row.replies if row.replies else None
