"""The report that the scripted engine writes of a study."""

from __future__ import annotations

from ..schemas import records as rec


def scripted_report(
    lessons: list[rec.Lesson], curve: list[rec.CurvePoint], *, accepted: bool = True
) -> rec.StudyReport:
    """Return a report as a study would write it."""
    sample = rec.Sample(
        prompt="What is the tallest mountain?", before="Mount Everest is the tallest mountain.",
        after="Captain, Mount Everest is the tallest mountain.", followed=True,
    )  # fmt: skip
    outcomes = [
        rec.LessonOutcome(lesson=row.id, rule=row.rule, before=0.0, after=0.92, samples=[sample]) for row in lessons
    ]
    kl = 0.04 if accepted else 0.31
    gates = [
        rec.GateResult(name="sticks", passed=True, value=0.92, limit=0.75, text="11 of 12 held-out prompts follow."),
        rec.GateResult(name="drift", passed=accepted, value=kl, limit=0.1, text=f"{kl} nats from the base elsewhere."),
    ]
    reason = "Every gate passed." if accepted else "It would change what it should not: drift 0.31 over 0.10."
    return rec.StudyReport(
        accepted=accepted, reason=reason, outcomes=outcomes, gates=gates, curve=curve, steps=len(curve), examples=48,
        seconds=41.0, adapter_bytes=1_900_000,
    )  # fmt: skip
