"""One study, from lessons to a candidate that earned its place or was turned away with a reason (DESIGN 4.1).

lessons -> plan -> base replies -> examples -> states -> trainer -> candidate -> line search over the gates -> report

Where no scale passes, all is done again without the lessons that were to blame, and at last more softly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...schemas.errors import PluginError
from ...schemas.records import Attempt, GateResult, Standing, StudyReport, StudyState
from ..host.plugins import PluginHost
from ..slots.adapter import Adapter, attach
from .blame import Turn, next_turn
from .candidate import Candidate
from .checkpoint import Checkpoints
from .compare import compare, standing_of, words_of
from .contracts import Gate, Rewriter, Router, Trainer
from .course import TRAINED, Course, Learned, learn, open_course
from .cut_base import open_cut
from .job import Progress, StudyJob, StudyResult
from .plan import Plan, make_plan
from .proof import prove_plan
from .recipe import Recipe, changed_numbers, recipe_with
from .scoped import fit_router
from .stage import Stage, Tell

ALWAYS_ASKED = frozenset({"refusals", "overrefusal", "sycophancy"})
"""Gates on safety (DESIGN 2.6): without one of them there is no study."""

CANDIDATE = "candidate"
"""The folder of what a study made, in the study's own."""


async def study(job: StudyJob, plugins: PluginHost, tell: Tell, recipe: Recipe | None = None) -> StudyResult:
    """Run a study in this process.

    Returns:
        ACCEPTED with a candidate in ``job.folder``, or REJECTED with the reason; with a report if it got to training.

    Raises:
        NightSchoolError: If it could not be carried out; the slot is as it was.
    """
    recipe = recipe or recipe_with(job.numbers_of_own)
    began = time.monotonic()
    rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
    gates = find_gates(plugins)
    plan = make_plan(rewriters, job.known, job.lessons, recipe, job.forgotten)
    if reason := _why_not(job, plan):
        return StudyResult(state=StudyState.REJECTED, reason=reason)

    trainer: Trainer = plugins.named("nightschool_trainers", job.trainer)
    router: Router | None = plugins.named("nightschool_routers", job.router) if job.router else None
    tell(Progress(stage="Waking the base", fraction=0.0))
    with open_cut(job, plugins) as whole:
        checkpoints = Checkpoints(job, whole.base.card)
        turn: Turn | None = Turn(plan, recipe)
        while turn is not None:
            last = turn
            course = await open_course(whole, job, turn.plan, turn.recipe, turn.telling(tell))
            learned = await learn(course, trainer, checkpoints, turn.telling(tell))
            checking = Stage(turn.telling(tell), "Checking what was learned", TRAINED, 1.0)
            report = await _examined(job, course, learned, gates, router=router, tell=checking.at)
            attach(whole.tail, None)
            turn = next_turn(turn, job, report, rewriters, course)
    seconds = time.monotonic() - began
    report = report.model_copy(update={"trainer": trainer.name, "seconds": seconds, "blamed": last.blamed})
    checkpoints.drop()
    ended = StudyResult(state=StudyState.REJECTED, report=report, reason=report.reason, left_out=last.left_out)
    if not report.accepted:
        return ended
    reason = " ".join([report.reason, *last.left_out.values()]).strip()
    found: dict[str, object] = {"state": StudyState.ACCEPTED, "candidate": job.folder / CANDIDATE, "reason": reason}
    return ended.model_copy(update=found)


async def _examined(
    job: StudyJob,
    course: Course,
    learned: Learned,
    gates: Sequence[Gate],
    *,
    router: Router | None,
    tell: Callable[[float], None],
) -> StudyReport:
    """Put what was learned on trial and write it, also if it was turned away: who wants to know why can look at it."""
    whole, plan, recipe, held = course.whole, course.plan, course.recipe, course.held
    grown = job.adapter if job.rebuild else None
    rival = standing_of(whole, Adapter.load(grown), held, recipe) if grown is not None else None
    candidate = Candidate(whole, learned.adapter, held, recipe)
    report = _judged(candidate, gates, rival, tell)
    folder = job.folder / CANDIDATE
    found: dict[str, object] = {
        "curve": learned.curve,
        "steps": len(learned.curve),
        "examples": learned.examples,
        "numbers": changed_numbers(recipe_with(job.numbers_of_own)),
        "prompts": prove_plan(plan),
        "adapter_bytes": write_candidate(candidate, folder),
    }
    if report.accepted and router is not None:
        routing, found["router"] = await fit_router(whole, plan, router, recipe)
        if routing is not None:
            routing.save(folder)
    return report.model_copy(update=found)


def _judged(
    candidate: Candidate, gates: Sequence[Gate], rival: Standing | None, tell: Callable[[float], None]
) -> StudyReport:
    """Ask the gates, and compare with the version that a slot trained anew is to replace; return what a report says."""
    results, tried = search_scale(candidate, gates, tell)
    passed = all(result.passed for result in results)
    reason = " ".join(result.text for result in results if not result.passed)
    outcomes = candidate.outcomes()
    comparison = compare(candidate, rival) if rival is not None else None
    if comparison is not None and passed:
        passed, reason = comparison.rebuilt_is_better, words_of(comparison, outcomes)
    return StudyReport(
        accepted=passed,
        reason=reason,
        outcomes=outcomes,
        forgotten=candidate.forgotten(),
        gates=results,
        scale=candidate.scale,
        tried=tried,
        comparison=comparison,
    )


def _why_not(job: StudyJob, plan: Plan) -> str:
    """Return why there is nothing to be trained; empty if there is."""
    if job.anew:
        lost = [lesson.rule for lesson in job.known if lesson not in plan.lessons]
        return f"“{lost[0]}” would be lost by it, since it cannot be taught now; nothing was changed." if lost else ""
    return "" if plan.new else " ".join(plan.unlearnable.values()) or "No lesson can be taught now."


def find_gates(plugins: PluginHost) -> list[Gate]:
    """Return the gates.

    Raises:
        PluginError: If one is missing that no study may do without.
    """
    gates: list[Gate] = plugins.collect("nightschool_gates")
    missing = ALWAYS_ASKED - {gate.name for gate in gates}
    if missing:
        raise PluginError(f"The gate {min(missing)!r} is missing, and nothing is learned without it; reinstall.")
    return gates


def write_candidate(candidate: Candidate, folder: Path) -> int:
    """Write the candidate's files and return the bytes of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    return candidate.scaled_adapter().save(folder, candidate.base.card.name)


def search_scale(
    candidate: Candidate, gates: Sequence[Gate], tell: Callable[[float], None]
) -> tuple[list[GateResult], list[Attempt]]:
    """Shrink the candidate until every gate passes (DESIGN 2.6).

    Return the results at the scale it is left at, and what turned the larger ones away.

    Gates that shrinking can help are asked first; when another one fails, a smaller scale would fail too.
    """
    ordered = sorted(gates, key=lambda gate: not gate.shrinking_helps)
    scales = candidate.recipe.scales
    results: list[GateResult] = []
    tried: list[Attempt] = []
    for number, scale in enumerate(scales):
        if number:
            tried.append(Attempt(scale=candidate.scale, failed=[result for result in results if not result.passed]))
        candidate.scale_to(scale)
        results = []
        hopeless = False
        for place, gate in enumerate(ordered):
            tell((number + place / len(ordered)) / len(scales))
            judged = gate.judge(candidate)
            results += judged
            if not all(result.passed for result in judged):
                hopeless = not gate.shrinking_helps
                break
        if hopeless or all(result.passed for result in results):
            break
    return results, tried
