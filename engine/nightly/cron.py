"""A line in the user's crontab, and one that looks after a start whether the night was missed."""

from __future__ import annotations

import re
import shlex
import shutil

from ...schemas.errors import ScheduleError
from .task import NightTask, run

_NONE_YET = re.compile("no crontab|can't open .*No such file")
"""What is said where there is no table yet; the exit code is that of a table that cannot be read."""


class Cron:
    """Two lines that end in the task's name; whatever else the table holds stays as it is."""

    name = "cron"

    def usable(self) -> bool:
        """Whether there is a crontab to write."""
        return shutil.which("crontab") is not None

    def text(self, task: NightTask) -> str:
        """Return the lines."""
        command = " ".join(shlex.quote(word) for word in task.command).replace("%", "\\%")
        mark = f"# {task.name}"
        return (
            f"{task.minute} {task.hour} * * * {command} >/dev/null 2>&1 {mark}\n"
            f"@reboot {command} --if-missed >/dev/null 2>&1 {mark}\n"
        )

    def install(self, task: NightTask) -> str:
        """Add the lines, in place of earlier ones."""
        others = _without(_table(), task.name)
        run(["crontab", "-"], given=others + self.text(task))
        return "A night that was missed is caught up after the next start of the machine."

    def installed(self, name: str) -> str:
        """Read the time from the line."""
        found = re.search(rf"^(\d+) (\d+) \* \* \* .*# {re.escape(name)}$", _table(), re.MULTILINE)
        return f"{int(found[2]):02}:{int(found[1]):02}" if found else ""

    def remove(self, name: str) -> bool:
        """Take the lines away."""
        before = _table()
        others = _without(before, name)
        if others == before:
            return False
        run(["crontab", "-"], given=others)
        return True


def _table() -> str:
    try:
        text = run(["crontab", "-l"])
    except ScheduleError as error:
        if _NONE_YET.search(str(error)) is None:
            raise
        text = ""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _without(table: str, name: str) -> str:
    return "".join(line for line in table.splitlines(keepends=True) if not line.rstrip().endswith(f"# {name}"))
