"""A task of the Windows Task Scheduler: its XML, and in words how it is taken in by hand."""

from __future__ import annotations

import subprocess
import sys
from xml.sax.saxutils import escape

from ...schemas.errors import ScheduleError
from .task import NightTask

_TASK = """\
<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2026-01-01T{at}:00</StartBoundary>
      <ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>true</DisallowStartIfOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <Priority>8</Priority>
  </Settings>
  <Actions>
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


class Windows:
    """Gives the task's XML; installing it is left to the user, for it was never tried by us."""

    name = "windows"

    def usable(self) -> bool:
        """Whether this is Windows."""
        return sys.platform == "win32"

    def text(self, task: NightTask) -> str:
        """Return the XML."""
        program, *arguments = task.command
        return _TASK.format(at=task.at, program=escape(program), arguments=escape(subprocess.list2cmdline(arguments)))

    def install(self, task: NightTask) -> str:
        """Refuse, and say how.

        Raises:
            ScheduleError: Always.
        """
        raise ScheduleError(
            "The Windows Task Scheduler is not set up from here: write `nightschool nightly install --print` to "
            f"night.xml and run `schtasks /Create /TN {task.name} /XML night.xml`."
        )

    def installed(self, name: str) -> str:
        """Not known."""
        return ""

    def remove(self, name: str) -> bool:
        """Nothing was installed from here."""
        return False
