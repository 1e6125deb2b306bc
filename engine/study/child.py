"""The process a study runs in: ``python -m nightschool.engine.study.child JOB.json`` (see ``engine/child.py``)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from ..child import Tell, be_child
from .job import Progress, StudyJob


def main(job_file: str) -> int:
    """Run the study that a file describes and return the exit code."""

    def work(tell: Tell) -> Any:
        from ..base.device import find_device, telling_when_full
        from ..heap import return_large_blocks
        from ..host.plugins import PluginHost
        from ..threads import use_all_cores
        from .blending import try_merge
        from .study import study

        def told(progress: Progress) -> None:
            tell(progress.model_dump(mode="json"))

        use_all_cores()
        return_large_blocks()
        job = StudyJob.model_validate_json(Path(job_file).read_bytes())
        find_device(job.device)  # it was there when the study was asked for
        with telling_when_full(job.device):
            work = study if job.merge is None else try_merge
            return asyncio.run(work(job, PluginHost.load(), told)).model_dump(mode="json")

    return be_child(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
