"""Another model for a slot that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.messages import ListModels
from ...schemas.models import KnownBase
from ...schemas.records import Slot
from ..safe_text import one_line

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


async def offer(screen: ChatScreen, slot: Slot) -> None:
    """Where a slot answers with another model alone, and that is here, offer to start the engine with it."""
    from ..screens.ask import ConfirmScreen

    with screen.errors_told():
        rows = (await screen.link.call(ListModels())).rows
        row = next((row for row in rows if row.installed and not row.loaded and needs(slot, row)), None)
        if row is None or screen.session.study is not None:
            return
        source = row.source

        def answered(agreed: bool | None) -> None:
            if agreed:
                screen.night.start_with(source)

        subject = (
            f"{one_line(slot.title, 60)} answers with {one_line(row.title)}. The engine can start again with it, until "
            "you leave; which model the profile starts with stays as it is."
        )
        screen.app.push_screen(ConfirmScreen("Start with the model of this slot?", subject, "Start"), answered)


def needs(slot: Slot, row: KnownBase) -> bool:
    """Return whether a slot answers with this base alone: it names it, or learned on it."""
    return row.source == slot.base if slot.base else slot.name in row.slots
