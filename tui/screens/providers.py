"""The servers that compute elsewhere: name one, measure it, compute there, forget it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import (
    AddProvider,
    ExamineProvider,
    ListProviders,
    RemoveProvider,
    Request,
    UpdateSlot,
    UseProviders,
)
from ...schemas.providers import Examined, KnownProvider
from ...schemas.records import Slot
from ..keys import bindings_of
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from ..app import NightSchool
    from ..engine_link import EngineLink
    from ..session import Session

LOCAL, HSP = "local", "hsp"
KIND = re.compile(r"[a-z0-9._-]{1,32}")
ABOUT = (
    "A server sees every word of yours that is asked there, and never what you taught. "
    "u computes there from the next reply on, s for this slot alone."
)


class ProvidersScreen(ModalScreen[None]):
    """This machine first, then the servers; what is known of the highlighted one below."""

    CSS_PATH = "providers.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("providers")]

    def __init__(self, link: EngineLink, session: Session) -> None:
        super().__init__()
        self.link, self.session = link, session
        self.used: list[str] = [LOCAL]
        self.studied_at: list[str] = [LOCAL]
        self.servers: list[KnownProvider] = []
        self.found: dict[str, Content] = {}
        """What measuring a server gave, by its name."""

    def compose(self) -> ComposeResult:
        """The list, what it is, and what was measured."""
        with Vertical(classes="dialog", id="providers") as box:
            box.border_title = Content("Providers")
            box.border_subtitle = "a add · t test · u use · s slot · n studies · f tail · d remove · esc back"
            yield OptionList(markup=False)
            yield Static(ABOUT, id="about", markup=False)
            with VerticalScroll(id="found", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        work_on(self, self._ask(None))

    async def _ask(self, request: Request[Any] | None) -> None:
        """Ask for a change, then for the list again, and keep the highlight."""
        try:
            changed = None if request is None else await self.link.call(request)
            known = await self.link.call(ListProviders())
        except NightSchoolError as error:
            self._say(Content.styled(one_line(str(error), 600), "$error"))
            return
        if isinstance(changed, Slot):
            self.session.slots = [changed if slot.name == changed.name else slot for slot in self.session.slots]
        self.used, self.studied_at, self.servers = known.provider, known.study_provider, known.servers
        rows = self.query_one(OptionList)
        place = rows.highlighted or 0
        rows.clear_options()
        rows.add_options([Option(self._row(name)) for name in self.names])
        rows.highlighted = min(place, len(self.names) - 1)
        self._show()

    @property
    def names(self) -> list[str]:
        """This machine and the servers, in their order."""
        return [LOCAL, *(row.name for row in self.servers)]

    @property
    def name_there(self) -> str:
        """The highlighted one."""
        place = self.query_one(OptionList).highlighted or 0
        return self.names[min(place, len(self.names) - 1)]

    def on_option_list_option_highlighted(self) -> None:
        """Show what is known of the highlighted one."""
        self._show()

    def _show(self) -> None:
        self._say(self.found.get(self.name_there, Content("")))

    def _say(self, said: Content) -> None:
        self.query_one("#found > Static", Static).update(said)

    def _row(self, name: str) -> Content:
        server = next((row for row in self.servers if row.name == name), None)
        slots = [slot.title for slot in self.session.slots if slot.provider == name]
        studies = name in self.studied_at and self.studied_at != [LOCAL]
        where = "this machine" if server is None else one_line(server.url, 50)
        codec = "" if server is None else _written(server)
        return Content.assemble(
            ("● " if name in self.used else "  ", "$success"),
            (f"{one_line(name, 20):<20} ", "bold" if name in self.used else ""),
            where,
            (f"  {one_line(codec, 20)}", "$foreground-muted"),
            (f"  {one_line(', '.join(slots), 60)}" if slots else "", "$accent"),
            ("  studies" if studies else "", "$warning"),
        )

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_add(self) -> None:
        """Name a server."""

        def entered(request: AddProvider | None) -> None:
            if request is not None:
                work_on(self, self._ask(request))

        self.app.push_screen(ProviderForm(), entered)

    def action_measure(self) -> None:
        """Measure the highlighted server."""
        name = self.name_there
        if name != LOCAL:
            self.found[name] = Content.styled("Measuring ...", "$foreground-muted")
            self._show()
            work_on(self, self._measure(name))

    async def _measure(self, name: str) -> None:
        try:
            self.found[name] = measured(await self.link.call(ExamineProvider(server=name)))
        except NightSchoolError as error:
            self.found[name] = Content.styled(one_line(str(error), 600), "$error")
        self._show()

    def action_use(self) -> None:
        """Compute at the highlighted one."""
        work_on(self, self._ask(UseProviders(names=[self.name_there])))

    def action_slot(self) -> None:
        """Let this slot alone compute at the highlighted one; once more, where the profile does."""
        slot, name = self.session.slot, self.name_there
        if slot is not None:
            work_on(self, self._ask(UpdateSlot(name=slot.name, provider="" if slot.provider == name else name)))

    def action_study(self) -> None:
        """Let studies compute at the highlighted one, after a question where that shows it the user's corrections."""
        from .ask import ConfirmScreen

        name = self.name_there
        request = UseProviders(names=[name], studies=True)

        def answered(agreed: bool | None) -> None:
            if agreed:
                work_on(self, self._ask(request))

        if name == LOCAL:
            answered(True)
        else:
            subject = f"{name} is shown what studies learn from then: your corrections, and replies that follow them."
            self.app.push_screen(ConfirmScreen("Let studies compute there?", subject, "Allow"), answered)

    def action_fetch(self) -> None:
        """Fetch the last blocks of the base that the highlighted server has; it goes on when this screen is left."""
        app = cast("NightSchool", self.app)
        if self.name_there != LOCAL and self.session.pull is None:
            app.start_tail(self.name_there)
            self.dismiss(None)

    def action_drop(self) -> None:
        """Forget the highlighted server, after a question."""
        from .ask import ConfirmScreen

        name = self.name_there

        def answered(agreed: bool | None) -> None:
            if agreed:
                work_on(self, self._ask(RemoveProvider(name=name)))

        if name != LOCAL:
            self.app.push_screen(ConfirmScreen("Forget this server and its key?", safe(name), "Forget"), answered)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


