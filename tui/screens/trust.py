"""Whom one believes: publishers that were met, their keys and how these changed, what was revoked and refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...marketplace.trust.publisher import Publisher
from ...marketplace.trust.records import Incident, Pin
from ...marketplace.trust.store import TrustStore
from ...schemas.errors import MarketError, NightSchoolError
from ...schemas.trust import RevocationFile
from ..keys import bindings_of
from ..market import listed_keys
from ..market_words import COLOURS, refusal
from ..publishing import read_public
from ..safe_text import one_line
from ..trust_words import key_lines, pin_state
from .import_chats import path_of
from .rows import highlighted

if TYPE_CHECKING:
    from ..app import NightSchool

ABOUT = (
    "A publisher is believed once you agreed to its keys, and followed when the old ones sign new ones. Forgetting one "
    "makes it new again; what was revoked stays so."
)
OTHERS = {"key-changed", "equivocation"}
"""Refusals of documents that do not go on from what is pinned."""


class TrustScreen(ModalScreen[None]):
    """The list, what it is, and the highlighted one below; then what was revoked and refused."""

    CSS_PATH = "trust.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("trust")]

    def __init__(self) -> None:
        super().__init__()
        self.pins: list[Pin] = []
        self.revoked = RevocationFile()
        self.incidents: list[Incident] = []
        self.listed: dict[str, set[str]] = {}
        """By publisher: the fingerprints that registries list of it."""

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    @property
    def store(self) -> TrustStore:
        """What the profile remembers."""
        return TrustStore(self.night.home.trust)

    def compose(self) -> ComposeResult:
        """The list, what it is, and the highlighted one."""
        with Vertical(classes="dialog", id="trust") as box:
            box.border_title = Content("Publishers")
            box.border_subtitle = "p pin a file · d forget · pgup/pgdn scroll · esc back"
            yield OptionList(markup=False)
            yield Static(ABOUT, id="about", markup=False)
            yield Static("", id="notice", markup=False)
            with VerticalScroll(id="keys", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        self._fill()

    def _fill(self, said: Content | None = None) -> None:
        try:
            self.pins, self.revoked = self.store.pins(), self.store.revocations()
            self.incidents = self.store.incidents()
        except NightSchoolError as error:
            said = refusal(error)
        self.listed = listed_keys(self.night.home)
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(self._row(pin)) for pin in self.pins])
        options.highlighted = min(place, len(self.pins) - 1) if self.pins else None
        self._notice(said or Content(""))
        self._show()

    @property
    def pin(self) -> Pin | None:
        """The highlighted publisher."""
        return highlighted(self, self.pins)

    def on_option_list_option_highlighted(self) -> None:
        """Show what is known of the highlighted one."""
        self._show()

    def _row(self, pin: Pin) -> Content:
        state, _ = pin_state(pin, self.revoked, self.listed.get(pin.name, set()))
        since = time.strftime("%d %b %Y", time.localtime(pin.first_seen))
        return Content.assemble(
            (f"{one_line(pin.name, 12):<12} ", "bold"),
            (f"{state.value:<13} ", COLOURS[state]),
            f"{pin.keys.words}  ",
            (f"since {since}, {one_line(pin.registry, 20) or 'a file'}", "$foreground-muted"),
        )

    def _show(self) -> None:
        pin, parts = self.pin, list[Content]()
        if pin is None:
            parts.append(Content("No publisher was met yet; the first bundle that you take asks about its own."))
        else:
            state, sentence = pin_state(pin, self.revoked, self.listed.get(pin.name, set()))
            parts.append(Content.assemble((state.value, f"bold {COLOURS[state]}"), f"  {sentence}"))
            parts += [Content(line) for line in key_lines(pin, self.listed.get(pin.name, set()))]
        incidents = [row for row in self.incidents if pin is None or row.publisher == pin.name]
        parts += _section("Refused", [f"{_day(row.at)}  [{row.code}] {row.text}" for row in incidents])
        rows = [
            f"{row.kind.value} {row.id[:16]} by {row.by}, {_day(row.seen)}: {row.reason}"
            for row in self.revoked.revocations
        ]
        parts += _section("Revoked, and never taken back", rows)
        self.query_one("#keys > Static", Static).update(Content("\n").join(parts))
        self.query_one("#keys").scroll_home(animate=False)
        self.refresh_bindings()

    def _notice(self, content: Content) -> None:
        notice = self.query_one("#notice", Static)
        notice.update(content)
        notice.display = bool(content.plain)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Who is not there cannot be forgotten."""
        return action != "forget" or self.pin is not None

    def action_forget(self) -> None:
        """Forget the highlighted publisher, after a question."""
        from .ask import ConfirmScreen

        pin = self.pin
        if pin is None:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                try:
                    self.store.forget(pin.name)
                except NightSchoolError as error:
                    self._fill(refusal(error))
                else:
                    self._fill(Content(f"{one_line(pin.name, 40)} is new again; what was revoked stays so."))

        subject = f"{pin.name} is new again: the next bundle of it asks about its keys. What was revoked stays so."
        self.app.push_screen(ConfirmScreen("Forget this publisher?", subject, "Forget"), answered)

    def action_take(self) -> None:
        """Believe a publisher from its public file, or follow one that is known."""
        from .ask import AskScreen

        def entered(text: str | None) -> None:
            if text and text.strip():
                self._read(path_of(text))

        self.app.push_screen(AskScreen("The public file of a publisher (NAME.publisher.json)", ""), entered)

    def _read(self, file: Path) -> None:
        from .ask import ConfirmScreen

        try:
            given = read_public(file)
            known = self.store.pin(given.name)
        except NightSchoolError as error:
            self._notice(refusal(error))
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._meet(given, given.keys.fingerprint)

        if known is not None:
            self._meet(given, "")
            return
        subject = (
            f"{given.name}\n\nCompare the six words with the publisher, over another way than the file came:\n\n"
            f"{given.keys.words}\n{given.keys.fingerprint}"
        )
        self.app.push_screen(ConfirmScreen("Believe this publisher from now on?", subject, "Believe"), answered)

    def _meet(self, given: Publisher, confirmed: str) -> None:
        try:
            made = self.store.meet(given, confirmed=confirmed)
        except MarketError as error:
            self._fill(refusal(error))
            if error.code in OTHERS:
                self._ask_old(given)
        except NightSchoolError as error:
            self._fill(refusal(error))
        else:
            self._fill(Content.styled(f"{one_line(made.name, 40)} is believed with {made.keys.words}.", "$success"))

    def _ask_old(self, given: Publisher) -> None:
        """Take keys that do not follow from the pinned ones only where the user names the old ones."""
        from .ask import AskScreen

        def entered(text: str | None) -> None:
            if not text or not text.strip():
                return
            try:
                made = self.store.repin(given, old_fingerprint=text.strip())
            except NightSchoolError as error:
                self._fill(refusal(error))
            else:
                self._fill(
                    Content.styled(f"{one_line(made.name, 40)} has other keys now: {made.keys.words}.", "$warning")
                )

        question = "Other keys! To replace the pinned ones type their fingerprint (ask the publisher for it)"
        self.app.push_screen(AskScreen(question, ""), entered)

    def action_turn_page(self, pages: int) -> None:
        """Scroll what is known."""
        keys = self.query_one("#keys", VerticalScroll)
        keys.scroll_relative(y=pages * max(keys.size.height - 1, 1), animate=False)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


def _section(title: str, rows: list[str]) -> list[Content]:
    if not rows:
        return []
    return [Content(""), Content.styled(title, "bold $primary"), *(Content(f"  {one_line(row, 400)}") for row in rows)]


def _day(seconds: float) -> str:
    return time.strftime("%d %b %Y", time.localtime(seconds))
