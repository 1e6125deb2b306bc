"""The plugins of others: how each stands, what it did wrong, and whether its code may run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import DisablePlugin, EnablePlugin, ListPlugins, Request, TrustPlugin
from ...schemas.plugins import PluginRow, PluginState
from ..keys import bindings_of
from ..plugin_words import hook_words, plugin_lines
from ..safe_text import one_line, safe
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink
    from ..session import Session

ABOUT = (
    "A plugin is code that runs with your rights. What is installed is off until you trust it, and is asked about "
    "again when it has changed. `nightschool plugins install NAME` in a terminal brings one."
)
NONE = "No plugins of others are installed."
COLOURS = {
    PluginState.LOADED: "$success",
    PluginState.TRUSTED: "$success",
    PluginState.FAILED: "$error",
    PluginState.INCOMPATIBLE: "$error",
    PluginState.MISSING: "$warning",
    PluginState.UNTRUSTED: "$warning",
    PluginState.BLOCKED: "$foreground-muted",
}


class PluginsScreen(ModalScreen[None]):
    """The list, and all that is known of the highlighted one below."""

    CSS_PATH = "plugins.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("plugins")]

    def __init__(self, link: EngineLink, session: Session) -> None:
        super().__init__()
        self.link, self.session = link, session
        self.rows: list[PluginRow] = []
        self.wrong = ("", "")
        """The plugin that the last change was refused for, and why."""

    def compose(self) -> ComposeResult:
        """The list, what it is, and the highlighted one."""
        with Vertical(classes="dialog", id="plugins") as box:
            box.border_title = Content("Plugins")
            box.border_subtitle = "t trust · e enable · d disable · pgup/pgdn scroll · esc back"
            yield OptionList(markup=False)
            yield Static(ABOUT, id="about", markup=False)
            with VerticalScroll(id="known", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        work_on(self, self._ask(None))

    async def _ask(self, request: Request[Any] | None) -> None:
        """Ask for a change, then for the list again, and keep the highlight."""
        plugin = self.plugin
        self.wrong = ("", "")
        try:
            if request is not None:
                await self.link.call(request)
        except NightSchoolError as error:
            self.wrong = (plugin.name if plugin is not None else "", str(error))
        try:
            listed = await self.link.call(ListPlugins())
        except NightSchoolError as error:
            self._say(Content.styled(one_line(str(error), 600), "$error"))
            return
        self.rows = listed.plugins
        self.session.plugin_commands = commands_of(self.rows)
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(_row(row)) for row in self.rows])
        options.highlighted = min(place, len(self.rows) - 1) if self.rows else None
        self._show()

    @property
    def plugin(self) -> PluginRow | None:
        """The highlighted one."""
        place = self.query_one(OptionList).highlighted
        return self.rows[place] if place is not None and place < len(self.rows) else None

    def on_option_list_option_highlighted(self) -> None:
        """Show what is known of the highlighted one."""
        self._show()

    def _show(self) -> None:
        row = self.plugin
        if row is not None and self.wrong[0] == row.name:
            self._say(Content.styled(one_line(self.wrong[1], 600), "$error"))
        else:
            self._say(Content(NONE if row is None else "\n".join(plugin_lines(row))))

    def _say(self, said: Content) -> None:
        self.query_one("#known > Static", Static).update(said)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_trust(self) -> None:
        """Let the code of the highlighted one run, after a question."""
        from .ask import ConfirmScreen

        row = self.plugin
        if row is None or row.state is PluginState.MISSING:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._change(TrustPlugin(name=row.name), "Trying it in a process of its own ...")

        subject = f"{row.name} {row.version}: {row.summary or 'no summary'}. With your rights it can read your files."
        self.app.push_screen(ConfirmScreen("Let the code of this plugin run?", safe(subject), "Trust"), answered)

    def action_enable(self) -> None:
        """Turn the highlighted one on."""
        if self.plugin is not None:
            self._change(EnablePlugin(name=self.plugin.name), "Trying it in a process of its own ...")

    def action_disable(self) -> None:
        """Turn the highlighted one off."""
        if self.plugin is not None:
            self._change(DisablePlugin(name=self.plugin.name), "")

    def action_turn_page(self, pages: int) -> None:
        """Scroll what is known of the highlighted one."""
        known = self.query_one("#known", VerticalScroll)
        known.scroll_relative(y=pages * max(known.size.height - 1, 1), animate=False)

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)

    def _change(self, request: Request[Any], meanwhile: str) -> None:
        if meanwhile:
            self._say(Content.styled(meanwhile, "$foreground-muted"))
        work_on(self, self._ask(request))


def commands_of(rows: list[PluginRow]) -> dict[str, tuple[str, str]]:
    """Return title and help of the palette's lines that loaded plugins supply, by the names of the commands."""
    loaded = (row for row in rows if row.state is PluginState.LOADED)
    return {one.name: (one.title, one.about) for row in loaded for one in row.commands if one.title}


def _row(row: PluginRow) -> Content:
    load = f"{row.load_ms:.0f} ms" if row.load_ms else ""
    hooks = " ".join(map(hook_words, row.hooks))
    wrong = "" if row.state is PluginState.LOADED and not row.strikes else row.reason
    return Content.assemble(
        (f"{one_line(row.name, 30):<30} ", "bold"),
        f"{one_line(row.version, 10):<10} ",
        (f"{row.state.value:<12} ", COLOURS[row.state]),
        (f"{load:>7}  ", "$foreground-muted"),
        one_line(hooks, 40),
        (f"  {one_line(wrong, 60)}" if wrong else "", "$foreground-muted"),
    )
