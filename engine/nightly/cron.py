"""A line in the user's crontab, and one that looks after a start whether the night was missed."""

from __future__ import annotations

import re
import shlex
import shutil

from .task import NightTask, run

_EMPTY = (0, 1)  # `crontab -l` ends with 1 where there is no table yet


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
    text = run(["crontab", "-l"], fine=_EMPTY)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _without(table: str, name: str) -> str:
    return "".join(line for line in table.splitlines(keepends=True) if not line.rstrip().endswith(f"# {name}"))
