"""The registries that are looked at: add one after its fingerprint was compared, read it anew, forget it."""

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

from ...marketplace.keys import words_of
from ...marketplace.registry.client import Client, clients, look
from ...marketplace.trust.store import TrustStore
from ...schemas.errors import NightSchoolError, NotFound
from ...schemas.registry import RegistryFace
from ..keys import bindings_of
from ..market import meet
from ..market_words import refusal
from ..safe_text import one_line
from .rows import highlighted
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool

ABOUT = (
    "A registry lists slots of other people: a folder, a stick, or the same behind a web server. Compare its six words "
    "with who keeps it before you add it. What was installed from one stays when you forget it."
)


class RegistriesScreen(ModalScreen[None]):
    """The list, what it is, and the highlighted one below."""

    CSS_PATH = "registries.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("registries")]

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Client] = []

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """The list, what it is, and what is known of the highlighted one."""
        with Vertical(classes="dialog", id="registries") as box:
            box.border_title = Content("Registries")
            box.border_subtitle = "a add · r refresh · d forget · esc back"
            yield OptionList(markup=False)
            yield Static(ABOUT, id="about", markup=False)
            with VerticalScroll(id="known", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        self._fill()

    def _fill(self, said: Content | None = None) -> None:
        self.known = clients(self.night.home.registries)
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(_row(client)) for client in self.known])
        options.highlighted = min(place, len(self.known) - 1) if self.known else None
        self._say(said or self._about())

    @property
    def client(self) -> Client | None:
        """The highlighted one."""
        return highlighted(self, self.known)

    def on_option_list_option_highlighted(self) -> None:
        """Show what is known of the highlighted one."""
        self._say(self._about())

    def _about(self) -> Content:
        client = self.client
        if client is None:
            return Content("None is known yet; a adds one.")
        try:
            known = client.known()
        except NightSchoolError as error:
            return refusal(error)
        return Content("\n").join(
            [
                Content.styled(one_line(known.title, 80), "bold"),
                Content(f"where     {one_line(known.address, 400)}"),
                Content(f"words     {known.words}"),
                Content(known.fingerprint),
                Content(f"added     {time.strftime('%d %b %Y', time.localtime(known.added))}"),
            ]
        )

    def _say(self, content: Content) -> None:
        self.query_one("#known > Static", Static).update(content)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_add(self) -> None:
        """Ask where a registry is."""
        from .ask import AskScreen

        def entered(address: str | None) -> None:
            if address and address.strip():
                work_on(self, self._look(address.strip()), exclusive=True)

        self.app.push_screen(AskScreen("A folder, or http(s)://host/path", ""), entered)

    async def _look(self, address: str) -> None:
        """Show what it calls itself, and add it if the user agrees."""
        from .ask import ConfirmScreen

        self._say(Content.styled(f"Looking at {one_line(address, 200)} …", "$accent"))
        try:
            face, _ = await asyncio.to_thread(look, address)
        except NightSchoolError as error:
            self._say(refusal(error))
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._name_it(address, face)
            else:
                self._say(self._about())

        subject = (
            f"{face.title}\n{address}\n\nCompare the six words with who keeps it, over another way than the address "
            f"came:\n\n{words_of(face.root)}\n{face.root}"
        )
        self.app.push_screen(ConfirmScreen("Believe this registry from now on?", subject, "Believe"), answered)

    def _name_it(self, address: str, face: RegistryFace) -> None:
        """Ask for another name, where its own is taken, and add it."""
        from .ask import AskScreen

        if not (self.night.home.registries / face.name / "source.json").exists():
            work_on(self, self._meet(address, face, ""), exclusive=True)
            return

        def entered(name: str | None) -> None:
            if name and name.strip():
                work_on(self, self._meet(address, face, name.strip()), exclusive=True)

        question = f"There is a registry {one_line(face.name, 40)} already; what shall this one be called here?"
        self.app.push_screen(AskScreen(question, f"{face.name}-2"), entered)

    async def _meet(self, address: str, face: RegistryFace, name: str) -> None:
        self._say(Content.styled(f"Reading {one_line(face.title, 80)} …", "$accent"))
        try:
            client, _ = await asyncio.to_thread(meet, self.night.home, address, name=name, confirmed=face.root)
            count = len(client.index().lines)
        except NightSchoolError as error:
            self._fill(refusal(error))
            return
        words = f"{one_line(face.title, 80)} is known as {client.folder.name}: {count} slots."
        if client.stale():
            words += " It is STALE: you can look, and install only after a question."
        self._fill(Content.styled(words, "$warning" if client.stale() else "$success"))

    def action_refresh(self) -> None:
        """Read the highlighted one anew."""
        if self.client is not None:
            work_on(self, self._refresh(self.client), exclusive=True)

    async def _refresh(self, client: Client) -> None:
        name = one_line(client.folder.name, 40)
        self._say(Content.styled(f"Reading {name} …", "$accent"))
        try:
            found = await asyncio.to_thread(client.refresh, TrustStore(self.night.home.trust))
        except NightSchoolError as error:
            self._fill(refusal(error))
            return
        words = f"{name}: {'new' if found.changed else 'nothing new'}, {found.revoked} new revocations."
        self._fill(Content("\n").join([Content.styled(words, "$success"), *map(refusal, found.warnings)]))

    def action_forget(self) -> None:
        """Forget the highlighted one, after a question."""
        from .ask import ConfirmScreen

        client = self.client
        if client is None:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                try:
                    client.forget()
                except NightSchoolError as error:
                    self._fill(refusal(error))
                else:
                    self._fill()

        subject = f"{client.folder.name} is not asked any more. What was installed from it and what it revoked stay."
        self.app.push_screen(ConfirmScreen("Forget this registry?", subject, "Forget"), answered)

    def action_back(self) -> None:
        """Back to where the user was."""
        self.dismiss(None)


def _row(client: Client) -> Content:
    try:
        count, stale = f"{len(client.index().lines)} slots", client.stale()
        until = time.strftime("%d %b %Y %H:%M", time.localtime(client.fetched().expires))
    except NotFound:
        count, until, stale = "never read", "", True
    except NightSchoolError:
        count, until, stale = "damaged", "", True
    return Content.assemble(
        (f"{one_line(client.folder.name, 20):<20} ", "bold"),
        f"{count:<12} ",
        (f"believed until {until}" if until else "", "$foreground-muted"),
        ("  STALE" if stale else "", "$warning"),
    )
