"""A study's report in words and numbers: the morning report, and what a generation says of itself."""

from __future__ import annotations

from textual.content import Content

from ...schemas.records import GateResult, LessonOutcome, Sample, Study, StudyReport, StudyState
from ..report_words import proofs
from ..safe_text import one_line, safe
from .status_line import bar, clock

RULE = 300
SAMPLES = 3


def verdict(study: Study) -> Content:
    """Return the first line: how the study ended, and why."""
    base = one_line(study.report.base, 60) if study.report is not None else ""
    answers = f"answers with {base}" if base else "answers from now on"
    words = {
        StudyState.ACCEPTED: (f"✓ Accepted: generation {study.version} {answers}.", "bold $success"),
        StudyState.REJECTED: ("✗ Rejected: the slot stays as it was.", "bold $error"),
        StudyState.CANCELLED: ("– Cancelled: the slot stays as it was.", "bold $warning"),
        StudyState.FAILED: ("✗ Failed: the slot stays as it was.", "bold $error"),
        StudyState.RUNNING: ("☾ Still running.", "bold $accent"),
    }
    reason = one_line(study.reason or (study.report.reason if study.report else ""), 600)
    return Content.assemble(words[study.state], f"\n{reason}\n" if reason else "\n")


def report_text(report: StudyReport) -> Content:
    """Return the whole report."""
    parts = [Content.styled("What it learned", "bold $primary")]
    parts += [_outcome(outcome) for outcome in report.outcomes] or [Content("nothing")]
    if report.forgotten:
        parts += [Content(""), Content.styled("What it forgot", "bold $primary"), *map(_outcome, report.forgotten)]
    if report.comparison is not None:
        parts += [Content(""), Content.styled("Trained anew, beside what was there", "bold $primary")]
        rows = (("trained anew", report.comparison.rebuilt), ("as it grew  ", report.comparison.continued))
        parts += [
            Content(f"  {name}  followed {one.stick:.0%} · moved {one.kept_kl:.3f} · prose {one.neutral_kl:.3f} nats")
            for name, one in rows
        ]
    parts += [Content(""), Content.styled("Gates", "bold $primary")]
    parts += [_gate(gate) for gate in report.gates]
    samples = [sample for outcome in (*report.forgotten, *report.outcomes) for sample in outcome.samples[:SAMPLES]]
    if samples:
        parts += [Content(""), Content.styled("The same questions, before and after", "bold $primary")]
        parts += [_sample(sample) for sample in samples]
    facts = (
        f"{report.examples} examples · {report.steps} steps · {clock(report.seconds)} · adapter "
        f"{report.adapter_bytes / 1e6:.1f} MB · scale {report.scale:.2f}"
    )
    parts += [Content(""), *(Content.styled(line, "$foreground-muted") for line in proofs(report))]
    parts += [Content(""), Content.styled(facts, "$foreground-muted")]
    return Content("\n").join(parts)


def _outcome(outcome: LessonOutcome) -> Content:
    return Content.assemble(
        (f"  {one_line(outcome.rule, RULE)}\n", "bold"),
        "    before ", bar(outcome.before, 12), f" {outcome.before:>4.0%}   after ",
        bar(outcome.after, 12), (f" {outcome.after:>4.0%}", "bold"),
    )  # fmt: skip


def _gate(gate: GateResult) -> Content:
    mark, style = ("✓", "$success") if gate.passed else ("✗", "bold $error")
    return Content.assemble(
        (f"  {mark} {one_line(gate.name, 24):<14}", style),
        f" {gate.value:.3g} (limit {gate.limit:.3g})",
        (f"\n    {one_line(gate.text, RULE)}", "$foreground-muted"),
    )


def _sample(sample: Sample) -> Content:
    mark = ("✓", "$success") if sample.followed else ("✗", "$error")
    return Content.assemble(
        "  ", mark, (f" {one_line(sample.prompt, RULE)}\n", "bold"),
        ("    before  ", "$foreground-muted"), f"{_short(sample.before)}\n",
        ("    after   ", "$foreground-muted"), _short(sample.after),
    )  # fmt: skip


def _short(text: str) -> str:
    return one_line(safe(text), 240)
