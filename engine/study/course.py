"""What a study teaches: everything up to the first optimizer step, and the rounds in which a trainer learns it.

A course is made once; any number of trainers can learn it, each from the same examples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...schemas.records import CurvePoint
from ..base.families import FAMILIES
from ..slots.adapter import HEAD_PROJECTIONS, Adapter
from .candidate import HeldOut
from .checkpoint import Checkpoints
from .choose import choose_prompts
from .contracts import LearnsFromPairs, Trainer
from .cut_base import CutBase
from .examples import Example, anchors, make_examples, shortened
from .exchanges import Exchanges
from .guards import prepare_guards
from .job import Progress, StudyJob
from .measures import prepare_measures, states_of
from .pairs import prepare_pairs
from .plan import Plan
from .reach import reach_of
from .recipe import Recipe
from .replies import Replies
from .revise import mixed, put_right
from .stage import Stage, Tell
from .targets import Prepared, prepare_examples
from .task import TrainingTask

# Where each stage ends, as a share of a study's time on two cores.
_LOADED, _CHOSEN, _ANSWERED, _PREPARED, _STUDIED, _REVISED, TRAINED = 0.06, 0.18, 0.28, 0.31, 0.62, 0.66, 0.84


@dataclass(frozen=True)
class Course:
    """Lessons as examples, ready to be trained on, and what a candidate will be measured on.

    Attributes:
        whole: With a plain tail.
        plan: With its prompts chosen.
        recipe: With replies as long as the plan's rules ask for.
        examples: What ``task`` was prepared from.
        task: Of the first round, without pairs.
        held: For measuring.
    """

    whole: CutBase
    plan: Plan
    recipe: Recipe
    examples: Sequence[Example]
    exchanges: Exchanges
    task: TrainingTask
    held: HeldOut


@dataclass(frozen=True)
class Learned:
    """What a trainer made of a course. ``examples``: how many were taught, those of a second round too."""

    adapter: Adapter
    curve: list[CurvePoint]
    examples: int


async def open_course(whole: CutBase, job: StudyJob, plan: Plan, recipe: Recipe, tell: Tell) -> Course:
    """Read the base's own replies and prepare examples.

    Raises:
        NightSchoolError: If it cannot be done.
    """
    recipe = reach_of(whole.base, plan, recipe)
    if not whole.cut:  # nothing but the final state can learn
        recipe = replace(recipe, rank=recipe.head_rank, learning_rate=recipe.head_rate)
    replies = Replies(whole, job.cache, recipe.reply_tokens)
    choosing = Stage(tell, "Reading the base's own replies", _LOADED, _CHOSEN)
    plan = choose_prompts(plan, recipe, replies, choosing.at)
    answering = Stage(tell, "Reading the base's own replies", _CHOSEN, _ANSWERED)
    held = await prepare_measures(whole, plan, recipe, replies, cache=job.cache, adapter=job.adapter, tell=answering.at)
    tell(Progress(stage="Preparing examples", fraction=_ANSWERED))
    examples = make_examples(whole.base, plan, replies, job.system, recipe, thumbs=job.thumbs)
    exchanges = Exchanges(whole.base, plan.rewriters)
    task = TrainingTask(
        tail=whole.tail,
        start=Adapter.load(job.adapter) if job.adapter is not None and not job.anew else None,
        examples=await _prepare(whole, examples, recipe, exchanges),
        guards=await prepare_guards(whole, states_of(whole, job.cache), recipe.probed) if recipe.guard else [],
        projections=FAMILIES[whole.base.card.family].projections if whole.cut else HEAD_PROJECTIONS,
        recipe=recipe,
    )
    return Course(whole, plan, recipe, examples, exchanges, task, held)


async def learn(course: Course, trainer: Trainer, checkpoints: Checkpoints, tell: Tell) -> Learned:
    """Have a trainer learn a course: a first round, and a second on its own replies that break a rule.

    Raises:
        StudyError: If nothing usable came out.
        StorageError: If what it knows cannot be kept.
    """
    whole, recipe = course.whole, course.recipe
    first = await _with_pairs(course, trainer, course.task, course.examples)
    adapter, curve = _train(trainer, checkpoints, first, Stage(tell, "Studying", _PREPARED, _STUDIED))
    looking = Stage(tell, "Looking back", _STUDIED, _REVISED)
    wrong = put_right(whole, course.plan, adapter, recipe, limit=course.held.limit, tell=looking.at)
    if wrong:
        further = await _prepare(whole, wrong, recipe, course.exchanges)
        again = await _with_pairs(course, trainer, _again(course.task, adapter, further), wrong)
        stage = Stage(tell, "Studying what was wrong", _REVISED, TRAINED)
        adapter, more = _train(trainer, checkpoints, again, stage, before=len(curve))
        curve += more
    return Learned(adapter, curve, len(course.examples) + len(wrong))


async def _prepare(whole: CutBase, examples: Sequence[Example], recipe: Recipe, exchanges: Exchanges) -> list[Prepared]:
    shorter = [shortened(example, recipe.after_change) for example in examples]
    return await prepare_examples(
        shorter, whole.provider, whole.tail, whole.cut, recipe.taught_above, exchanges=exchanges
    )


async def _with_pairs(
    course: Course, trainer: Trainer, task: TrainingTask, examples: Sequence[Example]
) -> TrainingTask:
    """Return a task with what a trainer that learns from pairs is given beside examples."""
    if not (isinstance(trainer, LearnsFromPairs) and trainer.learns_from_pairs):
        return task
    whole, recipe = course.whole, course.recipe
    unseen = itertools.islice(anchors(whole.base, recipe, training=True), recipe.anchors, recipe.anchors + recipe.held)
    held = await _prepare(whole, list(unseen), recipe, course.exchanges)
    return replace(task, held=held, pairs=await prepare_pairs(examples, whole.provider, whole.tail, whole.cut, recipe))


def _again(task: TrainingTask, adapter: Adapter, further: Sequence[Prepared]) -> TrainingTask:
    """Return the second round of a training: from what it gave, with further examples among the first ones."""
    recipe = task.recipe
    return replace(
        task,
        start=adapter,
        examples=mixed(task.examples, further, recipe.again_share),
        recipe=replace(
            recipe,
            steps=recipe.again_steps,
            learning_rate=recipe.again_rate,
            pair_steps=recipe.again_pairs,
            ban_steps=recipe.again_pairs,
            seed=recipe.seed + 1,
        ),
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

    return trainer.train(replace(task, checkpoint=checkpoints.of(task, trainer.name)), tell), curve
