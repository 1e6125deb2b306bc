"""Commands of what is learned: lessons, and the study that learns them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from ...schemas.errors import NotFound, StudyCancelled, StudyError, UsageError
from ...schemas.messages import (
    BlendSlots,
    ExpireLesson,
    ForgetLesson,
    ImportAdapter,
    ListLessons,
    ListNights,
    ListRelations,
    ListStudies,
    MergeLessons,
    StartStudy,
    TeachSlot,
    UpdateLesson,
)
from ...schemas.records import LessonRelation, LessonState, RelationKind, Study, StudyState
from ..report_markdown import report_markdown
from ..stopping import until_stopped
from .desk import Desk, talks, talks_alone
from .options import ListingGroup, any_slot_option, examples, slot_option
from .output import lesson_table, study_lines, table

STUDY_CODES = {
    StudyState.ACCEPTED: 0,
    StudyState.REJECTED: StudyError.exit_code,
    StudyState.FAILED: StudyError.exit_code,
    StudyState.CANCELLED: StudyCancelled.exit_code,
}


@click.command(
    epilog=examples(
        "nightschool study",
        "nightschool study --slot science --json > report.json",
        "nightschool study --trainer preference",
        "nightschool study --rebuild",
    )
)
@slot_option
@click.option("--trainer", default="", help="What makes the adapter, instead of what config.toml says (tail_lora).")
@click.option("--rebuild", is_flag=True, help="Train the slot anew from all it has learned; the better version counts.")
@talks
async def study(desk: Desk, slot: str | None, trainer: str, *, rebuild: bool) -> int:
    """Study the approved lessons of a slot.

    Progress goes to stderr, the report to stdout. The exit code is 0 if the candidate was accepted, 40 if it was
    rejected or the study failed, 43 if it was stopped elsewhere. Ctrl+c stops it; the slot then stays as it was.
    """
    return await carry_out(desk, StartStudy(slot=(await desk.slot(slot)).name, trainer=trainer, rebuild=rebuild))


async def carry_out(desk: Desk, request: StartStudy | ForgetLesson | BlendSlots | ImportAdapter | TeachSlot) -> int:
    """Ask for something that is a study, write its report and return the exit code."""
    ended = await until_stopped(desk.ask, request, lambda study: _give(desk, study))
    _give(desk, ended)
    stays = ended.rebuild and ended.report is not None and all(gate.passed for gate in ended.report.gates)
    return 0 if stays else STUDY_CODES.get(ended.state, StudyError.exit_code)


def _give(desk: Desk, ended: Study) -> None:
    desk.give(ended, study_lines(ended))


@click.command(epilog=examples("nightschool report", "nightschool report 7 --markdown > report.md"))
@click.argument("number", metavar="[STUDY]", type=click.IntRange(min=1), required=False)
@click.option("--night", is_flag=True, help="All studies of the last night, and why other slots were left out.")
@click.option("--markdown", is_flag=True, help="Write Markdown, with replies before and after.")
@any_slot_option
@talks_alone
async def report(desk: Desk, number: int | None, slot: str | None, *, night: bool, markdown: bool) -> None:
    """Read the report of a study; without a number, of the latest.

    What was learned, each gate with its figure, and the same questions before and after.
    """
    if markdown and desk.as_json:
        raise UsageError("The report is written as Markdown or as JSON; give one of --markdown and --json.")
    found = await desk.ask(ListStudies(slot=await desk.slot_filter(slot)))
    last = (await desk.ask(ListNights(limit=1)))[:1] if night else []
    notes = [note for spent in last for note in spent.notes]
    if night:
        chosen = [study for study in reversed(found) if last and study.id in last[0].studies]
    else:
        chosen = [study for study in found if number in (None, study.id)][:1]
    if not chosen and not notes:
        raise NotFound(
            "There is no such study; `nightschool study` makes one." if number else "Nothing was studied yet."
        )
    if markdown:
        desk.write(report_markdown(chosen, notes))
    else:
        desk.give(chosen, [line for study in chosen for line in (*study_lines(study), "")] + notes)


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool lessons --slot science --state approved",
        "nightschool lessons approve 3 4",
        'nightschool lessons reword 5 "Answer in at most two sentences."',
        "nightschool lessons merge 3 4",
        "nightschool lessons expire 5 --after 30d",
        "nightschool lessons forget 3",
    ),
)
def lessons() -> None:
    """List, approve, dismiss, reword, merge, end and forget lessons."""


@lessons.command("list", epilog=examples("nightschool lessons list --state proposed --state approved --json"))
@any_slot_option
@click.option(
    "--state", "states", multiple=True, type=click.Choice([state.value for state in LessonState]),
    help="Only lessons in this state; may be given again.",
)  # fmt: skip
@talks
async def list_lessons(desk: Desk, slot: str | None, states: tuple[str, ...]) -> None:
    """List lessons, the latest first; then which of them say the same, and which contradict each other."""
    wanted = [LessonState(state) for state in states]
    rows = await desk.ask(ListLessons(slot=await desk.slot_filter(slot), states=wanted))
    found = [] if desk.as_json else await desk.ask(ListRelations(slot=await desk.slot_filter(slot)))
    desk.give(rows, [*lesson_table(rows), *relation_lines(found, {row.id for row in rows})])


@lessons.command(epilog=examples("nightschool lessons approve 3 4"))
@click.argument("numbers", metavar="LESSON...", type=click.IntRange(min=1), nargs=-1, required=True)
@talks
async def approve(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Let the next study take lessons."""
    await _set_state(desk, numbers, LessonState.APPROVED)


