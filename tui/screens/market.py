"""What registries list: search as one types, look at a card, install.

Nothing is asked of a registry while one looks around, but for the card; the rest is read anew when the user wants it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...marketplace.registry.client import Client, clients
from ...marketplace.registry.search import Query
from ...marketplace.trust.judging import Offer
from ...marketplace.trust.records import State
from ...marketplace.trust.store import TrustStore
from ...schemas.errors import NightSchoolError, NotFound
from ..bundle_words import card_lines, fit_words
from ..bundles import fingerprints_here
from ..keys import bindings_of
from ..market import Found, Here, installed, search, state_of
from ..market_words import card, here_lines, listed_lines, refusal, slot_row
from ..safe_text import one_line
from ..widgets.status_line import bar
from .rows import highlighted
from .work import work_on

if TYPE_CHECKING:
    from textual import events

    from ..app import NightSchool
    from ..session import Session

WAIT, LOOK = 0.08, 0.3
"""Seconds without a key before it is searched, and on a slot before its card is read."""
MOST = 200
NONE = "No registry is known yet. ctrl+o adds one: a folder, a stick, or a web address."


class MarketScreen(ModalScreen[None]):
    """A line to type in, the slots that fit, and the highlighted one in full below."""

    CSS_PATH = "market.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("market")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.known: list[Client] = []
        self.rows: list[tuple[Found, State]] = []
        self.here: dict[tuple[str, str], Here] = {}
        self.bases: frozenset[str] = frozenset()
        self.mine, self.tag, self.licence = False, "", ""
        self.cards: dict[tuple[str, str, str], Content] = {}
        """What was read of bundles, by ``place_of``."""
        self.prompts: dict[tuple[str, str, str], list[str]] = {}
        """The sample questions of their cards."""
        self.counted = 0

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    @property
    def answers(self) -> str:
        """Fingerprint of the base that answers; empty: none does."""
        base = self.session.engine.base
        return base.fingerprint if base is not None else ""

    def compose(self) -> ComposeResult:
        """Words, filters, slots, a card."""
        with Vertical(classes="dialog", id="market") as box:
            box.border_title = Content("Market")
            box.border_subtitle = "enter install · ctrl+r refresh · ctrl+o registries · esc back"
            yield Input(placeholder="Words that must all occur", compact=True)
            yield Static("", id="filters", markup=False)
            yield OptionList(markup=False)
            yield Static("", id="notice", markup=False)
            with VerticalScroll(id="card", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Show everything."""
        self.query_one(Input).focus()
        self.reopen()

    def on_screen_resume(self) -> None:
        """What lay on top may have changed what is here."""
        if self.is_mounted:
            self.reopen()

    def reopen(self) -> None:
        """Look again which registries there are, and what of them is here."""
        work_on(self, self._open(), group="open", exclusive=True)

    async def _open(self) -> None:
        self.cards.clear()
        home = self.night.home
        self.known = await asyncio.to_thread(_ready, clients(home.registries))
        self.bases = await asyncio.to_thread(fingerprints_here, home)
        try:
            here = await installed(self.night.link.call)
        except NightSchoolError as error:
            self._notice(refusal(error))
            here = []
        self.here = {(one.origin.publisher, one.origin.slot): one for one in here}
        await self._search()
        self._notice(_staleness(self.known, any_known=bool(clients(home.registries))))

    # -- searching ----------------------------------------------------------------------------------------------------

    def on_input_changed(self) -> None:
        """Search for what is written now; an older search is dropped."""
        work_on(self, self._search(WAIT), group="search", exclusive=True)

    async def _search(self, wait: float = 0.0) -> None:
        await asyncio.sleep(wait)
        query = Query(
            text=self.query_one(Input).value,
            base=self.answers if self.mine else "",
            tags=[self.tag] if self.tag else [],
            licence=self.licence,
        )
        trust = TrustStore(self.night.home.trust)

        def look() -> tuple[list[tuple[Found, State]], int]:
            found, count = search(self.known, query, MOST)
            return [(one, state_of(one, trust)) for one in found], count

        try:
            self.rows, self.counted = await asyncio.to_thread(look)
        except NightSchoolError as error:
            self.rows, self.counted = [], 0
            self._notice(refusal(error))
        self._draw_filters()
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options(
            [Option(slot_row(found, state, self._here(found), self.answers)) for found, state in self.rows]
        )
        options.highlighted = min(place, len(self.rows) - 1) if self.rows else None
        if not self.rows:
            self._show(Content(""))

    def _draw_filters(self) -> None:
        base = "this base alone" if self.mine else "any base"
        more = f" · the first {len(self.rows)} are shown" if self.counted > len(self.rows) else ""
        parts = [
            f"{self.counted} fit{more}",
            f"ctrl+b {base}",
            f"ctrl+t {self.tag or 'any tag'}",
            f"ctrl+l {self.licence or 'any licence'}",
        ]
        self.query_one("#filters", Static).update(Content(" · ".join(one_line(part, 60) for part in parts)))

    def _here(self, found: Found) -> Here | None:
        return self.here.get((found.slot.publisher, found.slot.name))

    # -- the card -----------------------------------------------------------------------------------------------------

    @property
    def row(self) -> tuple[Found, State] | None:
        """The highlighted slot, and how it stands."""
        return highlighted(self, self.rows)

    def on_option_list_option_highlighted(self) -> None:
        """Show what is listed of the highlighted slot at once, and its card as soon as it was read."""
        if self.row is not None:
            found, state = self.row
            known = self.cards.get(place_of(found))
            if known is None:
                fits = self._fits(found)
                known = card(state, "as far as the listing tells", listed_lines(found, self._here(found), fits))
                work_on(self, self._look(found), group="card", exclusive=True)
            self._show(known)
            self.query_one("#card").scroll_home(animate=False)

    def _fits(self, found: Found) -> str:
        base = found.slot.latest.base
        return fit_words(base.fingerprint, base.id, self.answers, self.bases)

    async def _look(self, found: Found) -> None:
        await asyncio.sleep(LOOK)
        latest, trust = found.slot.latest, TrustStore(self.night.home.trust)

        def read() -> tuple[Content, list[str]]:
            signed = found.client.manifest(found.slot, latest)
            offer = Offer.of(signed, registry=found.registry, stale=found.client.stale())
            judgement = trust.judge(offer)
            lines = card_lines(signed.manifest, signed.id)
            keys = [f"keys      {offer.keys.words}", offer.keys.fingerprint]
            others = ", ".join(row.version for row in found.slot.versions[1:])
            ours = [self._fits(found), *here_lines(found, self._here(found)), *keys]
            lines[1:1] = [one_line(lines.pop(1)), *ours] if lines[1] else ours
            lines += [f"earlier   {one_line(others, 400)}"] if others else []
            prompts = [sample.prompt for sample in signed.manifest.card.samples]
            return card(judgement.state, judgement.sentence, lines), prompts

        try:
            known, self.prompts[place_of(found)] = await asyncio.to_thread(read)
        except NightSchoolError as error:
            listed = listed_lines(found, self._here(found), self._fits(found))
            known = Content("\n").join([refusal(error), *map(Content, listed)])
        self.cards[place_of(found)] = known
        if self.row is not None and self.row[0] == found:
            self._show(known)

    def _show(self, content: Content) -> None:
        self.query_one("#card > Static", Static).update(content)

    def _notice(self, content: Content) -> None:
        notice = self.query_one("#notice", Static)
        notice.update(content)
        notice.display = bool(content.plain)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Up and down move through the slots while the words keep the focus."""
        slots = self.query_one(OptionList)
        if event.key in ("up", "down") and self.focused is not slots:
            event.stop()
            slots.action_cursor_up() if event.key == "up" else slots.action_cursor_down()

    def on_input_submitted(self) -> None:
        """Install the highlighted slot."""
        self._install()

    def on_option_list_option_selected(self) -> None:
        """Install the slot that was clicked."""
        self._install()

    def _install(self) -> None:
        from .install import InstallScreen

        if self.row is not None:
            found, here = self.row[0], self._here(self.row[0])
            prompts = self.prompts.get(place_of(found), [])
            screen = InstallScreen(self.session, found, here.slot if here is not None else "", prompts)
            self.app.push_screen(screen)

    def taking_ended(self, taking: object) -> bool:
        """Something was taken while one looked around: mark it."""
        self.reopen()
        return False

    def action_base(self) -> None:
        """Show what is for the base that answers alone, or everything."""
        self.mine = not self.mine and bool(self.answers)
        work_on(self, self._search(), group="search", exclusive=True)

    def action_tag(self) -> None:
        """Choose a tag."""
        work_on(self, self._choose("tag"), group="choose", exclusive=True)

    def action_licence(self) -> None:
        """Choose a licence."""
        work_on(self, self._choose("licence"), group="choose", exclusive=True)

    async def _choose(self, what: str) -> None:
        from .ask import ChooseScreen

        def count() -> Counter[str]:
            slots = [slot for client in self.known for slot in client.index().slots()]
            return Counter(word for slot in slots for word in (slot.tags if what == "tag" else [slot.latest.license]))

        def chosen(value: str | None) -> None:
            if value is not None:
                setattr(self, what, value)
                work_on(self, self._search(), group="search", exclusive=True)

        try:
            counted = (await asyncio.to_thread(count)).most_common(MOST)
        except NightSchoolError as error:
            self._notice(refusal(error))
            return
        options = [(f"any {what}", ""), *((f"{one_line(word, 60)}  ({number})", word) for word, number in counted)]
        self.app.push_screen(ChooseScreen(f"Which {what}", options, getattr(self, what)), chosen)

    def action_refresh(self) -> None:
        """Read what is new in all registries."""
        work_on(self, self._refresh(), group="refresh", exclusive=True)

    async def _refresh(self) -> None:
        every = clients(self.night.home.registries)
        trust, said = TrustStore(self.night.home.trust), list[Content]()
        for place, client in enumerate(every):
            name = one_line(client.folder.name, 40)
            words = Content.styled(f"Reading {name} ({place + 1} of {len(every)}) …  ", "$accent")
            self._notice(Content.assemble(words, bar(place / len(every), 20)))
            try:
                found = await asyncio.to_thread(client.refresh, trust)
            except NightSchoolError as error:
                said.append(Content.assemble(f"{name}: ", refusal(error)))
            else:
                said += [Content.assemble(f"{name}: ", refusal(warning)) for warning in found.warnings]
                if found.revoked:
                    said.append(Content.styled(f"{name}: {found.revoked} new revocations.", "$warning"))
        await self._open()
        stale = _staleness(self.known, any_known=bool(every))
        self._notice(Content("\n").join([*said, *([stale] if stale.plain else [])]))

    def action_registries(self) -> None:
        """Add, look at and forget registries."""
        from .registries import RegistriesScreen

        self.app.push_screen(RegistriesScreen())

    def action_turn_page(self, pages: int) -> None:
        """Scroll the card."""
        shown = self.query_one("#card", VerticalScroll)
        shown.scroll_relative(y=pages * max(shown.size.height - 1, 1), animate=False)

    def action_back(self) -> None:
        """Back to the chat; what is being installed goes on."""
        self.dismiss(None)


def place_of(found: Found) -> tuple[str, str, str]:
    """Return what a card is remembered by: one registry may list what another does, and mean another file."""
    return found.registry, found.slot.name, found.slot.latest.sha256


def _ready(every: list[Client]) -> list[Client]:
    """Return those that were read before."""
    ready = []
    for client in every:
        try:
            client.fetched()
        except NotFound:
            continue
        ready.append(client)
    return ready


def _staleness(known: list[Client], *, any_known: bool) -> Content:
    """Return what is said where there is no registry, or what one says is too old."""
    if not any_known:
        return Content.styled(NONE, "$warning")
    old = [one_line(client.folder.name, 40) for client in known if client.stale()]
    if not old:
        return Content("")
    return Content.styled(
        f"STALE: what {', '.join(old)} says is too old to be sure. You can look around; ctrl+r reads it anew.",
        "$warning",
    )
