"""The morning report as Markdown: how studies ended, what they learned, each gate, replies before and after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ..schemas.records import GateResult, LessonOutcome, Sample, Study, StudyReport, StudyState
from .report_words import proofs
from .safe_text import one_line

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")
_ENDINGS = {
    StudyState.ACCEPTED: "accepted",
    StudyState.REJECTED: "rejected; the slot stays as it was",
    StudyState.CANCELLED: "cancelled; the slot stays as it was",
    StudyState.FAILED: "failed; the slot stays as it was",
    StudyState.RUNNING: "still running",
}


def report_markdown(studies: Sequence[Study], notes: Sequence[str] = ()) -> str:
    """Return studies, in the order given, as one document; ``notes`` say why other slots were not studied.

    Whatever was said by a user or a model is escaped, so that none of it is read as Markdown.
    """
    parts = ["# Morning report", *(_study(study) for study in studies)]
    if not studies:
        parts.append("Nothing was studied.")
    if notes:
        parts.append("\n".join(f"- {_plain(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _study(study: Study) -> str:
    begun = datetime.fromtimestamp(study.started, UTC).astimezone()
    made = f", generation {study.version}" if study.version is not None else ""
    parts = [f"## {_plain(study.slot)}: {_ENDINGS[study.state]}{made}", f"Study {study.id}, {begun:%Y-%m-%d %H:%M}."]
    reason = study.reason or (study.report.reason if study.report else "")
    parts += [_plain(reason)] if reason else []
    return "\n\n".join([*parts, *(_report(study.report) if study.report else [])])


def _report(report: StudyReport) -> Iterable[str]:
    if report.outcomes:
        yield "### What it learned"
        yield _outcomes(report.outcomes)
    if report.forgotten:
        yield "### What it forgot"
        yield _outcomes(report.forgotten)
    if report.gates:
        yield "### Gates"
        yield _table(("", "gate", "measured", "limit", "in words"), [_gate(gate) for gate in report.gates])
    samples = [sample for outcome in (*report.forgotten, *report.outcomes) for sample in outcome.samples]
    if samples:
        yield "### The same questions, before and after"
        yield "\n\n".join(map(_sample, samples))
    if told := proofs(report):
        yield "\n".join(f"- {_plain(line)}" for line in told)
    yield (
        f"{report.examples} examples, {report.steps} steps, {report.seconds:.0f} s, scale {report.scale:.2f}, adapter "
        f"{report.adapter_bytes / 1e6:.1f} MB."
    )


def _outcomes(outcomes: Sequence[LessonOutcome]) -> str:
    rows = [(_plain(row.rule), f"{row.before:.0%}", f"{row.after:.0%}") for row in outcomes]
    return _table(("lesson", "followed before", "and now"), rows)


def _gate(gate: GateResult) -> tuple[str, ...]:
    mark = "passed" if gate.passed else "**failed**"
    return mark, _plain(gate.name), f"{gate.value:.3g}", f"{gate.limit:.3g}", _plain(gate.text)


def _sample(sample: Sample) -> str:
    mark = "follows" if sample.followed else "does not follow"
    return f"**{_plain(sample.prompt)}**\n\n- before: {_plain(sample.before)}\n- after ({mark}): {_plain(sample.after)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return a text on one line, without anything that Markdown or a terminal would obey."""
    return _MARKS.sub(r"\\\1", one_line(text, 1000))
