"""One study, from lessons to a candidate that earned its place or was turned away with a reason (DESIGN 4.1).

lessons -> plan -> base replies -> examples -> states -> trainer -> candidate -> line search over the gates -> report
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...schemas.errors import PluginError
from ...schemas.records import CurvePoint, GateResult, StudyReport, StudyState
from ..base.families import FAMILIES
from ..host.plugins import PluginHost
from ..slots.adapter import Adapter
from .candidate import Candidate
from .checkpoint import Checkpoints
from .choose import choose_prompts
from .compare import compare, standing_of, words_of
from .contracts import Gate, Rewriter, Trainer
from .cut_base import CutBase
from .examples import Example, make_examples, shortened
from .exchanges import Exchanges
from .job import Progress, StudyJob, StudyResult
from .measures import prepare_measures
from .plan import Plan, make_plan
from .recipe import Recipe
from .replies import Replies
from .revise import mixed, put_right
from .stage import Stage, Tell
from .targets import Prepared, prepare_examples
from .task import TrainingTask

# Where each stage ends, as a share of a study's time on two cores.
_LOADED, _CHOSEN, _ANSWERED, _PREPARED, _STUDIED, _REVISED, _TRAINED = 0.06, 0.18, 0.28, 0.31, 0.62, 0.66, 0.84

ALWAYS_ASKED = frozenset({"refusals", "overrefusal", "sycophancy"})
"""Gates on safety (DESIGN 2.6): without one of them there is no study."""


async def study(job: StudyJob, plugins: PluginHost, tell: Tell, recipe: Recipe | None = None) -> StudyResult:
    """Run a study in this process.

    Returns:
        ACCEPTED with a candidate in ``job.folder``, or REJECTED with the reason; with a report if it got to training.

    Raises:
        NightSchoolError: If it could not be carried out; the slot is as it was.
    """
    recipe = recipe or Recipe()
    began = time.monotonic()
    rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
    gates = _gates(plugins)
    plan = make_plan(rewriters, job.known, job.lessons, recipe, job.forgotten)
    if reason := _why_not(job, plan):
        return StudyResult(state=StudyState.REJECTED, reason=reason)

    tell(Progress(stage="Waking the base", fraction=0.0))
    whole = CutBase.open(job, plugins)
    replies = Replies(whole.base, job.cache, job.system, recipe.reply_tokens)
    choosing = Stage(tell, "Reading the base's own replies", _LOADED, _CHOSEN)
    plan = choose_prompts(whole, plan, recipe, replies, choosing.at)
    answering = Stage(tell, "Reading the base's own replies", _CHOSEN, _ANSWERED)
    held = await prepare_measures(whole, plan, recipe, replies, cache=job.cache, adapter=job.adapter, tell=answering.at)

    tell(Progress(stage="Preparing examples", fraction=_ANSWERED))
    examples = make_examples(whole.base, plan, replies, job.system, recipe)
    exchanges = Exchanges(whole.base, plan.rewriters)
    task = TrainingTask(
        tail=whole.tail,
        start=Adapter.load(job.adapter) if job.adapter is not None and not job.anew else None,
        examples=await _prepare(whole, examples, recipe, exchanges),
        projections=FAMILIES[whole.base.card.family].projections,
        recipe=recipe,
    )
    checkpoints = Checkpoints(job, whole.base.card)
    train = partial(_train, plugins.collect("nightschool_trainers")[0], checkpoints)
    adapter, curve = train(task, Stage(tell, "Studying", _PREPARED, _STUDIED))
    looking = Stage(tell, "Looking back", _STUDIED, _REVISED)
    wrong = put_right(whole, plan, adapter, recipe, limit=held.limit, tell=looking.at)
    if wrong:
        further = await _prepare(whole, wrong, recipe, exchanges)
        stage = Stage(tell, "Studying what was wrong", _REVISED, _TRAINED)
        adapter, more = train(_again(task, adapter, further), stage, before=len(curve))
        curve += more

    checking = Stage(tell, "Checking what was learned", _TRAINED, 1.0)
    rival = None
    if job.rebuild and job.adapter is not None:
        rival = standing_of(whole, Adapter.load(job.adapter), held, recipe, job.system)
    candidate = Candidate(whole.base, whole.trunk, whole.tail, adapter, held, recipe, job.system)
    results = _search(candidate, gates, checking.at)
    passed = all(result.passed for result in results)
    reason = " ".join(result.text for result in results if not result.passed)
    comparison = compare(candidate, rival) if rival is not None else None
    if comparison is not None and passed:
        passed, reason = comparison.rebuilt_is_better, words_of(comparison, candidate.outcomes())
    report = StudyReport(
        accepted=passed,
        reason=reason,
        outcomes=candidate.outcomes(),
        forgotten=candidate.forgotten(),
        gates=results,
        curve=curve,
        steps=len(curve),
        examples=len(examples) + len(wrong),
        scale=candidate.scale,
        comparison=comparison,
    )
    # One that was turned away is written as well: whoever wants to know why can look at what it does.
    size = _write(candidate, job.folder / "candidate")
    report = report.model_copy(update={"adapter_bytes": size, "seconds": time.monotonic() - began})
    checkpoints.drop()
    if not passed:
        return StudyResult(state=StudyState.REJECTED, report=report, reason=reason)
    return StudyResult(
        state=StudyState.ACCEPTED,
        candidate=job.folder / "candidate",
        report=report,
        reason=" ".join([reason, *plan.unlearnable.values()]).strip(),
    )


def _why_not(job: StudyJob, plan: Plan) -> str:
    """Return why there is nothing to be trained; empty if there is."""
    if job.anew:
        lost = [lesson.rule for lesson in job.known if lesson not in plan.lessons]
        return f"“{lost[0]}” would be lost by it, since it cannot be taught now; nothing was changed." if lost else ""
    return "" if plan.new else " ".join(plan.unlearnable.values()) or "No lesson can be taught now."


def _gates(plugins: PluginHost) -> list[Gate]:
    """Return the gates.

    Raises:
        PluginError: If one is missing that no study may do without.
    """
    gates: list[Gate] = plugins.collect("nightschool_gates")
    missing = ALWAYS_ASKED - {gate.name for gate in gates}
    if missing:
        raise PluginError(f"The gate {min(missing)!r} is missing, and nothing is learned without it; reinstall.")
    return gates


def _write(candidate: Candidate, folder: Path) -> int:
    """Write the candidate's files and return the bytes of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    return candidate.scaled_adapter().save(folder, candidate.base.card.name)


