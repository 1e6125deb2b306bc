"""A study that a plugin breaks goes on without it: its process is begun again, and what it had trained is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...schemas.records import StudyState
from ..settings import DEFAULT_TRAINER
from .rooms import Rooms

if TYPE_CHECKING:
    from ..study.runner import Progress, StudyJob, StudyResult

_log = logging.getLogger(__name__)

MOST = 5
"""Plugins that one study is begun again without."""
BROKEN = "PluginError"
"""The failure of a study in which a plugin failed, and nothing could stand in for its answer."""


async def run_spared(job: StudyJob, tell: Callable[[Progress], None], rooms: Rooms) -> StudyResult:
    """Run a study; where a plugin fails or takes its process with it, run it again without that plugin.

    A trainer that is gone so is replaced by the usual one, a router by none; a merge has nothing instead.
    """
    from ..study import runner

    notes: list[str] = []
    for _ in range(MOST):
        trainer = rooms.plugins.supplier("nightschool_trainers", job.trainer)
        router = rooms.plugins.supplier("nightschool_routers", job.router) if job.router else ""
        result = await runner.run_study(job, tell, rooms.pace)
        culprit = ""
        if result.failure == BROKEN:
            culprit = next((one for one in (trainer, router) if one and f"plugin {one} failed" in result.reason), "")
        if result.failure == runner.DIED:
            culprit = rooms.plugins.blame_child(job.folder, "took the study's process with it")
        await asyncio.to_thread(rooms.plugins.refresh)
        if result.state is not StudyState.FAILED or not culprit:
            break
        _log.warning("study %d goes on without the plugin %s: %s", job.study, culprit, result.reason)
        if job.merge is not None and rooms.plugins.supplier("nightschool_merges", job.merge.strategy) == culprit:
            notes.append(f"Its strategy is of the plugin {culprit}.")
            break
        notes.append(f"The plugin {culprit} failed ({_clause(result.reason)}), and the study went on without it.")
        if culprit == trainer:
            notes.append(f"{DEFAULT_TRAINER} taught in place of its trainer {job.trainer}.")
            job = job.model_copy(update={"trainer": DEFAULT_TRAINER})
        if culprit == router:
            job = job.model_copy(update={"router": ""})
    return result.saying(notes)


def _clause(sentence: str) -> str:
    return sentence.partition("; ")[0].rstrip(".")
