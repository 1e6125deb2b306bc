"""The process of an audit: ``python -m nightschool.engine.study.audit_child JOB.json`` (see ``engine/child.py``)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from ..child import Tell, be_child
from .job import Progress, StudyJob


def main(job_file: str) -> int:
    """Run the audit of the version that a file describes and return the exit code."""

    def work(tell: Tell) -> Any:
        from ..base.device import telling_when_full
        from ..host.plugins import PluginHost
        from ..threads import use_all_cores
        from .audit import audit

        def told(progress: Progress) -> None:
            tell(progress.model_dump(mode="json"))

        use_all_cores()
        job = StudyJob.model_validate_json(Path(job_file).read_bytes())
        with telling_when_full(job.device):
            return asyncio.run(audit(job, PluginHost.load(third_party=False), told)).model_dump(mode="json")

    return be_child(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
