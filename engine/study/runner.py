"""Running a study or an audit in a process of its own: the chat stays quick, and a crash of one is not the other's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ...schemas.audit import Audit
from ...schemas.errors import EngineError
from ...schemas.records import StudyState
from ..child import Ended, Pace, run_child
from ..files import storage_errors, write_atomic
from .job import Progress, StudyJob, StudyResult

__all__ = ["DIED", "Progress", "StudyJob", "StudyResult", "run_audit", "run_study"]

_CHILD = "nightschool.engine.study.child"
_AUDIT = "nightschool.engine.study.audit_child"
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
    return _result(await _run(_CHILD, job, tell, pace), job.folder / _LOG)


async def run_audit(job: StudyJob, tell: Callable[[Progress], None], pace: Pace | None = None) -> Audit:
    """Run the audit of the version ``job.adapter`` and return what was found.

    Raises:
        EngineError: If it could not be carried out.
        StorageError: If the job cannot be written.
    """
    ended = await _run(_AUDIT, job, tell, pace)
    if "result" in ended.last:
        return Audit.model_validate(ended.last["result"])
    error = ended.last.get("error", {"message": f"it ended with code {ended.code}; see {job.folder / _LOG}."})
    raise EngineError(f"The audit could not be carried out: {error['message']}")


async def _run(module: str, job: StudyJob, tell: Callable[[Progress], None], pace: Pace | None) -> Ended:
    with storage_errors(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    file, log = job.folder / "job.json", job.folder / _LOG
    write_atomic(file, job.model_dump_json(indent=2))
    return await run_child(module, (str(file),), log, lambda progress: tell(Progress.model_validate(progress)), pace)


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
