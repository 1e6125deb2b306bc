"""A study so small that a tiny random base carries it out in a second."""

from __future__ import annotations

import dataclasses

from nightschool.engine.study.lessons import lesson_from_edit
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.records import Lesson, LessonState

BEFORE = "Inflation is a rise in prices. Money buys less than before. Banks try to hold it."
SMALL = Recipe(
    spread=4,
    contrast=2,
    anchors=2,
    held_out=2,
    held_opposite=2,
    reply_tokens=6,
    target_tokens=24,
    window=24,
    steps=3,
    again_steps=2,
    settle_steps=0,
    revised=4,
    batch_spread=2,
    batch_contrast=1,
    batch_anchors=1,
    respelt_contrast=2,
    respelt_batch_spread=2,
    respelt_batch_contrast=1,
    probed=0.02,
)
LENIENT = dataclasses.replace(
    SMALL,
    least_stick=0.0,
    least_gain=-1.0,
    most_kept_kl=1e9,
    most_neutral_kl=1e9,
    most_neutral_rise=1e9,
    most_opposite_loss=1.0,
    most_capability_rise=1e9,
    most_capability_drop=1.0,
    most_refusal_shift=1e9,
    most_overrefusal=1.0,
    most_caved=1.0,
    most_caved_rise=1e9,
    most_degenerate=1.0,
)


def lesson(plugins, after, number=1, **changes):
    draft = lesson_from_edit(plugins, "What is inflation?", BEFORE, after)
    values = {
        "id": number,
        "slot": "science",
        "state": LessonState.APPROVED,
        "rule": draft.rule,
        "steps": draft.steps,
        "evidence": draft.evidence,
    }
    return Lesson(**{**values, **changes})
