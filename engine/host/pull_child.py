"""The process a base is fetched in: ``python -m nightschool.engine.host.pull_child PROFILE SPEC``, at low priority.

It says how far it is as JSON lines on standard output, the last of which is the folder or the error:

    {"stage": "...", "fraction": 0.4}    {"folder": "..."}    {"error": {"code": "ModelNotFound", "message": "..."}}
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

from ...schemas.errors import NightSchoolError
from ..paths import Home

_NICENESS = 5  # beside the engine's own


def main(profile: str, spec: str) -> int:
    """Prepare one base and return the exit code."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints goes to the log
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    os.nice(_NICENESS)

    def tell(stage: str, fraction: float | None) -> None:
        _say(lines, {"stage": stage, "fraction": fraction})

    try:
        from ..base.library import prepare
        from ..threads import use_all_cores

        use_all_cores()
        folder = prepare(spec, Home(Path(profile)), tell)
    except NightSchoolError as error:
        _say(lines, {"error": {"code": type(error).__name__, "message": str(error)}})
        return error.exit_code
    _say(lines, {"folder": str(folder)})
    return 0


def _end_with_the_engine() -> None:
    """Wait until standard input closes, which it does when the engine is gone however it went, and end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _say(lines: TextIO, message: dict[str, object]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
