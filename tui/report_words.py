"""What a study's report says beside its gates. The command line, the app and Markdown say the same."""

from __future__ import annotations

from ..schemas.records import Blame, StudyReport
from .safe_text import one_line


def proofs(report: StudyReport) -> list[str]:
    """Return what a report says of its line search, its prompts, its router and its numbers, a sentence each."""
    prompts, router = report.prompts, report.router
    said = [_blamed(blame) for blame in report.blamed]
    said += [
        f"Too strong at {attempt.scale:.0%}: {one_line(' '.join(gate.text for gate in attempt.failed), 300)}"
        for attempt in report.tried
    ]
    if prompts is not None:
        said.append(f"{prompts.trained} prompts taught, {prompts.checked} others checked on, {prompts.shared} in both.")
    if router is not None and router.hit is not None and router.quiet is not None:
        use = "asked in chats" if router.kept else "not used"
        found = f"{router.hit:.0%} of unseen prompts in scope and {router.quiet:.0%} of the others seen as such"
        said.append(f"Router {one_line(router.name, 40)}: {found}; {use}.")
    elif router is not None:
        said.append(f"Router {one_line(router.name, 40)}: {one_line(router.reason, 200)}")
    lost = report.projection
    if lost is not None:
        said.append(
            f"It changes blocks from {lost.first} on, and the tail begins with {lost.lowest}: {lost.left_out:.0%} of "
            f"its change was left out. What is kept lies {lost.kept_nats:.2g} nats a token from all of it, the plain "
            f"base {lost.plain_nats:.2g}."
        )
    if report.numbers:
        numbers = ", ".join(f"{name} {value}" for name, value in report.numbers.items())
        said.append(f"With numbers of your own: {one_line(numbers, 400)}.")
    return said


def _blamed(blame: Blame) -> str:
    failed = one_line(" ".join(gate.text for gate in blame.failed), 300)
    if not blame.rules:
        return f"Trained again, more softly, for it was turned away: {failed}"
    rules = ", ".join(f"“{one_line(rule, 120)}”" for rule in blame.rules)
    return f"Trained again without {rules}: {failed}"