async def _prepare(whole: CutBase, examples: Sequence[Example], recipe: Recipe, exchanges: Exchanges) -> list[Prepared]:
    shorter = [shortened(example, recipe.after_change) for example in examples]
    return await prepare_examples(
        shorter, whole.provider, whole.tail, whole.cut, recipe.taught_above, exchanges=exchanges
    )


def _again(task: TrainingTask, adapter: Adapter, further: Sequence[Prepared]) -> TrainingTask:
    """Return the second round of a training: from what it gave, with further examples among the first ones."""
    recipe = task.recipe
    return replace(
        task,
        start=adapter,
        examples=mixed(task.examples, further, recipe.again_share),
        recipe=replace(recipe, steps=recipe.again_steps, learning_rate=recipe.again_rate, seed=recipe.seed + 1),
    )


def _train(
    trainer: Trainer, checkpoints: Checkpoints, task: TrainingTask, stage: Stage, before: int = 0
) -> tuple[Adapter, list[CurvePoint]]:
    """Train, or go on where an equal study was cut, counting steps on from those done ``before``."""
    curve: list[CurvePoint] = []

    def tell(point: CurvePoint, steps: int) -> None:
        point = point.model_copy(update={"step": point.step + before})
        curve.append(point)
        stage.step(point, steps + before, before)

    return trainer.train(replace(task, checkpoint=checkpoints.of(task)), tell), curve


def _search(candidate: Candidate, gates: Sequence[Gate], tell: Callable[[float], None]) -> list[GateResult]:
    """Shrink the candidate until every gate passes (DESIGN 2.6); return the results at the scale it is left at.

    Gates that shrinking can help are asked first; when another one fails, a smaller scale would fail too.
    """
    ordered = sorted(gates, key=lambda gate: not gate.shrinking_helps)
    scales = candidate.recipe.scales
    results: list[GateResult] = []
    for number, scale in enumerate(scales):
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
    return results
