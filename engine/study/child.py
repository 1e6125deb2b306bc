"""The process a study runs in: ``python -m nightschool.engine.study.child JOB.json`` (see ``engine/child.py``)."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.records import StudyState
from ..child import Tell, be_child
from .job import Progress, StudyJob, StudyResult

if TYPE_CHECKING:
    from ..host.plugins import PluginProblem


_GIVE_BACK_SECONDS = 5.0  # between two times; a step frees as much as it takes


def main(job_file: str) -> int:
    """Run the study that a file describes and return the exit code."""

    def work(tell: Tell) -> Any:
        from ..base.device import find_device, telling_when_full
        from ..heap import give_back, keep_few_kernels, return_large_blocks
        from ..host.plugins import PluginHost
        from ..paths import Home
        from ..threads import use_all_cores
        from .blending import try_merge
        from .study import study

        given_back = 0.0

        def told(progress: Progress) -> None:
            nonlocal given_back
            tell(progress.model_dump(mode="json"))
            if time.monotonic() - given_back > _GIVE_BACK_SECONDS:
                give_back()
                given_back = time.monotonic()

        keep_few_kernels()
        return_large_blocks()
        use_all_cores()
        job = StudyJob.model_validate_json(Path(job_file).read_bytes())
        find_device(job.device)  # it was there when the study was asked for
        with telling_when_full(job.device):
            work = study if job.merge is None else try_merge
            home = Home(job.profile) if job.profile is not None else None
            plugins = PluginHost.load(home is not None, home=home, watched=job.folder)
            result = asyncio.run(work(job, plugins, told))
            plugins.close()
            return told_of(result, plugins.problems).model_dump(mode="json")

    return be_child(work)


def told_of(result: StudyResult, problems: Sequence[PluginProblem]) -> StudyResult:
    """Return a result that also says what plugins did wrong in the study.

    Where rules were checked by a rewriter that failed, a rejection is none: the lessons wait for the next study.
    """
    failed = [f"The plugin {problem.plugin}: {problem.text}" for problem in problems]
    blind = any(problem.hook == "nightschool_rewriters" for problem in problems)
    if blind and result.state is StudyState.REJECTED:
        result = result.model_copy(update={"state": StudyState.FAILED})
    return result.saying(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
