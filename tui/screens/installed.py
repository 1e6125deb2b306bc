"""What came from others and is here: what is newer, whether it is whole, and the way out of the house."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...marketplace.registry.client import clients
from ...marketplace.trust.store import TrustStore
from ...schemas.errors import NightSchoolError
from ...schemas.messages import DeleteSlot, ListSlots, UndeleteSlot
from ...schemas.records import Slot
from ..actions.market import start_again
from ..actions.slots import put_away
from ..installed import check_removable, held, newer, standing, verified
from ..keys import bindings_of
from ..market import Here, Update, installed
from ..market_words import COLOURS, refusal
from ..safe_text import one_line
from ..taking import refreshed
from .rows import highlighted
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool
    from ..installed import Verified
    from ..session import Session

NONE = "Nothing came from others yet. alt+k in the chat opens the market."


class InstalledScreen(ModalScreen[None]):
    """The list, and all that is known of the highlighted one below."""

    CSS_PATH = "installed.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("installed")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.here: list[Here] = []
        self.newer: dict[tuple[str, str], Update] = {}
        self.looked: Verified | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """The list, and the highlighted one."""
        with Vertical(classes="dialog", id="installed") as box:
            box.border_title = Content("From others")
            box.border_subtitle = "u update · b before · h hold · v verify · d remove · r new · esc"
            yield OptionList(markup=False)
            with VerticalScroll(id="one", can_focus=False):
                yield Static("", markup=False)
            yield Static("", id="notice", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        self.reopen()

    def on_screen_resume(self) -> None:
        """What lay on top may have changed what is here."""
        if self.is_mounted:
            self.reopen()

    def reopen(self) -> None:
        """Ask for the list again."""
        work_on(self, self._fill(), group="fill", exclusive=True)

    async def _fill(self) -> None:
        home = self.night.home
        try:
            self.here = await installed(self.night.link.call)
            found = await asyncio.to_thread(newer, home, self.here)
            rows = [Option(self._row(one, found)) for one in self.here]
        except NightSchoolError as error:
            self._notice(refusal(error))
            return
        self.newer = {(row.here.slot, row.here.origin.slot): row for row in found}
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options(rows)
        options.highlighted = min(place, len(self.here) - 1) if self.here else None
        self._show()

    @property
    def one(self) -> Here | None:
        """The highlighted one."""
        return highlighted(self, self.here)

    def on_option_list_option_highlighted(self) -> None:
        """Show the highlighted one in full."""
        self._show()

    def _row(self, one: Here, found: list[Update]) -> Content:
        trust = TrustStore(self.night.home.trust)
        state, _ = standing(one, trust)
        update = next((row for row in found if row.here == one), None)
        return Content.assemble(
            ("● " if one.answers else "  ", "$success"),
            (f"{one_line(one.slot, 16):<16} ", "bold"),
            f"{one_line(one.origin.version, 8):<8} ",
            (f"{one_line(one.origin.publisher, 10):<10} ", "$foreground-muted"),
            (f"{state.value:<13} ", COLOURS[state]),
            (f"▲ {one_line(update.version.version, 10)}" if update is not None else "", "$accent"),
            ("  held" if held(one, trust) else "", "$warning"),
        )

    def _show(self) -> None:
        one = self.one
        text = Content(NONE) if one is None else Content("\n").join(self._in_full(one))
        self.query_one("#one > Static", Static).update(text)
        self.refresh_bindings()

    def _in_full(self, one: Here) -> list[Content]:
        state, sentence = standing(one, TrustStore(self.night.home.trust))
        origin, version, update = one.origin, one.version, self._update(one)
        answers = "answers now" if one.answers else "does not answer (b shows what would change)"
        made = time.strftime("%d %b %Y %H:%M", time.localtime(version.created))
        lines = [
            Content.assemble((state.value, f"bold {COLOURS[state]}"), f"  {one_line(sentence, 400)}"),
            Content(f"here      generation {version.number} of {one_line(one.slot, 40)}, {answers}"),
            Content(f"taken     {made}, {version.adapter_bytes / 1e6:.1f} MB"),
            Content(f"its name  {one_line(origin.slot, 40)} {one_line(origin.version, 40)} (number {origin.seq})"),
            Content(f"id        {one_line(origin.id, 64)}"),
            *(Content(f"signed    {one_line(signer, 64)}") for signer in origin.signers),
        ]
        if update is not None:
            what = "; ".join(update.changes) or "nothing that is listed"
            words = f"{update.version.version} is newer at {update.found.registry}. What is other: {what}."
            lines.insert(1, Content.styled(one_line(words, 600), "$accent"))
        if self.looked is not None:
            lines += [
                Content.styled(one_line(row.text, 400), "$warning" if row.repaired else "$error")
                for row in self.looked.problems
                if (row.slot, row.number) == (one.slot, version.number)
            ]
        return lines

    def _update(self, one: Here) -> Update | None:
        return self.newer.get((one.slot, one.origin.slot))

    def _notice(self, content: Content) -> None:
        self.query_one("#notice", Static).update(content)

    def taking_ended(self, taking: object) -> bool:
        """Something newer may be here."""
        self.reopen()
        return False

    # -- keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done with the highlighted one."""
        one = self.one
        if action == "update":
            return one is not None and self._update(one) is not None and self.session.taking is None
        if action == "preview":
            return one is not None and not one.answers
        if action == "again":
            return self.looked is not None and one in self.looked.damaged and self.session.taking is None
        return action not in ("hold", "discard") or one is not None

    def action_update(self) -> None:
        """Take what is newer than the highlighted one, which is asked about like any installation."""
        from .install import InstallScreen

        if self.one is not None and (update := self._update(self.one)) is not None:
            screen = InstallScreen(self.session, update.found, update.here.slot)
            self.app.push_screen(screen)

    def action_preview(self) -> None:
        """Show the same questions before and after the highlighted one."""
        from .preview import PreviewScreen

        if self.one is not None:
            screen = PreviewScreen(self.one.slot, self.one.version.number)
            self.app.push_screen(screen)

    def action_hold(self) -> None:
        """Leave the highlighted one out of updates, or no longer."""
        one, trust = self.one, TrustStore(self.night.home.trust)
        if one is not None:
            try:
                now = held(one, trust)
                trust.hold(one.origin.publisher, one.origin.slot, held=not now)
            except NightSchoolError as error:
                self._notice(refusal(error))
            else:
                words = "is updated again" if now else f"stays at {one.origin.version}"
                self._notice(Content(f"{one_line(one.slot, 40)} {words}."))
                self.reopen()

    def action_verify(self) -> None:
        """Hash everything again."""
        self._notice(Content.styled("Looking at every file …", "$accent"))
        work_on(self, self._verify(), group="verify", exclusive=True)

    async def _verify(self) -> None:
        try:
            self.looked = await verified(self.night.link.call, self.night.home)
        except NightSchoolError as error:
            self._notice(refusal(error))
            return
        found = self.looked
        words = f"{found.files} files, {found.bytes / 1e6:.1f} MB are whole."
        parts = [Content.styled(words, "$success" if not found.problems else "")]
        parts += [
            Content.styled(one_line(f"{row.slot} {row.number or ''}: {row.text}", 400), "$error")
            for row in found.problems
        ]
        if found.damaged:
            parts.append(Content("t takes what is damaged again from the registry that lists it."))
        self._notice(Content("\n").join(parts))
        self._show()

    def action_again(self) -> None:
        """Take the highlighted one, which is damaged, again."""
        if self.one is not None:
            start_again(self.night, self.one)
            self._notice(Content.styled("Taking it again …", "$accent"))

    def action_discard(self) -> None:
        """Remove the slot of the highlighted one, after a question."""
        if self.one is not None:
            work_on(self, self._discard(self.one), group="discard", exclusive=True)

    async def _discard(self, one: Here) -> None:
        from .ask import ConfirmScreen

        try:
            await check_removable(self.night.link.call, one)
            slots = await self.night.link.call(ListSlots(archived=True))
        except NightSchoolError as error:
            self._notice(refusal(error))
            return
        slot = next(row for row in slots if row.name == one.slot)

        def answered(agreed: bool | None) -> None:
            if agreed:
                work_on(self, self._put_away(slot))

        subject = "Its conversations go with it. All of it can be brought back for 30 days."
        self.app.push_screen(ConfirmScreen(f"Remove {one_line(slot.title, 40)}?", subject, "Remove"), answered)

    async def _put_away(self, slot: Slot) -> None:
        gone, back = DeleteSlot(slot=slot.name), UndeleteSlot(slot=slot.name)
        await put_away(self.night.chat, slot, gone, back, "Removed")
        await self._fill()

    def action_refresh(self) -> None:
        """Read what is new in the registries."""
        work_on(self, self._refresh(), group="refresh", exclusive=True)

    async def _refresh(self) -> None:
        notes: list[str] = []
        if not clients(self.night.home.registries):
            self._notice(Content("No registry is known yet; alt+k in the chat, then ctrl+o adds one."))
            return
        self._notice(Content.styled("Reading the registries …", "$accent"))
        try:
            await asyncio.to_thread(refreshed, self.night.home, None, notes.append)
        except NightSchoolError as error:
            self._notice(refusal(error))
        else:
            self._notice(Content("\n").join([Content.styled(one_line(note, 400), "$warning") for note in notes]))
        await self._fill()

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)
