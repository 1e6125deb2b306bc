"""Running a study in a process of its own, so that the chat stays quick and a crash of one is not one of the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ...schemas.records import StudyState
from ..child import Ended, Pace, run_child
from ..files import storage_errors, write_atomic
from .job import Progress, StudyJob, StudyResult

__all__ = ["DIED", "Progress", "StudyJob", "StudyResult", "run_study"]

_CHILD = "nightschool.engine.study.child"
_LOG = "study.log"
DIED = "Died"
"""What stands for an error where the process ended without a word."""


async def run_study(job: StudyJob, tell: Callable[[Progress], None], pace: Pace | None = None) -> StudyResult:
    """Run a study and return how it ended; a study that merely failed is a result, not an error.

    Cancelling the task kills the process; nothing of the slot has been touched then, and an equal study goes on from
    its last steps. ``pace`` lets it rest.

    Raises:
        StorageError: If the job cannot be written.
    """
    with storage_errors(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    file, log = job.folder / "job.json", job.folder / _LOG
    write_atomic(file, job.model_dump_json(indent=2))
    ended = await run_child(_CHILD, (str(file),), log, lambda progress: tell(Progress.model_validate(progress)), pace)
    return _result(ended, log)


def _result(ended: Ended, log: Path) -> StudyResult:
    if "result" in ended.last:
        with suppress(ValidationError):
            return StudyResult.model_validate(ended.last["result"])
    if "error" in ended.last:
        error = ended.last["error"]
        return StudyResult(state=StudyState.FAILED, reason=str(error["message"]), failure=str(error["code"]))
    code = ended.code
    how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
    reason = f"The study {how} before it was done; study again, or look into {log}."
    return StudyResult(state=StudyState.FAILED, reason=reason, failure=DIED)
