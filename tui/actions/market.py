"""Slots of other people: browse, install, what is here, whom one believes, and publishing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...schemas.errors import NightSchoolError
from ..safe_text import one_line
from ..session import Taking

if TYPE_CHECKING:
    from ...marketplace.trust.judging import Judgement, Offer
    from ...schemas.registry import ListedVersion
    from ...schemas.sharing import BundleTaken
    from ..app import NightSchool
    from ..market import Found, Here
    from ..screens.ask import ConfirmScreen
    from ..screens.chat import ChatScreen
    from ..taking import Taker


def browse(screen: ChatScreen) -> None:
    """Open what registries list."""
    from ..screens.market import MarketScreen

    screen.app.push_screen(MarketScreen(screen.session), screen.after_learning)


def installed(screen: ChatScreen) -> None:
    """Open what came from others."""
    from ..screens.installed import InstalledScreen

    screen.app.push_screen(InstalledScreen(screen.session), screen.after_learning)


def trust(screen: ChatScreen) -> None:
    """Open the publishers."""
    from ..screens.trust import TrustScreen

    screen.app.push_screen(TrustScreen())


def publish(screen: ChatScreen) -> None:
    """Give a version of a slot to others, step by step."""
    from ..screens.publish import PublishScreen

    screen.app.push_screen(PublishScreen(screen.session))


def start_taking(
    night: NightSchool, found: Found, version: ListedVersion, into: str | None, *, allow_stale: bool = False
) -> None:
    """Take a version from a registry; it goes on whatever screen is shown."""
    from ..taking import take_listed

    async def work(taker: Taker) -> BundleTaken:
        return await take_listed(taker, found, version, into, allow_stale=allow_stale)

    _start(night, Taking(name=found.slot.name, version=version.version), work)


def start_again(night: NightSchool, one: Here) -> None:
    """Take what is damaged again."""
    from ..installed import take_again

    _start(night, Taking(name=one.slot, version=one.origin.version), lambda taker: take_again(taker, one))


def _start(night: NightSchool, taking: Taking, work: Callable[[Taker], Awaitable[BundleTaken]]) -> None:
    night.session.taking = taking
    taking.stop = night.run_worker(_take(night, taking, work), group="taking", exit_on_error=True).cancel


async def _take(night: NightSchool, taking: Taking, work: Callable[[Taker], Awaitable[BundleTaken]]) -> None:
    from ..taking import Taker

    def tell(stage: str, share: float) -> None:
        taking.stage, taking.share = stage, share

    async def agree(offer: Offer, judgement: Judgement) -> str:
        taking.stage = "Waiting for your answer"
        if await night.push_screen_wait(believe(offer)):
            return offer.keys.fingerprint
        assert judgement.refusal is not None
        raise judgement.refusal

    def stopped(kept: BundleTaken) -> None:
        if kept.version is not None:
            taking.kept = kept

    note = taking.notes.append
    taker = Taker(home=night.home, ask=night.link.call, agree=agree, note=note, tell=tell, stopped=stopped)
    try:
        taking.kept = await work(taker)
    except NightSchoolError as error:
        taking.error = error
    except asyncio.CancelledError:
        taking.stopped = True
    finally:
        night.session.taking = None
    _tell_end(night, taking)


def believe(offer: Offer) -> ConfirmScreen:
    """Return the question whether a new publisher is believed."""
    from ..screens.ask import ConfirmScreen

    subject = (
        f"{offer.origin.publisher} was never met before. Compare the six words with the publisher, over another way "
        f"than this bundle came:\n\n{offer.keys.words}\n{offer.keys.fingerprint}\n\n"
        f"{offer.keys.threshold} of {len(offer.keys.keys)} keys must sign. From now on only these keys count for it."
    )
    return ConfirmScreen(f"Believe {one_line(offer.origin.publisher, 40)} with these keys?", subject, "Believe")


def _tell_end(night: NightSchool, taking: Taking) -> None:
    """Show how it ended on the screen that waits for it, else in one sentence."""
    if not night.screen_stack:  # the app is being closed
        return
    shown = False
    for screen in night.screen_stack[1:]:
        ended = getattr(screen, "taking_ended", None)
        if ended is not None:
            shown = ended(taking) or shown
    night.chat.begin(night.chat.refresh_learning())
    if shown:
        return
    name = one_line(taking.name, 40)
    if taking.error is not None:
        night.chat.tell(f"{name}: {taking.error}", "error")
    elif taking.kept is not None:
        night.chat.tell(kept_sentence(taking.kept), "info" if taking.kept.version is not None else "warning")
    elif taking.stopped:
        night.chat.tell(f"Stopped; nothing of {name} was kept.")


def kept_sentence(kept: BundleTaken) -> str:
    """Return what became of a bundle, in one sentence."""
    slot = one_line(kept.slot, 40)
    if kept.version is not None:
        return f"{slot} has it as generation {kept.version.number}, which does not answer before you activate it (f4)."
    return f"Refused, nothing was kept: {one_line(kept.study.reason, 400) if kept.study else ''}"
