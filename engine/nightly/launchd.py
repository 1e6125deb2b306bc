"""An agent of launchd (macOS); a night that the machine slept through begins when it wakes."""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path

from ..files import storage_errors, write_atomic
from .task import NightTask, run

_GONE = (0, 3, 5, 36, 113)  # what `launchctl bootout` ends with where the agent was not loaded


class Launchd:
    """A property list in the user's folder of agents."""

    name = "launchd"

    def usable(self) -> bool:
        """Whether this is a Mac."""
        return sys.platform == "darwin"

    def text(self, task: NightTask) -> str:
        """Return the property list."""
        facts = {
            "Label": _label(task.name),
            "ProgramArguments": list(task.command),
            "StartCalendarInterval": {"Hour": task.hour, "Minute": task.minute},
            "ProcessType": "Background",
            "LowPriorityIO": True,
            "Nice": 10,
        }
        return plistlib.dumps(facts).decode()

    def install(self, task: NightTask) -> str:
        """Write the list and load it."""
        path = _path(task.name)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, self.text(task))
        run(["launchctl", "bootout", f"{_domain()}/{_label(task.name)}"], fine=_GONE)
        run(["launchctl", "bootstrap", _domain(), str(path)])
        return "A night that the machine slept through begins when it wakes."

    def installed(self, name: str) -> str:
        """Read the time from the list."""
        path = _path(name)
        with storage_errors(path):
            if not path.is_file():
                return ""
            facts = plistlib.loads(path.read_bytes())
        when = facts.get("StartCalendarInterval", {})
        return f"{int(when.get('Hour', 0)):02}:{int(when.get('Minute', 0)):02}"

    def remove(self, name: str) -> bool:
        """Unload the agent and remove its list."""
        path = _path(name)
        if not path.exists():
            return False
        run(["launchctl", "bootout", f"{_domain()}/{_label(name)}"], fine=_GONE)
        with storage_errors(path):
            path.unlink()
        return True


def _label(name: str) -> str:
    return f"org.{name}"


def _path(name: str) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{_label(name)}.plist"


def _domain() -> str:
    return f"gui/{os.getuid()}"
