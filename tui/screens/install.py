"""Taking a slot from a registry: which version, which slot keeps it, how far it is, and why it was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from ...schemas.errors import NightSchoolError, RegistryStale
from ..actions.market import kept_sentence, start_taking
from ..keys import bindings_of
from ..market_words import refusal
from ..safe_text import one_line
from ..taking import STALE
from ..widgets.report import report_text
from ..widgets.status_line import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..app import NightSchool
    from ..market import Found
    from ..session import Session, Taking

REDRAWS_PER_SECOND = 8
ABOUT = (
    "It is checked before anything is kept, then tried at the gates of a study. What comes of it is a generation that "
    "does not answer before you activate it."
)


class InstallScreen(ModalScreen[None]):
    """Closing it does not stop what is under way."""

    CSS_PATH = "install.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("install")]

    def __init__(self, session: Session, found: Found, into: str = "", prompts: Sequence[str] = ()) -> None:
        """``into``: the slot that keeps it, where it is here already; ``prompts``: sample questions of its card."""
        super().__init__()
        self.session, self.found, self.into = session, found, into
        self.prompts = list(prompts)
        self.ended: Taking | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """What is taken and where to, then how far it is."""
        slot = self.found.slot
        versions = [(Content(one_line(row.version, 40)), row.version) for row in slot.versions]
        with Vertical(classes="dialog", id="install") as box:
            box.border_title = Content(f"Install {one_line(slot.title, 40)} of {one_line(slot.publisher, 40)}")
            box.border_subtitle = "ctrl+s install · ctrl+x stop · esc back"
            yield Static(ABOUT, id="about", markup=False)
            yield Static("Version", markup=False)
            yield Select(versions, value=slot.latest.version, allow_blank=False, compact=True)
            yield Static("The slot that keeps it (made where it is not there)", markup=False)
            yield Input(one_line(self.into or slot.name, 40), compact=True)
            with VerticalScroll(id="how", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Be ready to begin."""
        self.query_one(Input).focus()
        self.set_interval(1 / REDRAWS_PER_SECOND, self._draw)

    def _draw(self) -> None:
        taking = self.session.taking
        if taking is not None:
            self._say(progress(taking, self.session))

    def _say(self, content: Content) -> None:
        self.query_one("#how > Static", Static).update(content)
        self.refresh_bindings()

    def taking_ended(self, taking: Taking) -> bool:
        """Show how it ended; where it was kept and tried, go on to the replies before and after."""
        from .preview import PreviewScreen

        self.ended, kept = taking, taking.kept
        notes = [Content.styled(one_line(note, 600), "$foreground-muted") for note in taking.notes]
        if taking.error is not None:
            self._say(Content("\n").join([*notes, refusal(taking.error)]))
        elif kept is None:
            self._say(Content.styled("Stopped; nothing was kept.", "$warning"))
        elif kept.version is not None and kept.study is not None and self.is_current and not taking.stopped:
            self.app.switch_screen(PreviewScreen(kept.slot, kept.version.number, self.prompts))
            self.night.chat.tell(kept_sentence(kept))
        else:
            style = "$error" if kept.version is None else "$success"
            parts = [*notes, Content.styled(kept_sentence(kept), style)]
            parts += [Content.styled(one_line(kept.note, 600), "$warning")] if kept.note else []
            if kept.study is not None and kept.study.report is not None:
                parts.append(report_text(kept.study.report))
            self._say(Content("\n").join(parts))
        return True

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One thing is taken at a time."""
        if action == "take":
            return self.session.taking is None
        if action == "cancel":
            return self.session.taking is not None
        return True

    def on_input_submitted(self) -> None:
        """Enter begins."""
        self.action_take()

    def action_take(self) -> None:
        """Begin; what an old registry says is taken only after a question."""
        if self.session.taking is not None:
            return
        try:
            self.found.client.check_fresh()
        except RegistryStale as error:
            self._ask_stale(error)
        except NightSchoolError as error:
            self._say(refusal(error))
        else:
            self._start(allow_stale=False)

    def _ask_stale(self, error: RegistryStale) -> None:
        from .ask import ConfirmScreen

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._start(allow_stale=True)
            else:
                self._say(refusal(error))

        words = STALE.format(one_line(self.found.registry, 40))
        self.app.push_screen(ConfirmScreen("Install from a stale registry?", words, "Install"), answered)

    def _start(self, *, allow_stale: bool) -> None:
        wanted = self.query_one(Select).value
        slot, into = self.found.slot, self.query_one(Input).value.strip()
        version = next(row for row in slot.versions if row.version == wanted)
        # Its own name is no choice: where the user has a slot of that name, another must be named.
        start_taking(
            self.night, self.found, version, None if into in ("", slot.name) else into, allow_stale=allow_stale
        )
        self._draw()

    def action_cancel(self) -> None:
        """Stop it; nothing of it is kept that was not kept already."""
        taking = self.session.taking
        if taking is not None and taking.stop is not None:
            taking.stage = "Stopping"
            taking.stop()

    def action_back(self) -> None:
        """Back to the market; what is under way goes on."""
        self.dismiss(None)


def progress(taking: Taking, session: Session) -> Content:
    """Return how far it is, in words and as a bar."""
    share, stage = taking.share, taking.stage
    study = session.study
    if study is not None and study.slot and "gates" in stage:
        share, stage = study.fraction, f"{stage}: {study.stage}"
    notes = [Content.styled(one_line(note, 600), "$foreground-muted") for note in taking.notes]
    words = Content.styled(f"{one_line(stage, 72)} …", "$accent")
    return Content("\n").join([*notes, words, Content.assemble(bar(share, 40), (f" {share:.0%}", "bold"))])