@lessons.command(epilog=examples("nightschool lessons dismiss 3"))
@click.argument("numbers", metavar="LESSON...", type=click.IntRange(min=1), nargs=-1, required=True)
@talks
async def dismiss(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Keep lessons from being studied."""
    await _set_state(desk, numbers, LessonState.DISMISSED)


async def _set_state(desk: Desk, numbers: tuple[int, ...], state: LessonState) -> None:
    changed = [await desk.ask(UpdateLesson(lesson=number, state=state)) for number in numbers]
    desk.give(changed, lesson_table(changed))


@lessons.command(epilog=examples('nightschool lessons reword 5 "Answer in at most two sentences."'))
@click.argument("number", metavar="LESSON", type=click.IntRange(min=1))
@click.argument("rule")
@talks
async def reword(desk: Desk, number: int, rule: str) -> None:
    """Put a lesson in other words; they are read again for what they ask."""
    if not rule.strip():
        raise UsageError("A lesson needs words; say what a reply should be like.")
    changed = await desk.ask(UpdateLesson(lesson=number, rule=rule))
    desk.give(changed, lesson_table([changed]))


@lessons.command(epilog=examples("nightschool lessons merge 3 4"))
@click.argument("numbers", metavar="LESSON LESSON...", type=click.IntRange(min=1), nargs=-1, required=True)
@talks
async def merge(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Let the first lesson count for others that say the same.

    It takes over the replies and the words that they came from. Where one of them is learned, that one stays instead.
    Approving one of the others parts it again.
    """
    if len(numbers) < 2:
        raise UsageError("Name two lessons or more; `nightschool lessons` says which say the same.")
    kept = await desk.ask(MergeLessons(lessons=list(numbers)))
    desk.give(kept, lesson_table([kept]))


@lessons.command(
    epilog=examples(
        "nightschool lessons expire 5 --after 30d",
        "nightschool lessons expire 5 --until 2026-12-24",
        "nightschool lessons expire 5 --never",
    )
)
@click.argument("number", metavar="LESSON", type=click.IntRange(min=1))
@click.option("--after", metavar="TIME", help="After so long: 30d, 2w, 3m, 1y.")
@click.option("--until", metavar="DAY", help="With the end of a day: 2026-12-24, Friday, 24 December.")
@click.option("--never", is_flag=True, help="It counts until you take it back.")
@talks
async def expire(desk: Desk, number: int, *, after: str | None, until: str | None, never: bool) -> None:
    """Say when a lesson ends to count.

    One that waits is dismissed then; one that is learned is taken out by the night after, which trains the slot anew.
    """
    ends = [end for end in (after, until, "never" if never else None) if end is not None]
    if len(ends) != 1:
        raise UsageError("Give one of --after, --until and --never.")
    changed = await desk.ask(ExpireLesson(lesson=number, end=ends[0]))
    desk.give(changed, lesson_table([changed]))


@lessons.command(epilog=examples("nightschool lessons compare", "nightschool lessons compare --slot science --json"))
@any_slot_option
@talks
async def compare(desk: Desk, slot: str | None) -> None:
    """Say which lessons say the same, and which contradict each other."""
    found = await desk.ask(ListRelations(slot=await desk.slot_filter(slot)))
    desk.give(found, relation_lines(found) or ["No two lessons say the same or contradict each other."])


@lessons.command(epilog=examples("nightschool lessons forget 3"))
@click.argument("number", metavar="LESSON", type=click.IntRange(min=1))
@talks
async def forget(desk: Desk, number: int) -> int:
    """Train the slot anew without a learned lesson.

    The new generation counts only if the lesson shows no more often than in the plain base, and what was learned beside
    it still does; the report on stdout has the figures. The older generations keep the lesson. Exit codes are those of
    `nightschool study`.
    """
    return await carry_out(desk, ForgetLesson(lesson=number))


def relation_lines(found: Sequence[LessonRelation], among: Collection[int] | None = None) -> list[str]:
    """Return how lessons stand to each other, side by side; only between those ``among``, where given."""
    rows = [row for row in found if among is None or {row.earlier, row.later} <= set(among)]
    same = [row for row in rows if row.kind is RelationKind.SAME]
    against = [row for row in rows if row.kind is RelationKind.CONTRADICTS]
    lines: list[str] = []
    if same:
        cells = [(f"  {row.earlier}", f"{row.later}", row.later_says) for row in same]
        lines += ["", "Lessons that say the same (merge them with `nightschool lessons merge`)", *table(cells)]
    if against:
        heads = ("  EARLIER", "SAYS", "LATER", "SAYS")
        cells = [(f"  {row.earlier}", row.earlier_says, f"{row.later}", row.later_says) for row in against]
        lines += ["", "Lessons that contradict each other (the later one wins)", *table([heads, *cells])]
    return lines
