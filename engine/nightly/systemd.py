"""Timers of systemd's user manager: what was missed while the machine was off is caught up at the next start."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ...schemas.errors import ScheduleError
from ..files import storage_errors, write_atomic
from .task import NightTask, run

_CALENDAR = re.compile(r"^OnCalendar=\*-\*-\* (\d\d:\d\d):00$", re.MULTILINE)

_SERVICE = """\
[Unit]
Description=Night School studies what was corrected

[Service]
Type=exec
ExecStart={command}
Nice=10
IOSchedulingClass=idle
"""

_TIMER = """\
[Unit]
Description=Night School, each night

[Timer]
OnCalendar=*-*-* {at}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


class Systemd:
    """A service and a timer in the user's own folder of units."""

    name = "systemd"

    def usable(self) -> bool:
        """Whether a user manager answers."""
        if shutil.which("systemctl") is None:
            return False
        try:
            run(["systemctl", "--user", "show-environment"])
        except ScheduleError:
            return False
        return True

    def text(self, task: NightTask) -> str:
        """Return both units, each after its name."""
        return "\n".join(f"# {path}\n{text}" for path, text in _units(task).items())

    def install(self, task: NightTask) -> str:
        """Write both units and start the timer."""
        for path, text in _units(task).items():
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
        run(["systemctl", "--user", "daemon-reload"])
        run(["systemctl", "--user", "enable", "--now", f"{task.name}.timer"])
        return "It runs while you are logged in; `loginctl enable-linger` lets it run without."

    def installed(self, name: str) -> str:
        """Read the time from the timer's unit."""
        timer = _folder() / f"{name}.timer"
        with storage_errors(timer):
            found = _CALENDAR.search(timer.read_text(encoding="utf-8")) if timer.is_file() else None
        return found[1] if found else ""

    def remove(self, name: str) -> bool:
        """Stop the timer and remove both units."""
        units = [_folder() / f"{name}.timer", _folder() / f"{name}.service"]
        if not any(unit.exists() for unit in units):
            return False
        run(["systemctl", "--user", "disable", "--now", f"{name}.timer"])
        for unit in units:
            with storage_errors(unit):
                unit.unlink(missing_ok=True)
        run(["systemctl", "--user", "daemon-reload"])
        return True


def _units(task: NightTask) -> dict[Path, str]:
    command = " ".join(_quoted(word) for word in task.command)
    return {
        _folder() / f"{task.name}.service": _SERVICE.format(command=command),
        _folder() / f"{task.name}.timer": _TIMER.format(at=task.at),
    }


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: quoted, no specifier, no variable."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'


def _folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
