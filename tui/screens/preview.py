"""Before a generation answers: the same questions, answered by the one in effect and by the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ...schemas.errors import NightSchoolError
from ...schemas.events import Event, PreviewEvent
from ...schemas.messages import CancelCompare, PreviewVersion, Rollback
from ..keys import bindings_of
from ..previews import questions
from ..safe_text import one_line, safe
from ..session import Undo
from .work import work_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..app import NightSchool

REDRAWS_PER_SECOND = 8


@dataclass
class Asked:
    """A question, and what both have said so far."""

    prompt: str
    said: list[str] = field(default_factory=lambda: ["", ""])
    done: bool = False


class PreviewScreen(ModalScreen[None]):
    """Nothing changes before the user activates the generation; leaving stops the replies."""

    CSS_PATH = "preview.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("preview")]

    def __init__(self, slot: str, number: int, prompts: Sequence[str] = ()) -> None:
        """``prompts``: what is asked; empty: what its bundle shows, or what it was never trained on."""
        super().__init__()
        self.slot, self.number, self.prompts = slot, number, list(prompts)
        self.rows: list[Asked] = []
        self.running = False
        self.before: int | None = None
        """The generation in effect, once both were asked."""
        self.wrong = ""
        self._dirty = True

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """What both say, and what can be done."""
        with Vertical(classes="dialog", id="preview") as box:
            box.border_title = Content(f"{one_line(self.slot, 40)}: before and after generation {self.number}")
            box.border_subtitle = "a activate · o ask another · s stop · esc back"
            with VerticalScroll(id="both"):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Ask both."""
        self.query_one("#both").focus()
        self.set_interval(1 / REDRAWS_PER_SECOND, self._draw)
        work_on(self, self._ask(self.prompts))

    async def _ask(self, prompts: list[str]) -> None:
        self.running, self.wrong, first = True, "", len(self.rows)

        def told(event: Event) -> None:
            if isinstance(event, PreviewEvent):
                while len(self.rows) <= first + event.row:
                    self.rows.append(Asked(event.prompt))
                self.rows[first + event.row].said[event.place] += event.text
                self._dirty = True

        self._dirty = True
        try:
            asked = prompts or await questions(self.night.link.call, self.night.home, self.slot, self.number)
            request = PreviewVersion(slot=self.slot, number=self.number, prompts=asked)
            found = await self.night.link.call(request, told)
            self.before = found.one
            self.rows[first:] = [Asked(row.prompt, [row.one, row.other], done=True) for row in found.samples]
        except NightSchoolError as error:
            self.wrong = str(error)
        finally:
            self.running, self._dirty = False, True
        self._draw()

    def _draw(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        parts: list[Content] = []
        for row in self.rows:
            parts += [_row(row), Content("")]
        if self.running:
            parts.append(Content.styled("Both are answering …", "$accent"))
        elif self.wrong:
            parts.append(Content.styled(one_line(self.wrong, 600), "$error"))
        else:
            same = sum(row.said[0] == row.said[1] for row in self.rows)
            parts.append(
                Content.styled(
                    f"{same} of {len(self.rows)} replies are the same. Generation {self.number} does not answer before "
                    "you press a; f4 goes back from it at any time.",
                    "$foreground-muted",
                )
            )
        self.query_one("#both > Static", Static).update(Content("\n").join(parts))
        self.refresh_bindings()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask one thing at a time; activate what was looked at."""
        return {"activate": not self.running, "ask": not self.running, "stop": self.running}.get(action, True)

    def action_activate(self) -> None:
        """Let the generation answer from now on."""
        work_on(self, self._activate())

    async def _activate(self) -> None:
        night, chat = self.night, self.night.chat
        try:
            fresh = await night.link.call(Rollback(slot=self.slot, to=self.number))
        except NightSchoolError as error:
            self.wrong, self._dirty = str(error), True
            return
        back = partial(_undo, night, Rollback(slot=self.slot, to=self.before))
        night.session.undos.append(Undo(f"activating generation {self.number}", back))
        chat.tell(f"Generation {fresh.number} of {self.slot} answers now; ctrl+u takes that back.")
        chat.after_learning(None)
        self.dismiss(None)

    def action_ask(self) -> None:
        """Ask both something else."""
        from .ask import AskScreen

        def entered(text: str | None) -> None:
            if text and text.strip():
                work_on(self, self._ask([text.strip()]))

        self.app.push_screen(AskScreen("Ask both", ""), entered)

    def action_stop(self) -> None:
        """Stop both."""
        work_on(self, self._stop())

    async def _stop(self) -> None:
        try:
            await self.night.link.call(CancelCompare())
        except NightSchoolError as error:
            self.night.chat.tell(str(error), "error")

    def action_back(self) -> None:
        """Leave everything as it is."""
        if self.running:
            self.night.run_worker(self._stop(), group="cancel")
        self.dismiss(None)


async def _undo(night: NightSchool, request: Rollback) -> None:
    await night.link.call(request)
    await night.chat.refresh_slots()


def _row(row: Asked) -> Content:
    """Return a question with both replies, each line of which is set in."""
    parts = [Content.styled(one_line(row.prompt, 300), "bold")]
    for name, style, text in (("now ", "$foreground-muted", row.said[0]), ("then", "$primary", row.said[1])):
        for place, line in enumerate(safe(text).splitlines() or ["…" if not row.done else "(nothing)"]):
            parts.append(Content.assemble((f"  {name if not place else '    '} ", style), line))
    return Content("\n").join(parts)
