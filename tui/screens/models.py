"""The models: what there is, what fits this machine, what is here; fetch one, choose one, remove one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.events import PullEvent
from ...schemas.messages import CancelPull, ListModels, RemoveModel
from ...schemas.models import Fit, KnownBase, KnownBases
from ..keys import bindings_of
from ..model_words import download, fits, licence, parameters, size, standing, suggestion
from ..model_words import title as title_of
from ..safe_text import one_line, safe
from ..widgets.status_line import bar
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool
    from ..session import Session

REDRAWS_PER_SECOND = 4
TITLE, SIZE, MEMORY, FITS, FETCH, LICENCE = 31, 6, 8, 11, 15, 22
COLOURS = {Fit.WELL: "$success", Fit.TIGHTLY: "$warning", Fit.NOT: "$error"}
HEADS = Content.styled(
    f"  {'model':<{TITLE}}{'size':>{SIZE}}{'memory':>{MEMORY}}  {'fits':<{FITS}}{'download':<{FETCH}}licence",
    "$foreground-muted",
)


class ModelsScreen(ModalScreen[None]):
    """The list above, the highlighted one in full below. Closing it does not stop a download."""

    CSS_PATH = "models.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("models")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.bases: KnownBases | None = None
        self._drawn: PullEvent | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """The list, what is known of the highlighted one, and how far a download is."""
        with Vertical(classes="dialog", id="models") as box:
            box.border_title = Content("Models")
            box.border_subtitle = "p fetch · o fetch another · u use · d remove · c cancel · esc back"
            yield Static(HEADS, markup=False)
            yield OptionList(markup=False)
            with VerticalScroll(id="model", can_focus=False):
                yield Static("", markup=False)
            yield Static("", id="pull", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        self.set_interval(1 / REDRAWS_PER_SECOND, self._draw_pull)
        self._draw_pull()
        self.refresh_rows()

    def refresh_rows(self) -> None:
        """Ask for the list again."""
        work_on(self, self._refresh(), exclusive=True)

    async def _refresh(self) -> None:
        try:
            self.bases = await self.night.link.call(ListModels())
        except NightSchoolError as error:
            self.query_one("#model > Static", Static).update(Content.styled(one_line(str(error), 600), "$error"))
            return
        box, options = self.query_one("#models"), self.query_one(OptionList)
        total, free = size(self.bases.memory_total), size(self.bases.memory_available)
        box.border_title = Content(f"Models · this machine has {total} of memory, {free} free")
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(_row(row)) for row in self.bases.rows])
        options.highlighted = min(place, len(self.bases.rows) - 1) if self.bases.rows else None
        self._show()

    @property
    def row(self) -> KnownBase | None:
        """The highlighted base."""
        place, rows = self.query_one(OptionList).highlighted, self.bases.rows if self.bases else []
        return rows[place] if place is not None and place < len(rows) else None

    def on_option_list_option_highlighted(self) -> None:
        """Show the highlighted one in full."""
        self._show()

    def _show(self) -> None:
        if self.row is not None and self.bases is not None:
            offer = suggestion(self.bases)
            parts = [Content.styled(one_line(offer, 600), "$primary"), Content("")] if offer else []
            self.query_one("#model > Static", Static).update(Content("\n").join([*parts, in_full(self.row)]))
        self.refresh_bindings()

    def _draw_pull(self) -> None:
        pull = self.session.pull
        if pull is not self._drawn:
            self._drawn = pull
            self.query_one("#pull", Static).update(progress(pull) if pull else "")
            self.refresh_bindings()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done with the highlighted one."""
        row, pulling = self.row, self.session.pull is not None
        if action == "other":
            return not pulling
        if action == "cancel":
            return pulling
        if action == "pull" and pulling:
            return False
        possible = {"pull": _can_come, "use": _can_answer, "discard": _can_go}.get(action)
        return possible is None or (row is not None and possible(row))

    def action_pull(self) -> None:
        """Fetch the highlighted one."""
        if self.row is not None:
            self.night.start_pull(self.row.spec)

    def action_other(self) -> None:
        """Fetch one that is not in the list."""
        from .ask import AskScreen

        def entered(spec: str | None) -> None:
            if spec and spec.strip():
                self.night.start_pull(spec.strip())

        self.app.push_screen(AskScreen("owner/name on the Hugging Face hub, a folder, or a .gguf file", ""), entered)

    def action_cancel(self) -> None:
        """Stop fetching."""
        work_on(self, self._cancel())

    def action_use(self) -> None:
        """Let the highlighted one answer, after a question."""
        from .ask import ConfirmScreen

        row = self.row
        if row is None:
            return
        if self.session.study is not None:
            self._tell("A study is under way; wait for its end or cancel it, then change the model.")
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self.night.use_model(row.spec)
                self.dismiss(None)

        subject = (
            f"{one_line(title_of(row))}\n\nThe engine starts again with it; a reply or a download under way stops. "
            "What slots learned stays with the model they learned it on."
        )
        self.app.push_screen(ConfirmScreen("Use this model?", subject, "Use"), answered)

    def action_discard(self) -> None:
        """Remove the highlighted one from the disk, after a question."""
        from .ask import ConfirmScreen

        row = self.row
        if row is None:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                work_on(self, self._remove(RemoveModel(spec=row.spec, force=bool(row.slots or row.chosen))))

        subject = f"{one_line(row.title)}, {size(row.size or row.partial)} on the disk"
        if row.slots:
            subject += f"\n\nWhat {one_line(', '.join(row.slots))} learned does not work without it."
        if row.chosen:
            subject += "\n\nNight School then starts with the default model again."
        self.app.push_screen(ConfirmScreen("Remove this model?", subject, "Remove"), answered)

    async def _cancel(self) -> None:
        try:
            await self.night.link.call(CancelPull())
        except NightSchoolError as error:
            self._tell(str(error))

    async def _remove(self, request: RemoveModel) -> None:
        try:
            freed = await self.night.link.call(request)
        except NightSchoolError as error:
            self._tell(str(error))
        else:
            self.app.notify(f"Removed; {size(freed)} came free.", markup=False)
        await self._refresh()

    def _tell(self, sentence: str) -> None:
        self.app.notify(safe(sentence)[:600], severity="error", markup=False)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def _can_come(row: KnownBase) -> bool:
    return not row.installed and row.spec != "default"


