"""What the scheduler of a machine is to run each night, and what such a scheduler must offer."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...schemas.errors import ScheduleError, UsageError
from ..paths import Home

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_SECONDS = 30.0


@dataclass(frozen=True)
class NightTask:
    """One profile's night.

    Attributes:
        name: Of the task, the same for one profile always.
        hour, minute: When it begins, in the machine's own time.
        command: What is run, without a shell.
    """

    name: str
    hour: int
    minute: int
    command: tuple[str, ...]

    @property
    def at(self) -> str:
        """The time as people write it."""
        return f"{self.hour:02}:{self.minute:02}"


class Scheduler(Protocol):
    """A scheduler of the operating system; all of it belongs to the user who is logged in."""

    @property
    def name(self) -> str:
        """How the command line calls it."""
        ...

    def usable(self) -> bool:
        """Whether it runs on this machine."""
        ...

    def text(self, task: NightTask) -> str:
        """Return what would be written, as it would be written."""
        ...

    def install(self, task: NightTask) -> str:
        """Have the task run each night, in place of an earlier one of its name; return what the user should know.

        Raises:
            ScheduleError: If the scheduler refuses.
            StorageError: If its file cannot be written.
        """
        ...

    def installed(self, name: str) -> str:
        """Return the time at which the task of a name runs; empty where there is none.

        Raises:
            ScheduleError: If the scheduler does not answer.
        """
        ...

    def remove(self, name: str) -> bool:
        """Take the task away; False: there was none.

        Raises:
            ScheduleError: If the scheduler refuses.
        """
        ...


def night_task(home: Home, at: str) -> NightTask:
    """Return the task of a profile at a time like ``03:00``.

    Raises:
        UsageError: If that is no time.
    """
    found = _TIME.fullmatch(at.strip())
    if found is None:
        raise UsageError(f"{at!r} is no time of day; write it like 03:00.")
    command = (sys.executable, "-P", "-m", "nightschool", "--home", str(home.root), "nightly", "run", "--scheduled")
    return NightTask(task_name(home), int(found[1]), int(found[2]), command)


def task_name(home: Home) -> str:
    """Return the name of a profile's task: another profile has another one."""
    return f"nightschool-nightly-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"


def run(command: Sequence[str], *, given: str = "", fine: Sequence[int] = (0,)) -> str:
    """Run a program of the system and return what it wrote; bytes that are no text go in and out as they are.

    Raises:
        ScheduleError: If it is not there, takes too long, or ends with a code that is not ``fine``.
    """
    try:
        done = subprocess.run(  # noqa: S603 (a program of the system with words of ours, and no shell)
            command,
            input=given,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScheduleError(f"{command[0]} cannot be used ({error}); choose another way with `--with`.") from error
    if done.returncode not in fine:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        said = said.encode(errors="replace").decode()  # a message is text
        raise ScheduleError(f"`{' '.join(command)}` failed: {said}; choose another way with `--with`.")
    return done.stdout
