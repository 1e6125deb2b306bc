"""What a command works with: the engine it asks, and the streams it writes to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from ...schemas.errors import NotFound, UsageError
from ...schemas.events import AuditEvent, Event, NoticeEvent, StateEvent, StudyEvent
from ...schemas.messages import GetStatus, ListSlots, Request
from ...schemas.records import Slot
from ..safe_text import one_line, safe
from .options import json_option
from .output import StatusLine, document, progress_words
from .profile import LOAD_PLUGINS, OutputClosed, Profile

R = TypeVar("R")


class Desk:
    """One command's engine and streams."""

    def __init__(self, profile: Profile, *, as_json: bool) -> None:
        self.profile = profile
        self.as_json = as_json
        self.link = profile.connect(profile.home, profile.model)
        self.status = StatusLine(sys.stderr)
        self._terminal = sys.stdout.isatty()
        self._quiet = False
        """Whether stdout has begun to speak; from then on the status line would be in its way."""

    async def ask(self, request: Request[R], on_event: Callable[[Event], None] | None = None) -> R:
        """Ask the engine and wait for its answer."""
        return await self.link.call(request, on_event)

    async def awake(self) -> None:
        """Wait until the engine has its model, or has failed to get it, or is gone."""
        loop, settled = asyncio.get_running_loop(), asyncio.Event()

        def settle(reason: str = "") -> None:
            loop.call_soon_threadsafe(settled.set)

        def hear(event: Event) -> None:
            if isinstance(event, StateEvent) and event.status.state != "waking":
                settle()

        self.link.listen(hear)
        self.link.when_lost(settle)
        if (await self.ask(GetStatus())).state == "waking":
            await settled.wait()

    async def slot(self, named: str | None, *, deleted: bool = False) -> Slot:
        """Return the slot of this name or title; where none is named, that of the options, else the first in use.

        Args:
            named: Name or title, in any case.
            deleted: Whether it may be a deleted one, where no other is meant.

        Raises:
            NotFound: If there is none.
        """
        every = await self.ask(ListSlots(archived=True, deleted=True))
        slots = [slot for slot in every if slot.deleted is None]
        wanted = self.profile.slot if named is None else named
        if wanted is None and slots:
            return next((slot for slot in slots if slot.archived is None), slots[0])
        for slot in sorted(every, key=lambda slot: slot.deleted is not None):
            if wanted is not None and wanted.casefold() in (slot.name.casefold(), slot.title.casefold()):
                if slot.deleted is None or deleted:
                    return slot
                raise NotFound(
                    f"Slot {slot.name} was deleted; `nightschool slots undelete {slot.name}` brings it back."
                )
        names = ", ".join(slot.name for slot in slots) or "none"
        raise NotFound(f"There is no slot {wanted!r}; there is {names}; make one with `nightschool slots create`.")

    async def slot_filter(self, named: str | None) -> str | None:
        """Return the name of the slot that was asked for, None where none was."""
        wanted = self.profile.slot if named is None else named
        return None if wanted is None else (await self.slot(wanted)).name

    # -- what is written ----------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Write to stdout at once; in a terminal nothing of it is obeyed.

        Raises:
            BrokenPipeError: If nobody reads any more.
        """
        self.status.clear()
        self._quiet = True
        sys.stdout.write(safe(text) if self._terminal else text)
        sys.stdout.flush()

    def give(self, data: object, words: Iterable[str]) -> None:
        """Write the command's result: a document where JSON was asked for, else lines of words."""
        if self.as_json:
            self.write(document(data, pretty=self._terminal) + "\n")
        else:
            self.write("".join(f"{line}\n" for line in words))

    def note(self, words: str) -> None:
        """Say something beside the data, on stderr."""
        self.status.clear()
        click.echo(one_line(words, 1000), err=True)

    def hear(self, event: Event) -> None:
        """Show what the engine tells everybody."""
        match event:
            case StateEvent(status=engine) if engine.state == "waking" and not self._quiet:
                share = "" if engine.fraction is None else f" {engine.fraction:.0%}"
                long = "" if engine.fraction in (None, 1.0) else f"{one_line(engine.stage)} ..."
                self.status.show(f"{engine.stage}{share}", long)
            case StateEvent():
                self.status.clear()
            case StudyEvent():
                # Where lines cannot be redrawn, one for every stage and every tenth is enough.
                tenth = int(event.fraction * 10)
                self.status.show(progress_words(event), f"{tenth * 10:3}%  {one_line(event.stage)}")
            case AuditEvent(stage=stage, fraction=fraction):
                self.status.show(f"{one_line(stage)} {fraction:.0%}", f"{one_line(stage)} ...")
            case NoticeEvent(level=level, text=text):
                self.note(f"{level.capitalize()}: {text}")
            case _:
                pass


async def named_weights(desk: Desk, weights: dict[str, float]) -> dict[str, float]:
    """Return weights by the names of slots that were given by name or title.

    Raises:
        NotFound: If there is no such slot.
    """
    return {(await desk.slot(slot)).name: weight for slot, weight in weights.items()}


def ask_first(desk: Desk, question: str, otherwise: str) -> None:
    """Ask on a terminal whether something shall be done that is not easily undone.

    Raises:
        UsageError: If nobody can be asked; ``otherwise`` says what to give instead.
        click.Abort: If the user does not agree.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"Nobody can be asked here; {otherwise}.")
    desk.status.clear()
    click.confirm(question, abort=True, err=True)


@contextlib.contextmanager
def without_plugins() -> Iterator[None]:
    """Let processes that are started within load no plugins of others."""
    before = os.environ.get(LOAD_PLUGINS)
    os.environ[LOAD_PLUGINS] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[LOAD_PLUGINS]
        else:
            os.environ[LOAD_PLUGINS] = before


Body = Callable[..., Awaitable[int | None]]


def talks(body: Body, *, wake: bool = True, plugins: bool = True) -> Callable[..., int]:
    """Make a command of an async function: it gets a desk with a started engine first, then the options.

    What it returns is the exit code. The engine is closed whatever happens. ``wake`` False: it needs no base, so none
    is loaded. ``plugins`` False: the engine loads none of others, so that none can keep the user from what this does.
    """

    @functools.wraps(body)
    def command(*, as_json: bool, **values: Any) -> int:
        profile = click.get_current_context().find_object(Profile)
        assert profile is not None
        try:
            with contextlib.nullcontext() if plugins else without_plugins():
                return asyncio.run(_talk(body, Desk(profile, as_json=as_json), values, wake=wake))
        except BrokenPipeError as error:
            raise OutputClosed from error

    return json_option(command)


talks_alone = functools.partial(talks, wake=False)
"""The same for what needs no base."""


talks_plainly = functools.partial(talks, plugins=False)
"""The same for what must work whatever plugins do."""


async def _talk(body: Body, desk: Desk, values: dict[str, Any], *, wake: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not everywhere, only in the main thread
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    desk.link.listen(desk.hear)
    try:
        await desk.link.start(wake=wake)
        return await body(desk, **values) or 0
    finally:
        desk.status.clear()
        await desk.link.close()
        desk.status.clear()  # an engine that is closed may still have said how far it was