def _can_answer(row: KnownBase) -> bool:
    here = row.installed or row.spec == "default"
    return here and not row.trouble and not (row.loaded and row.chosen)


def _can_go(row: KnownBase) -> bool:
    return not row.loaded and bool(row.installed or row.partial)


def progress(pull: PullEvent) -> Content:
    """Return how far a download is, in words and as a bar."""
    words = Content.styled(f"{one_line(pull.spec, 24)}: {one_line(pull.stage, 72)}", "$accent")
    if pull.fraction is None:
        return words
    return Content.assemble(words, "\n", bar(pull.fraction, 40), (f" {pull.fraction:.0%}", "bold"))


def in_full(row: KnownBase) -> Content:
    """Return all that is known of a base."""
    facts = (
        ("languages    ", row.languages),
        ("licence      ", row.licence),
        ("from         ", row.source),
        ("here         ", f"the last {row.upper} blocks" if row.upper is not None else ""),
        ("on the disk  ", size(row.size) if row.installed else ""),
        ("fingerprint  ", row.fingerprint[:12]),
        ("learned on it", f"  {', '.join(row.slots)}" if row.slots else ""),
    )
    parts = [Content.styled(one_line(row.note or row.title, 300), "bold")]
    parts += [Content.styled(one_line(row.trouble, 600), "$error")] if row.trouble else []
    if row.gated:
        parts.append(
            Content.styled("Accept its terms on huggingface.co and log in with `hf auth login` first.", "$warning")
        )
    parts += [Content.assemble((name, "$foreground-muted"), one_line(text, 300)) for name, text in facts if text]
    return Content("\n").join(parts)


def _row(row: KnownBase) -> Content:
    title = one_line(title_of(row), TITLE - 2)
    mark, colour = ("● ", "$success") if row.loaded else ("○ ", "$primary") if row.installed else ("  ", "")
    return Content.assemble(
        (mark, colour),
        (title, "bold" if row.installed else ""),
        " " * max(TITLE - Content(title).cell_length, 0),
        f"{parameters(row):>{SIZE}}{size(row.memory):>{MEMORY}}  ",
        (f"{fits(row):<{FITS}}", COLOURS[row.fit] if row.fit is not None else "$foreground-muted"),
        (f"{standing(row) or download(row):<{FETCH}}", "$foreground-muted"),
        (one_line(licence(row), LICENCE), "$foreground-muted"),
    )
