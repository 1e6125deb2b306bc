"""The generations of a slot: what each one learned, and the way back to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...schemas.errors import NightSchoolError
from ...schemas.messages import ListVersions, PinVersion, Rollback
from ...schemas.records import Slot, Version, VersionKind
from ..keys import bindings_of
from ..merge_words import merge_words
from ..safe_text import one_line, safe
from ..widgets.report import report_text
from .work import work_on

if TYPE_CHECKING:
    from ..engine_link import EngineLink


class VersionsScreen(ModalScreen[None]):
    """Generations, the newest first; the highlighted one in full below."""

    CSS_PATH = "versions.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("versions")]

    def __init__(self, link: EngineLink, slot: Slot) -> None:
        super().__init__()
        self.link = link
        self.slot = slot
        self.versions: list[Version] = []

    def compose(self) -> ComposeResult:
        """The list above, the report below."""
        with Vertical(classes="dialog", id="versions") as box:
            box.border_title = Content(f"Generations of {one_line(self.slot.title, 40)}")
            box.border_subtitle = (
                "r roll back (from the current one: to the one before) · v before/after · p pin · esc back"
            )
            yield OptionList(markup=False)
            with VerticalScroll(id="version"):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(OptionList).focus()
        work_on(self, self._refresh())

    async def _refresh(self, place: int = 0) -> None:
        try:
            self.versions = await self.link.call(ListVersions(slot=self.slot.name))
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        rows = self.query_one(OptionList)
        rows.clear_options()
        rows.add_options([Option(_row(version)) for version in self.versions])
        rows.highlighted = min(place, len(self.versions) - 1) if self.versions else None

    @property
    def version(self) -> Version | None:
        """The highlighted generation."""
        place = self.query_one(OptionList).highlighted
        return self.versions[place] if place is not None and place < len(self.versions) else None

    def on_option_list_option_highlighted(self) -> None:
        """Show the report of the highlighted generation."""
        version = self.version
        if version is not None:
            self.query_one("#version > Static", Static).update(_in_full(version))
            self.query_one("#version").scroll_home(animate=False)
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An untouched slot has no way back, and what answers now nothing to be compared with."""
        if action == "preview":
            return self.version is not None and not self.version.current
        return action != "rollback" or len(self.versions) > 1

    def action_rollback(self) -> None:
        """Make a new generation that equals the highlighted one; from the current one, the one before it."""
        if self.version is not None:
            work_on(self, self._roll_back(None if self.version.current else self.version.number))

    def action_preview(self) -> None:
        """Show the same questions before and after the highlighted generation."""
        from .preview import PreviewScreen

        if self.version is not None:
            place = self.query_one(OptionList).highlighted or 0
            screen = PreviewScreen(self.slot.name, self.version.number)
            self.app.push_screen(screen, lambda _: work_on(self, self._refresh(place)))

    def action_pin(self) -> None:
        """Keep the highlighted generation whatever a clean-up removes, or no longer."""
        if self.version is not None:
            work_on(self, self._pin(self.version))

    async def _pin(self, version: Version) -> None:
        try:
            request = PinVersion(slot=self.slot.name, number=version.number, pinned=not version.pinned)
            await self.link.call(request)
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        await self._refresh(self.query_one(OptionList).highlighted or 0)

    async def _roll_back(self, to: int | None) -> None:
        try:
            fresh = await self.link.call(Rollback(slot=self.slot.name, to=to))
        except NightSchoolError as error:
            self.app.notify(safe(str(error)), severity="error", markup=False)
        else:
            self.app.notify(
                f"Generation {fresh.number} answers now; it equals generation {fresh.restores}.", markup=False
            )
        await self._refresh()

    def action_back(self) -> None:
        """Back to the chat."""
        self.dismiss(None)


_MADE = {
    VersionKind.MERGE: "merged of several slots",
    VersionKind.IMPORT: "brought from elsewhere",
    VersionKind.FORK: "forked from another slot",
}


def _row(version: Version) -> Content:
    when = time.strftime("%d %b %Y %H:%M", time.localtime(version.created)) if version.created else ""
    if version.kind is VersionKind.ROLLBACK:
        what = f"back to generation {version.restores}"
    elif version.kind is VersionKind.BASE:
        what = "the untouched base"
    elif version.kind in _MADE:
        what = _MADE[version.kind]
    else:
        lessons = "lesson" if len(version.lessons) == 1 else "lessons"
        what = f"studied {len(version.lessons)} {lessons}"
    return Content.assemble(
        ("● " if version.current else "  ", "$success"),
        (f"generation {version.number:<3}", "bold" if version.current else ""),
        f"  {what:<26}",
        (f"  {when}", "$foreground-muted"),
        ("  pinned" if version.pinned else "", "$accent"),
        ("  files removed" if version.removed else "", "$warning"),
    )


def _in_full(version: Version) -> Content:
    if version.merge is not None and version.report is not None:
        return Content.assemble(f"{merge_words(version.merge)}\n\n", report_text(version.report))
    if version.report is not None:
        return report_text(version.report)
    if version.kind is VersionKind.ROLLBACK:
        return Content(f"The same weights as generation {version.restores}; everything between them is kept.")
    return Content("No adapter: the base answers as it came.")
