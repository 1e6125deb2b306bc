"""A whole night on a real day of chats: import it, confirm what it teaches, study, read the report.

    python bench/day.py --json --report morning.md
    python bench/day.py --only gaming --json              one slot's part of it

The day is ``bench/data/day.jsonl``: ten conversations in four slots, with rules, edits, one-off wishes, a
contradiction, and a rule that is refused. A scripted person confirms what was edited and what was said in two
conversations (``--confirm none``: only what was said to be for good is learned), and lets the night be spent through
the real engine process.

One JSON line for what the import taught, one for each study, and one with ``minutes_per_night`` for the whole night.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nightschool.bench.home import fresh_home
from nightschool.bench.nights import peak_of_study
from nightschool.engine.files import write_atomic
from nightschool.engine.host.client import EngineClient
from nightschool.schemas.exchange import ImportReading
from nightschool.schemas.messages import ListLessons, ListStudies, ReadImported, RunImport, RunNight, UpdateLesson
from nightschool.schemas.records import Lesson, LessonState, Night, Scope, Study, StudyState
from nightschool.tui.report_markdown import report_markdown

DAY = Path(__file__).parent / "data" / "day.jsonl"


async def main() -> int:
    """Play the day and the night, print their figures and write the report."""
    options = _options()
    with fresh_home() as home:
        engine = EngineClient(home, options.model)
        await engine.start()
        try:
            reading = await bring(engine, options.day)
            confirmed = await confirm(engine, reading, options.only) if options.confirm == "lasting" else 0
            waiting = await leave_out(engine, options.only)
            _tell({"name": "day_lessons", **taught(reading), "confirmed": confirmed, "to_study": waiting}, options.json)
            peaks = asyncio.create_task(peak_of_study())
            began = time.monotonic()
            night = await engine.call(RunNight(on_battery=True))
            minutes = (time.monotonic() - began) / 60
            peaks.cancel()
            peak = await peaks
            studies = [study for study in await engine.call(ListStudies()) if study.id in night.studies][::-1]
        finally:
            await engine.close()
    for study in studies:
        _tell({"name": "day_study", **figures(study)}, options.json)
    row = {"name": "day_night", "minutes_per_night": round(minutes, 2), "peak_mb": round(peak / 1e6)}
    _tell({**row, "lessons": waiting, "studies": len(studies), "notes": night.notes}, options.json)
    _report(studies, night, options.report)
    return 0


async def bring(engine: EngineClient, day: Path) -> ImportReading:
    """Import a day and return what it teaches."""
    await engine.call(RunImport(file=str(day.absolute())))
    return await engine.call(ReadImported())


async def confirm(engine: EngineClient, reading: ImportReading, only: str) -> int:
    """Approve what is meant for more than one reply, as somebody would who reads the list; return how many."""
    asked = [lesson for lesson in reading.lessons if _lasting(lesson) and only in ("", lesson.slot)]
    for lesson in asked:
        await engine.call(UpdateLesson(lesson=lesson.id, state=LessonState.APPROVED))
    return len(asked)


async def leave_out(engine: EngineClient, only: str) -> int:
    """Dismiss what other slots than ``only`` would study; return how many lessons wait."""
    waiting = await engine.call(ListLessons(states=[LessonState.APPROVED]))
    left = [lesson for lesson in waiting if only not in ("", lesson.slot)]
    for lesson in left:
        await engine.call(UpdateLesson(lesson=lesson.id, state=LessonState.DISMISSED))
    return len(waiting) - len(left)


def taught(reading: ImportReading) -> dict[str, Any]:
    """Return the lessons of a reading by state, and the signals by kind."""
    states = Counter(lesson.state.value for lesson in reading.lessons)
    return {"conversations": reading.conversations, "signals": reading.signals, "lessons": dict(states)}


def figures(study: Study) -> dict[str, Any]:
    """Return what a study came to."""
    report = study.report
    row: dict[str, Any] = {"slot": study.slot, "accepted": study.state is StudyState.ACCEPTED, "reason": study.reason}
    if report is not None:
        row["lessons"] = {one.rule: {"before": one.before, "after": one.after} for one in report.outcomes}
        row |= {"minutes": round(report.seconds / 60, 2), "steps": report.steps, "scale": report.scale}
        row["failed"] = [gate.text for gate in report.gates if not gate.passed]
    return row


def _lasting(lesson: Lesson) -> bool:
    return lesson.state is LessonState.PROPOSED and bool(lesson.steps) and lesson.scope is Scope.SLOT


def _report(studies: Sequence[Study], night: Night, file: Path | None) -> None:
    text = report_markdown(studies, night.notes)
    if file is None:
        print(text, file=sys.stderr)
    else:
        write_atomic(file, text)


def _tell(row: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(row) if as_json else "\n".join(f"{key:>18}  {value}" for key, value in row.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--day", type=Path, default=DAY, help="the conversations, in any form that can be imported")
    parser.add_argument("--confirm", choices=("lasting", "none"), default="lasting", help="what the person approves")
    parser.add_argument("--only", default="", metavar="SLOT", help="study this slot alone")
    parser.add_argument("--report", type=Path, help="where the morning report goes; to standard error without it")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
