"""Slots: choose, make, change, put away, bring back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...schemas.messages import ArchiveSlot, CollectGarbage, DeleteSlot, Request, UndeleteSlot
from ...schemas.records import Slot
from ..safe_text import one_line
from ..session import Undo

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


async def archive(screen: ChatScreen) -> None:
    """Put the selected slot out of sight."""
    slot = screen.session.slot
    if slot is not None:
        undo = ArchiveSlot(slot=slot.name, archived=False)
        await put_away(screen, slot, ArchiveSlot(slot=slot.name), undo, "Archived")


def delete(screen: ChatScreen) -> None:
    """Delete the selected slot, if the user agrees."""
    from ..screens.ask import ConfirmScreen
    from ..screens.away import delete_question

    slot = screen.session.slot
    if slot is None:
        return

    def answered(agreed: bool | None) -> None:
        if agreed:
            gone, back = DeleteSlot(slot=slot.name), UndeleteSlot(slot=slot.name)
            screen.begin(put_away(screen, slot, gone, back, "Deleted"))

    screen.app.push_screen(ConfirmScreen(*delete_question(slot)), answered)


def away(screen: ChatScreen) -> None:
    """Open the slots that are out of sight."""
    from ..screens.away import AwayScreen

    def left(_: None) -> None:
        screen.begin(_refresh(screen))

    screen.app.push_screen(AwayScreen(screen.link), left)


async def clean_up(screen: ChatScreen) -> None:
    """Say what nothing needs, and remove it if the user agrees."""
    from ..screens.ask import ConfirmScreen

    with screen.errors_told():
        found = await screen.link.call(CollectGarbage(dry_run=True))
        if not found.removed:
            screen.tell("There is nothing to remove: everything that is kept is needed.")
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                screen.begin(_remove(screen))

        texts = [one_line(row.text, 100) for row in found.removed[:12]]
        rest = len(found.removed) - len(texts)
        subject = "\n".join([*texts, *([f"and {rest} more"] if rest else [])])
        screen.app.push_screen(ConfirmScreen(f"Remove {_size(found.bytes)}?", subject, "Remove"), answered)


async def _remove(screen: ChatScreen) -> None:
    with screen.errors_told():
        screen.tell(f"{_size((await screen.link.call(CollectGarbage())).bytes)} came free.")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


async def put_away(screen: ChatScreen, slot: Slot, gone: Request[Slot], back: Request[Slot], what: str) -> None:
    """Take a slot out of the list and go to the first that is left; it can be taken back."""
    with screen.errors_told():
        await screen.link.call(gone)
        screen.session.undos.append(Undo(f"{what.lower()} slot", partial(_bring_back, screen, back)))
        screen.tell(f"{what} {one_line(slot.title, 40)}; ctrl+u brings it back.")
        screen.session.slot_name = ""
        await screen.refresh_slots()
        await screen.choose_slot(screen.session.slot_name)


async def _bring_back(screen: ChatScreen, request: Request[Slot]) -> None:
    slot = await screen.link.call(request)
    await screen.refresh_slots()
    await screen.choose_slot(slot.name)


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
