"""Slots: choose, make, change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.records import Slot

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


async def following(screen: ChatScreen) -> None:
    """Go to the next slot, after the last to the first."""
    names = [slot.name for slot in screen.session.slots]
    if names:
        place = names.index(screen.session.slot_name) if screen.session.slot_name in names else -1
        await screen.choose_slot(names[(place + 1) % len(names)])


def new(screen: ChatScreen) -> None:
    """Ask for a title and make a slot."""
    _form(screen, None)


def settings(screen: ChatScreen) -> None:
    """Change the selected slot."""
    if screen.session.slot is not None:
        _form(screen, screen.session.slot)


def blend(screen: ChatScreen) -> None:
    """Choose which slots speak in the selected one."""
    from ..screens.blend import BlendScreen

    def left(_: None) -> None:
        screen.begin(_refresh(screen))

    if screen.session.slot is not None:
        screen.app.push_screen(BlendScreen(screen.link, screen.session.slot, screen.session.slots), left)


def compare(screen: ChatScreen) -> None:
    """Ask the selected slot and another one the same."""
    from ..screens.compare import CompareScreen

    if screen.session.slot is not None and len(screen.session.slots) > 1:
        asked = [view.message.text for view in screen.transcript.views if not view.is_reply]
        last = asked[-1] if asked else ""
        screen.app.push_screen(CompareScreen(screen.link, screen.session.slot_name, screen.session.slots, last))
    else:
        screen.tell("There is no other slot to compare with; make one first.", "warning")


async def _refresh(screen: ChatScreen) -> None:
    with screen.errors_told():
        await screen.refresh_slots()


def _form(screen: ChatScreen, slot: Slot | None) -> None:
    from ..screens.slot_form import SlotForm

    def saved(fresh: Slot | None) -> None:
        if fresh is not None:
            screen.begin(_show(screen, fresh, chosen=slot is None))

    screen.app.push_screen(SlotForm(screen.link, slot), saved)


async def _show(screen: ChatScreen, slot: Slot, *, chosen: bool) -> None:
    with screen.errors_told():
        await screen.refresh_slots()
        if chosen:
            await screen.choose_slot(slot.name)
        elif not screen.transcript.views:
            await screen.show_welcome()
