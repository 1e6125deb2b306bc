"""The process a study runs in: ``python -m nightschool.engine.study.child JOB.json``, at low priority.

It says how far it is as JSON lines on standard output, the last of which is the result or the error:

    {"progress": {...}}        {"result": {...}}        {"error": {"code": "ModelDamaged", "message": "..."}}
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

from ...schemas.errors import NightSchoolError
from .job import Progress, StudyJob

_NICENESS = 5  # beside the engine's own


def main(job_file: str) -> int:
    """Run the study that a file describes and return the exit code."""
    lines = _take_over_output()
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    os.nice(_NICENESS)

    def tell(progress: Progress) -> None:
        _say(lines, {"progress": progress.model_dump(mode="json")})

    try:
        from ..host.plugins import PluginHost
        from ..threads import use_all_cores
        from .study import study

        use_all_cores()
        job = StudyJob.model_validate_json(Path(job_file).read_bytes())
        result = asyncio.run(study(job, PluginHost.load(), tell))
    except NightSchoolError as error:
        _say(lines, {"error": {"code": type(error).__name__, "message": str(error)}})
        return error.exit_code
    _say(lines, {"result": result.model_dump(mode="json")})
    return 0


def _end_with_the_engine() -> None:
    """Wait until standard input closes, which it does when the engine is gone however it went, and end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _take_over_output() -> TextIO:
    """Keep standard output for our lines; whatever a library prints goes to the log instead."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lines


def _say(lines: TextIO, message: dict[str, object]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