class ProviderForm(ModalScreen[AddProvider | None]):
    """Ask for a new server; None: the user left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("form")]
    FIELDS = (
        ("name", "Name", "home"),
        ("url", "Address", "https://gpu.home:8765"),
        ("token", "Key, if it wants one (kept in a file that only you can read)", ""),
        ("kind", "What serves there (empty: nightschool serve; or vllm, llama.cpp, sglang)", "vllm"),
        ("budget", "How much its rows may cost, in nats (empty: bf16, whatever it costs)", "1e-4"),
    )

    def compose(self) -> ComposeResult:
        """The fields, and the line that says what is wrong."""
        with Vertical(classes="dialog", id="provider-form") as box:
            box.border_title = Content("New provider")
            box.border_subtitle = "ctrl+s save · tab next field · esc cancel"
            for name, words, example in self.FIELDS:
                yield Static(words, markup=False)
                yield Input(id=name, placeholder=example, password=name == "token", compact=True)
            yield Static("", id="wrong", markup=False)

    def on_input_submitted(self) -> None:
        """Enter in a line saves."""
        self.action_save()

    def action_save(self) -> None:
        """Give it back, where it can be one."""
        name, url, token, kind, budget = (self.query_one(f"#{field[0]}", Input).value.strip() for field in self.FIELDS)
        try:
            nats = float(budget.replace(",", ".")) if budget else None
        except ValueError:
            nats = -1.0
        if not name or not url or (nats is not None and not nats >= 0):
            wrong = "A server has a name and an address; its budget is a number, or empty."
            self.query_one("#wrong", Static).update(Content.styled(wrong, "$error"))
            return
        if kind and not KIND.fullmatch(kind):
            self.query_one("#wrong", Static).update(Content.styled("A kind is one of those named above.", "$error"))
            return
        self.dismiss(AddProvider(name=name, url=url, token=token, kind=kind or HSP, kl_budget=nats))

    def action_back(self) -> None:
        """Leave everything as it was."""
        self.dismiss(None)


def _written(server: KnownProvider) -> str:
    if server.kind != HSP:
        return f"{server.kind}, final states"
    return server.codec if server.kl_budget is None else f"KL ≤ {server.kl_budget:g}"


def measured(found: Examined) -> Content:
    """Return what measuring gave, in lines."""
    base = found.description.base
    lines = [
        Content(f"{one_line(base.name, 40)} ({base.fingerprint[:12]}), {found.round_trip_ms:.1f} ms away"),
        Content(
            f"a token {found.step_ms or 0:.1f} ms at cut {found.cut}; the probe lies {found.distance or 0:.2g} off"
        ),
    ]
    if found.codecs:
        heads = f"{'codec':<8}{'bits':>6}{'B/token':>9}{'KL':>10}{'same word':>11}"
        lines.append(Content.styled(heads, "$foreground-muted"))
    lines += [Content.styled(one_line(note, 200), "$foreground-muted") for note in found.description.notes]
    for codec in found.codecs:
        row = f"{one_line(codec.name, 8):<8}{codec.bits:>6g}{codec.bytes_a_token:>9}{codec.kl:>10.2g}"
        row += f"{codec.same_top:>11.1%}"
        lines.append(Content.styled(f"{row}  used", "bold") if codec.name == found.chosen else Content(row))
    return Content("\n").join(lines)
