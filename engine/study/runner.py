"""Running a study in a process of its own, so that the chat stays quick and a crash of one is not one of the other."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...schemas.records import StudyState
from ..files import storage_errors, write_atomic
from .job import Progress, StudyJob, StudyResult

__all__ = ["Progress", "StudyJob", "StudyResult", "run_study"]

_LINE = 8 * 2**20  # bytes of the longest line: a report with its samples
_LOG = "study.log"


async def run_study(job: StudyJob, tell: Callable[[Progress], None]) -> StudyResult:
    """Run a study and return how it ended; a study that merely failed is a result, not an error.

    Cancelling the task kills the process; nothing of the slot has been touched then.

    Raises:
        StorageError: If the job cannot be written.
    """
    with storage_errors(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    write_atomic(job.folder / "job.json", job.model_dump_json(indent=2))
    with storage_errors(job.folder), (job.folder / _LOG).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nightschool.engine.study.child", str(job.folder / "job.json")),
            stdin=PIPE,  # held open: its end tells the process that nobody waits for it any more
            stdout=PIPE,
            stderr=log,
            limit=_LINE,
        )
    try:
        last = await _listen(process, tell)
        code = await process.wait()
    finally:
        await _end(process)
    return _result(last, code, job.folder / _LOG)


async def _listen(process: Process, tell: Callable[[Progress], None]) -> dict[str, Any]:
    """Pass progress on and return the last message of another kind, {} if none came."""
    last: dict[str, Any] = {}
    assert process.stdout is not None
    async for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            tell(Progress.model_validate(message["progress"]))
        else:
            last = message
    return last


def _result(last: dict[str, Any], code: int, log: Path) -> StudyResult:
    if "result" in last:
        with suppress(ValidationError):
            return StudyResult.model_validate(last["result"])
    if "error" in last:
        return StudyResult(state=StudyState.FAILED, reason=str(last["error"]["message"]))
    ended = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
    return StudyResult(
        state=StudyState.FAILED, reason=f"The study {ended} before it was done; study again, or look into {log}."
    )


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
