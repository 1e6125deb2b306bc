"""A merge on trial: made of several slots' adapters, it passes the gates of a trained candidate, or is refused.

Adapters that are harmless alone can be harmful together (arXiv 2603.12681), so that the blend itself is measured. What
its parents had learned is looked at lesson by lesson: that one of them is lost is told and decides nothing, for whoever
asks for 0.7 of one and 0.3 of another asks for that; but a merge that keeps none of them is refused.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ...schemas.errors import UsageError
from ...schemas.records import Lesson, LessonOutcome, MergeFacts, Parent, StudyReport, StudyState
from ..host.plugins import PluginHost
from ..slots.adapter import Adapter
from ..slots.merging import MergeStrategy
from .candidate import Candidate, HeldOut
from .choose import choose_prompts
from .contracts import Gate, Rewriter
from .cut_base import CutBase, open_cut
from .job import MergeTask, Progress, StudyJob, StudyResult
from .measures import prepare_measures, say_with
from .plan import Plan, make_plan
from .projected import projection_of
from .recipe import Recipe, recipe_with
from .replies import Replies
from .stage import Stage, Tell
from .study import CANDIDATE, find_gates, search_scale, write_candidate

# Where each stage ends, as a share of a merge's time on two cores.
_MERGED, _CHOSEN, _ANSWERED, _HEARD = 0.15, 0.35, 0.5, 0.6

_FOLLOWING = "sticks"
"""The gate on what a study was to teach; a merge teaches nothing, and what it keeps is told lesson by lesson."""


async def try_merge(job: StudyJob, plugins: PluginHost, tell: Tell, recipe: Recipe | None = None) -> StudyResult:
    """Merge and measure, in this process.

    Returns:
        ACCEPTED with a candidate in ``job.folder`` and the lessons it kept, or REJECTED with the reason; with a report.

    Raises:
        NightSchoolError: If it could not be carried out; the slot is as it was.
    """
    recipe, task = recipe or recipe_with(job.numbers_of_own), job.merge
    assert task is not None
    began = time.monotonic()
    gates = [gate for gate in find_gates(plugins) if gate.name != _FOLLOWING]
    strategy = find_strategy(plugins, task.strategy)
    lessons = _by_weight(task)

    tell(Progress(stage="Merging", fraction=0.0))
    merged = strategy.merge([(Adapter.load(part.adapter), part.weight) for part in task.parts], task.options)
    tell(Progress(stage="Waking the base", fraction=_MERGED))
    rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
    # Nothing is trained, so there is nothing to train on.
    plan = replace(make_plan(rewriters, lessons, [], recipe), inside=[], outside=[])
    with open_cut(job, plugins) as whole:
        report, kept = await _tried(whole, job, plan, recipe, merged.adapter, gates=gates, tell=tell)
    report = report.model_copy(update={"seconds": time.monotonic() - began})
    if not report.accepted:
        return StudyResult(state=StudyState.REJECTED, report=report, reason=report.reason)
    return StudyResult(
        state=StudyState.ACCEPTED,
        candidate=job.folder / CANDIDATE,
        report=report,
        reason=_told(lessons, kept),
        merge=_facts(task, merged.adapter.rank, merged.error),
        kept=kept,
    )


async def _tried(
    whole: CutBase, job: StudyJob, plan: Plan, recipe: Recipe, adapter: Adapter, *, gates: Sequence[Gate], tell: Tell
) -> tuple[StudyReport, list[int]]:
    """Put a merged adapter on trial and write it; return what a report says, and the lessons that it kept."""
    task = job.merge
    assert task is not None
    replies = Replies(whole, job.cache, recipe.reply_tokens)
    choosing = Stage(tell, "Reading the base's own replies", _MERGED, _CHOSEN)
    plan = choose_prompts(plan, recipe, replies, choosing.at)
    answering = Stage(tell, "Reading the base's own replies", _CHOSEN, _ANSWERED)
    held = await prepare_measures(whole, plan, recipe, replies, cache=job.cache, adapter=None, tell=answering.at)
    held = _heard(whole, held, task, Stage(tell, "Hearing the slots themselves", _ANSWERED, _HEARD))
    checking = Stage(tell, "Checking what came of it", _HEARD, 1.0)
    candidate = Candidate(whole, adapter, held, recipe)
    results, tried = search_scale(candidate, gates, checking.at)
    lost = None
    if task.whole is not None:
        prompts = [prompt.text for prompt in (*plan.held_outside, *plan.held_inside)]
        lost = projection_of(whole, Adapter.load(task.whole), prompts, replies)
    outcomes = candidate.outcomes()
    kept = [outcome.lesson for outcome in outcomes if _is_kept(outcome, recipe)]
    reason = " ".join(result.text for result in results if not result.passed)
    if not reason and outcomes and not kept:
        reason = "It keeps no rule of any of the slots; take another strategy, or other weights."
    report = StudyReport(
        accepted=not reason,
        reason=reason,
        outcomes=outcomes,
        gates=results,
        scale=candidate.scale,
        tried=tried,
        adapter_bytes=write_candidate(candidate, job.folder / CANDIDATE),
        projection=lost,
    )
    return report, kept


def find_strategy(plugins: PluginHost, name: str) -> MergeStrategy:
    """Return a merge strategy by its name.

    Raises:
        UsageError: If no plugin supplies it.
    """
    strategies: list[MergeStrategy] = plugins.collect("nightschool_merges")
    for strategy in strategies:
        if strategy.name == name:
            return strategy
    known = ", ".join(sorted(strategy.name for strategy in strategies))
    raise UsageError(f"There is no merge strategy {name}; there is {known}.")


def _by_weight(task: MergeTask) -> list[Lesson]:
    """Return the lessons of all parts, each once; in conflicts the later one counts, so those of the heaviest are last.

    A part with no weight, or with one below 0, is there to be taken away: its lessons are not asked for.
    """
    ordered = sorted(task.parts, key=lambda part: part.weight)
    return list({lesson.id: lesson for part in ordered if part.weight > 0 for lesson in part.lessons}.values())


def _heard(whole: CutBase, held: HeldOut, task: MergeTask, stage: Stage) -> HeldOut:
    """Let each part answer the prompts of its own lessons, so that each is compared with the slot that has it."""
    said: dict[int, dict[str, str]] = {}
    asked = {lesson.id for lesson in held.plan.lessons}
    for number, part in enumerate(task.parts):
        stage.at(number / len(task.parts))
        mine = [lesson.id for lesson in part.lessons if lesson.id in asked]
        if mine:
            prompts = [prompt.text for prompt in held.plan.held_inside]
            replies = say_with(whole, prompts, held.replies, part.adapter, held.limit)
            said.update(dict.fromkeys(mine, replies))
    return replace(held, before_of=said)


def _is_kept(outcome: LessonOutcome, recipe: Recipe) -> bool:
    """Whether a lesson is followed about as often as by the slot that it comes from."""
    return outcome.after > 0 and outcome.after >= outcome.before - recipe.most_forgotten


def _told(lessons: Sequence[Lesson], kept: Sequence[int]) -> str:
    """Return which rules of the parents are kept, and which are not."""
    if not lessons:
        return ""
    lost = [f"“{lesson.rule}”" for lesson in lessons if lesson.id not in kept]
    said = f"{len(kept)} of {len(lessons)} rules of the slots are kept"
    return f"{said}; lost: {', '.join(lost)}." if lost else f"{said}."


def _facts(task: MergeTask, rank: int, error: float) -> MergeFacts:
    parents = [
        Parent(slot=part.slot, number=part.number, weight=part.weight, adapter_sha256=part.sha256)
        for part in task.parts
    ]
    return MergeFacts(strategy=task.strategy, options=task.options, parents=parents, rank=rank, error=error)
