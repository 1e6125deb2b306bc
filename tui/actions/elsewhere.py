"""What a slot learned for other models and other people: taught to another base, published, brought from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...schemas.errors import GivesAway
from ...schemas.events import Event, PullEvent
from ...schemas.messages import AuditVersion, FetchAdapter, ImportAdapter, ListModels, PublishVersion, TeachSlot
from ...schemas.records import Slot
from ...schemas.sharing import ON_HUB, Published
from ..paths import expanded
from ..safe_text import one_line

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen

SHOWN = 14
"""Lines of a page that are shown before it goes out."""


async def teach(screen: ChatScreen) -> None:
    """Let the selected slot learn what it knows on another model, too."""
    slot = screen.session.slot
    if slot is None or screen.session.study is not None:
        screen.tell("A study is under way already; wait for its end.", "warning")
        return
    with screen.errors_told():
        rows = (await screen.link.call(ListModels())).rows
        here = [row.spec for row in rows if row.installed and not row.loaded]
        if not here:
            screen.tell("There is no other model on this machine; alt+m fetches one.", "warning")
            return
        title = f"Teach {one_line(slot.title, 30)} on which model: {one_line(', '.join(here), 80)}"
        _ask(screen, title, here[0], lambda base: _study(screen, TeachSlot(slot=slot.name, base=base)))


def bring(screen: ChatScreen) -> None:
    """Try an adapter of somebody else as a new generation of the selected slot."""
    slot = screen.session.slot
    if slot is not None and screen.session.study is None:
        title = f"Adapter for {one_line(slot.title, 30)}: a PEFT folder, or {ON_HUB}owner/name@revision"
        _ask(screen, title, ON_HUB, lambda named: _brought(screen, slot, named))


def publish(screen: ChatScreen) -> None:
    """Put what the selected slot has learned on the Hugging Face hub, after it was shown."""
    slot = screen.session.slot
    if slot is None:
        return

    async def licensed(repository: str) -> None:
        title = f"License of {one_line(repository, 60)}, as SPDX names it"
        _ask(screen, title, "CC-BY-4.0", lambda licence: _planned(screen, slot, repository, licence))

    _ask(screen, f"Publish {one_line(slot.title, 30)} as owner/name on the Hugging Face hub", "", licensed)


# -- steps ------------------------------------------------------------------------------------------------------------


def _ask(screen: ChatScreen, title: str, text: str, then: Callable[[str], Awaitable[None]]) -> None:
    from ..screens.ask import AskScreen

    def answered(said: str | None) -> None:
        if said is not None and said.strip():
            screen.begin(then(said.strip()))

    screen.app.push_screen(AskScreen(title, text), answered)


async def _study(screen: ChatScreen, request: TeachSlot | ImportAdapter) -> None:
    from ..screens.study import StudyScreen

    screen.app.push_screen(StudyScreen(screen.session, begin=request), screen.after_learning)


async def _brought(screen: ChatScreen, slot: Slot, named: str) -> None:
    with screen.errors_told():
        if not named.startswith(ON_HUB):
            folder = str(expanded(named).absolute())
            await _study(screen, ImportAdapter(folder=folder, into=slot.name))
            return
        screen.tell(f"Fetching {one_line(named, 80)}…")
        found = await screen.link.call(FetchAdapter(spec=named))
        words = f"{found.bytes / 1e6:.1f} MB, for {found.base or 'a base that it does not name'}, by its own words"
        screen.tell(one_line(f"{found.source}: {words}.", 300))
        await _study(screen, ImportAdapter(folder=found.folder, into=slot.name, source=found.source))


async def _planned(screen: ChatScreen, slot: Slot, repository: str, licence: str) -> None:
    """Audit, show what would go out, and send it if the user agrees."""
    from ..bundles import Choice, card_of
    from ..screens.ask import ConfirmScreen

    with screen.errors_told():
        card = card_of(slot.title, Choice(publisher="", licence=licence))
        screen.tell("Looking for what it could give away of you…")
        audit = await screen.link.call(AuditVersion(slot=slot.name))
        if audit.findings:
            found = one_line(", ".join(finding.text for finding in audit.findings), 200)
            raise GivesAway(
                f"It could give away {len(audit.findings)} of your own words ({found}); have them forgotten, or accept "
                "each with `nightschool slots publish --accept`."
            )
        request = PublishVersion(slot=slot.name, repository=repository, card=card, dry_run=True)
        planned = await screen.link.call(request)

        def answered(agreed: bool | None) -> None:
            if agreed:
                told = request.model_copy(update={"dry_run": False, "number": planned.number})
                screen.begin(_sent(screen, told))

        question = f"Publish generation {planned.number} for everybody?"
        screen.app.push_screen(ConfirmScreen(question, _plan(planned), "Publish"), answered)


async def _sent(screen: ChatScreen, request: PublishVersion) -> None:
    def told(event: Event) -> None:
        if isinstance(event, PullEvent):
            screen.tell(one_line(event.stage, 100))

    with screen.errors_told():
        done = await screen.link.call(request, told)
        screen.tell(f"Published as {one_line(done.url, 200)}.")


def _plan(planned: Published) -> str:
    lines = [f"{planned.repository}, an adapter of {planned.base}"]
    lines += [f"{file.name}  {file.bytes:,} bytes" for file in planned.files]
    page = planned.page.splitlines()
    rest = len(page) - SHOWN
    lines += ["", *page[:SHOWN], *([f"and {rest} more lines"] if rest > 0 else [])]
    return "\n".join(one_line(line, 100) for line in lines)
