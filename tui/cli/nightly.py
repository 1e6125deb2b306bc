"""Commands of the nights: what begins them, what they did, and one night now."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import Any

import click

from ...engine.files import storage_errors, write_atomic
from ...engine.nightly.choose import SCHEDULERS, scheduler_named, usable_scheduler
from ...engine.nightly.task import night_task, task_name
from ...schemas.errors import Locked
from ...schemas.messages import ListNights, ListSlots, ListStudies, Request, RunNight
from ...schemas.records import Night, Study, StudyState
from ..stopping import until_stopped
from .desk import Desk, talks_alone
from .options import examples, json_option
from .output import document, study_lines, table, when
from .profile import Profile

DAY = 24 * 3600.0


@click.group(
    epilog=examples(
        "nightschool nightly install --at 03:00",
        "nightschool nightly status",
        "nightschool nightly run",
        "nightschool nightly remove",
    )
)
def nightly() -> None:
    """Study by itself each night.

    The machine's own scheduler (systemd, launchd or cron) begins it, at low priority and on mains power. It studies
    every slot in which lessons wait, rests while you chat, and goes on the next time where it was cut off.
    """


@nightly.command(epilog=examples("nightschool nightly install", "nightschool nightly install --at 02:30 --with cron"))
@click.option("--at", default="03:00", show_default=True, metavar="TIME", help="When, in the machine's own time.")
@click.option("--with", "named", type=click.Choice([one.name for one in SCHEDULERS]), help="Another scheduler.")
@click.option("--print", "only_print", is_flag=True, help="Write what would be installed to stdout; change nothing.")
@json_option
@click.pass_obj
def install(profile: Profile, *, at: str, named: str | None, only_print: bool, as_json: bool) -> int:
    """Have the machine begin a night of this profile each day."""
    task = night_task(profile.home, at)
    scheduler = scheduler_named(named) if named else usable_scheduler()
    if only_print:
        click.echo(scheduler.text(task), nl=False)
        return 0
    _remove(task.name, keep=scheduler.name)
    note = scheduler.install(task)
    result = {"scheduler": scheduler.name, "at": task.at, "name": task.name, "note": note}
    click.echo(document(result, pretty=True) if as_json else f"A night begins at {task.at} ({scheduler.name}). {note}")
    return 0


@nightly.command(epilog=examples("nightschool nightly remove"))
@json_option
@click.pass_obj
def remove(profile: Profile, *, as_json: bool) -> int:
    """Take the nights of this profile away from the scheduler; what was learned stays."""
    removed = _remove(task_name(profile.home))
    words = f"No further night begins ({', '.join(removed)})." if removed else "No night was installed."
    click.echo(document({"removed": removed}, pretty=True) if as_json else words)
    return 0


def _remove(name: str, keep: str = "") -> list[str]:
    """Take a task away from every scheduler that has it; return their names."""
    return [one.name for one in SCHEDULERS if one.usable() and one.name != keep and one.remove(name)]


@nightly.command(epilog=examples("nightschool nightly status", "nightschool nightly status --json"))
@talks_alone
async def status(desk: Desk) -> None:
    """Say when the next night begins, what waits for it, and what the last ones did."""
    name = task_name(desk.profile.home)
    found = {one.name: at for one in SCHEDULERS if one.usable() and (at := one.installed(name))}
    slots = await desk.ask(ListSlots())
    waiting = {slot.name: slot.waiting for slot in slots if slot.waiting}
    nights = await desk.ask(ListNights(limit=7))
    begins = [f"A night begins at {at} ({scheduler})." for scheduler, at in found.items()]
    begins = begins or ["No night is installed; `nightschool nightly install` has one begin at 03:00."]
    wait = ", ".join(f"{slot} {count}" for slot, count in waiting.items())
    lines = [*begins, f"Lessons that wait: {wait or 'none'}."]
    if nights:
        lines += ["", *table([("NIGHT", "BEGAN", "STUDIES", "NOTES"), *map(_row, nights)])]
    desk.give({"installed": found, "waiting": waiting, "nights": nights}, lines)


def _row(night: Night) -> tuple[object, ...]:
    under_way = [] if night.finished is not None else ["under way"]
    return night.id, when(night.started), len(night.studies), " ".join([*night.notes, *under_way])


@nightly.command(epilog=examples("nightschool nightly run", "nightschool nightly run --least 3 --json"))
@click.option("--least", type=click.IntRange(min=1), default=1, show_default=True, help="Lessons a slot must have.")
@click.option("--on-battery", is_flag=True, help="Do not wait for mains power.")
@click.option("--scheduled", is_flag=True, hidden=True, help="Where the app is open, leave the night to it.")
@click.option("--if-missed", is_flag=True, help="Only if the last night began over half a day ago, or was cut off.")
@talks_alone
async def run(desk: Desk, *, least: int, on_battery: bool, scheduled: bool, if_missed: bool) -> int:
    """Spend a night now: study every slot in which lessons wait.

    Progress goes to stderr, the reports to stdout. Ctrl+c stops it; what was not studied waits.
    """
    due = desk.profile.home.night_due
    try:
        before = await desk.ask(ListNights(limit=1))
    except Locked:
        if not scheduled:
            raise
        with storage_errors(due):
            write_atomic(due, "")
        desk.note("Night School is open; it studies there as soon as nobody was answered for ten minutes.")
        return 0
    # Half a day: the one before may have been caught up late, and a clock that was ahead must not stand in the way.
    if if_missed and not due.exists() and before and 0 <= time.time() - before[0].started < DAY / 2:
        desk.give({"night": None, "studies": []}, ["The last night is less than half a day ago; nothing to catch up."])
        return 0
    night = await _spend(desk, RunNight(least=least, on_battery=on_battery))
    studies = [study for study in await desk.ask(ListStudies()) if study.id in night.studies]
    desk.give({"night": night, "studies": studies}, [*_lines(studies), *night.notes])
    return 0


async def _spend(desk: Desk, request: RunNight) -> Night:
    """Spend a night. Ctrl+c ends it; SIGTERM, as of a reboot, closes the engine, and the next one goes on with it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    terminated = asyncio.Event()

    def terminate() -> None:
        terminated.set()
        task.cancel()

    async def ask(asked: Request[Any]) -> Any:
        if terminated.is_set():  # in place of stopping the study, which ends the night
            return await desk.link.close()
        return await desk.ask(asked)

    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # as where the desk listens for it
        loop.add_signal_handler(signal.SIGTERM, terminate)
    return await until_stopped(ask, request, lambda spent: desk.note(" ".join(spent.notes)))


def _lines(studies: list[Study]) -> list[str]:
    lines: list[str] = []
    for study in reversed(studies):
        ended = "accepted" if study.state is StudyState.ACCEPTED else study.state.value
        lines += [f"Slot {study.slot}: {ended}", *study_lines(study), ""]
    return lines
