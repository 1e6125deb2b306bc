"""Which scheduler a machine has."""

from __future__ import annotations

from ...schemas.errors import ScheduleError, UsageError
from .cron import Cron
from .launchd import Launchd
from .systemd import Systemd
from .task import Scheduler
from .windows import Windows

SCHEDULERS: tuple[Scheduler, ...] = (Systemd(), Launchd(), Windows(), Cron())
"""The best first: cron alone does not know of a night that was slept through."""


def scheduler_named(name: str) -> Scheduler:
    """Return a scheduler by its name, whether it is usable here or not.

    Raises:
        UsageError: If there is none of this name.
    """
    for scheduler in SCHEDULERS:
        if scheduler.name == name:
            return scheduler
    raise UsageError(f"There is no scheduler {name!r}; there are {', '.join(one.name for one in SCHEDULERS)}.")


def usable_scheduler() -> Scheduler:
    """Return the best scheduler of this machine.

    Raises:
        ScheduleError: If it has none that we know.
    """
    for scheduler in SCHEDULERS:
        if scheduler.usable():
            return scheduler
    raise ScheduleError(
        "This machine has neither systemd's user manager nor cron; run `nightschool nightly run` by other means."
    )
