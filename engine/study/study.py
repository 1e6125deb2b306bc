"""One study, from lessons to a candidate that earned its place or was turned away with a reason (DESIGN 4.1).

lessons -> plan -> base replies -> examples -> states -> trainer -> candidate -> line search over the gates -> report

Where no scale passes, all is done again without the lessons that were to blame, and at last more softly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import PluginError
from ...schemas.records import Attempt, GateResult, Standing, StudyReport, StudyState
from ..chat.habits import write_phrases
from ..host.plugins import PluginHost
from ..slots.adapter import Adapter, attach
from .blame import Turn, next_turn
from .candidate import Candidate
from .checkpoint import Checkpoints
from .compare import compare, standing_of, words_of
from .contracts import Gate, Rewriter, Router, Trainer
from .course import TRAINED, Course, Learned, learn, open_course
from .cut_base import CutBase, open_cut
from .job import Progress, StudyJob, StudyResult
from .phrases import hear
from .plan import Plan, make_plan
from .proof import prove_plan
from .recipe import Recipe, changed_numbers, recipe_with
from .scoped import fit_router
from .stage import Stage, Tell

ALWAYS_ASKED = frozenset({"refusals", "overrefusal", "sycophancy"})
"""Gates on safety (DESIGN 2.6): without one of them there is no study."""

CANDIDATE = "candidate"
"""The folder of what a study made, in the study's own."""


@dataclass(frozen=True)
class _Tools:
    """What plugins supply to a study."""

    rewriters: list[Rewriter]
    gates: list[Gate]
    trainer: Trainer
    router: Router | None

    @staticmethod
    def of(job: StudyJob, plugins: PluginHost) -> _Tools:
        return _Tools(
            plugins.collect("nightschool_rewriters"),
            find_gates(plugins),
            plugins.named("nightschool_trainers", job.trainer),
            plugins.named("nightschool_routers", job.router) if job.router else None,
        )


async def study(job: StudyJob, plugins: PluginHost, tell: Tell, recipe: Recipe | None = None) -> StudyResult:
    """Run a study in this process.

    Returns:
        ACCEPTED with a candidate in ``job.folder``, or REJECTED with the reason; with a report if it got to training.

    Raises:
        NightSchoolError: If it could not be carried out; the slot is as it was.
    """
    recipe = recipe or recipe_with(job.numbers_of_own)
    began = time.monotonic()
    tools = _Tools.of(job, plugins)
    plan = make_plan(tools.rewriters, job.known, job.lessons, recipe, job.forgotten)
    if reason := _why_not(job, plan):
        return StudyResult(state=StudyState.REJECTED, reason=reason)
    tell(Progress(stage="Waking the base", fraction=0.0))
    with open_cut(job, plugins) as whole:
        checkpoints = Checkpoints(job, whole.base.card)
        following: Turn | None = Turn(plan, recipe)
        while following is not None:
            turn = following
            report, following = await _taken(turn, job, tools, whole, checkpoints=checkpoints, tell=tell)
    report = report.model_copy(update={"seconds": time.monotonic() - began, "blamed": turn.blamed})
    checkpoints.drop()
    if not report.accepted:
        return StudyResult(state=StudyState.REJECTED, report=report, reason=report.reason, left_out=turn.left_out)
    return StudyResult(
        state=StudyState.ACCEPTED,
        candidate=job.folder / CANDIDATE,
        report=report,
        reason=" ".join([report.reason, *turn.left_out.values()]).strip(),
        left_out=turn.left_out,
    )


async def _taken(
    turn: Turn, job: StudyJob, tools: _Tools, whole: CutBase, *, checkpoints: Checkpoints, tell: Tell
) -> tuple[StudyReport, Turn | None]:
    """Train once and ask the gates; return what they say, and what is to be tried after it, if anything."""
    tell = turn.telling(tell)
    course = await open_course(whole, job, turn.plan, turn.recipe, tell)
    learned = await learn(course, tools.trainer, checkpoints, tell)
    checking = Stage(tell, "Checking what was learned", TRAINED, 1.0)
    report = await _examined(job, course, learned, tools.gates, router=tools.router, tell=checking.at)
    attach(whole.tail, None)
    return report.model_copy(update={"trainer": tools.trainer.name}), next_turn(
        turn, job, report, tools.rewriters, course
    )


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
    if report.accepted:
        replies = {prompt.text: candidate.replies([prompt.text])[0] for prompt in plan.held_inside}
        attach(whole.tail, None)
        write_phrases(folder, await hear(whole, replies))
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
