"""Two weeks of nights in one slot: are older lessons kept, and do nights stay short and small?

    python bench/nights.py --json                                  14 nights of 3 to 5 new lessons each
    python bench/nights.py --nights 2 --fewest 1 --most 1 --probes 2 --json      a taste of it

A scripted person says the lessons of ``bench/data/nights.jsonl`` in chats, a few each day, and lets the night be spent
through the real engine process, as ``nightschool nightly run`` does (without the weekly rebuild; ``--rebuild N`` adds
one every N nights). After each night everything learned so far is asked, in fresh conversations, greedily: on prompts
where the plain base breaks the rule, as far as there are any.

One JSON line a night: ``minutes_per_night``; ``peak_mb``, the most memory of the study's process; ``new_stick``;
``older_kept``, the mean over older lessons of how often they are followed now over how often they were after their own
night (at most 1 each). One with ``summary``: the mean night and the longest, the mean of ``older_kept`` and the least,
and how much longer the last nights are than the first ones, and how much larger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from nightschool.bench.checks import Case, holds, load_cases
from nightschool.bench.distance import Scale
from nightschool.bench.home import fresh_home
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.host.client import EngineClient
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.messages import (
    CreateConversation,
    ListLessons,
    ListStudies,
    RunNight,
    Sampling,
    SendMessage,
    StartStudy,
    UpdateLesson,
)
from nightschool.schemas.records import LessonState, Study, StudyState

POOL = Path(__file__).parent / "data" / "nights.jsonl"
SLOT = "science"
LOOK_SECONDS = 0.2
SAID_TOKENS = 8
"""Of the reply to a rule that is said; nobody reads it."""


@dataclass
class Week:
    """What is known of the lessons so far.

    Attributes:
        first: How often each was followed after its own night; 0 where it was turned away.
        asked: The prompts that each is asked on.
    """

    first: dict[str, float] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)


def main() -> int:
    """Spend the nights and print what each of them came to."""
    options = _options()
    nights = deal(load_cases(options.cases), options.nights, options.fewest, options.most, options.seed)
    rows: list[dict[str, Any]] = []

    def tell(row: dict[str, Any]) -> None:
        rows.append(row)
        _print(row, options.json)

    asyncio.run(spend(nights, options, tell))
    _print(summary(rows), options.json)
    return 0


async def spend(nights: Sequence[Sequence[Case]], options: argparse.Namespace, tell: Any) -> None:
    """Teach, sleep and ask, night after night, in a profile of its own."""
    scale, week = Scale(options.model), Week()
    with fresh_home() as home:
        home.config.write_text("weekly_rebuild = false\n")  # nobody waits a week here
        engine = EngineClient(home, options.model)
        await engine.start()
        try:
            for number, cases in enumerate(nights, start=1):
                for case in cases:
                    await _say(engine, case)
                rebuild = bool(options.rebuild) and number % options.rebuild == 0
                row = await _night(engine, rebuild=rebuild)
                row |= _ask(week, cases, scale, SlotStore(home.slots), options.probes)
                tell({"night": number, **row})
        finally:
            await engine.close()


def deal(pool: Sequence[Case], nights: int, fewest: int, most: int, seed: int) -> list[list[Case]]:
    """Return the lessons of each night, none twice; the first nights are the same however many follow."""
    draw, rest = random.Random(seed), list(pool)
    dealt = []
    for _ in range(nights):
        count = draw.randint(fewest, most)
        dealt.append(rest[:count])
        rest = rest[count:]
    if not dealt[-1] or len(dealt[-1]) < fewest:
        raise SystemExit(f"The pool holds {len(pool)} lessons, too few for {nights} nights; ask for fewer.")
    return dealt


# -- one night --------------------------------------------------------------------------------------------------------


async def _say(engine: EngineClient, case: Case) -> None:
    """Chat, and say the rule; a lesson that is only proposed is approved, as by somebody who means it."""
    conversation = await engine.call(CreateConversation(slot=SLOT))
    for text, limit in ((case.teach[0], case.max_tokens), (case.say, SAID_TOKENS)):
        await engine.call(SendMessage(conversation=conversation.id, text=text, sampling=_greedy(limit)))
    for lesson in await engine.call(ListLessons(slot=SLOT, states=[LessonState.PROPOSED])):
        if lesson.steps:
            await engine.call(UpdateLesson(lesson=lesson.id, state=LessonState.APPROVED))


async def _night(engine: EngineClient, *, rebuild: bool) -> dict[str, Any]:
    """Spend a night and return how it ended, how long it took and how much memory."""
    peaks = asyncio.create_task(peak_of_study())
    began = time.monotonic()
    night = await engine.call(RunNight(on_battery=True))
    again = await engine.call(StartStudy(slot=SLOT, rebuild=True)) if rebuild else None
    minutes = (time.monotonic() - began) / 60
    peaks.cancel()
    peak = await peaks
    studies = [one for one in await engine.call(ListStudies(slot=SLOT)) if one.id in night.studies]
    study: Study | None = studies[0] if studies else None
    report = study.report if study is not None else None
    return {
        "minutes_per_night": round(minutes, 3),
        "peak_mb": round(peak / 1e6),
        "accepted": study is not None and study.state is StudyState.ACCEPTED,
        "reason": " ".join([*night.notes, study.reason if study is not None else ""]).strip(),
        "lessons": len(study.lessons) if study is not None else 0,
        "rebuilt": None if again is None or again.report is None else again.state is StudyState.ACCEPTED,
        "steps": report.steps if report else 0,
        "scale": report.scale if report else None,
    }


async def peak_of_study() -> int:
    """Watch the processes that the engine starts, until cancelled; return the most bytes of a study, resident."""
    peak = 0
    try:
        while True:
            for process in psutil.Process().children(recursive=True):
                try:
                    if any("study.child" in part for part in process.cmdline()):
                        peak = max(peak, process.memory_info().rss)
                except psutil.Error:
                    continue  # it has ended
            await asyncio.sleep(LOOK_SECONDS)
    except asyncio.CancelledError:
        return peak


# -- asking -----------------------------------------------------------------------------------------------------------


def _ask(week: Week, new: Sequence[Case], scale: Scale, store: SlotStore, probes: int) -> dict[str, Any]:
    """Ask everything learned so far and return how it is followed."""
    for case in new:
        plain = dict(zip(case.probes, _write(scale, case.probes, case, None), strict=True))
        week.cases[case.id], week.asked[case.id] = case, telling(case, plain, probes)
    adapter = store.adapter_folder(SLOT)
    now = {name: _followed(scale, case, week.asked[name], adapter) for name, case in week.cases.items()}
    older = kept(week.first, {name: now[name] for name in week.first})
    week.first |= {case.id: now[case.id] for case in new}
    return {
        "new_stick": statistics.fmean(now[case.id] for case in new),
        "older_kept": older,
        "all_stick": statistics.fmean(now.values()),
        "known": len(now),
        "faded": sorted(name for name in now if name in week.first and now[name] < 0.95 * week.first[name]),
    }


def telling(case: Case, replies: Mapping[str, str], most: int) -> list[str]:
    """Return the prompts to ask: those first whose plain reply breaks the rule, for there it is a merit to follow."""
    return sorted(case.probes, key=lambda prompt: holds(case.check, replies[prompt]))[:most]


def kept(first: Mapping[str, float], now: Mapping[str, float]) -> float | None:
    """Return the mean share of what stuck at first; what did not stick then cannot be lost. None: there is nothing."""
    shares = [min(1.0, now[name] / stuck) for name, stuck in first.items() if stuck]
    return statistics.fmean(shares) if shares else None


def _followed(scale: Scale, case: Case, prompts: Sequence[str], adapter: Path | None) -> float:
    replies = _write(scale, prompts, case, adapter)
    return statistics.fmean(holds(case.check, reply) for reply in replies)


def _write(scale: Scale, prompts: Sequence[str], case: Case, adapter: Path | None) -> list[str]:
    """Return greedy replies; one that must end may take twice the length (the format of the cases)."""
    limit = case.max_tokens * (2 if "'ends'" in repr(case.check.model_dump(by_alias=True)) else 1)
    return scale.write([prompt_tokens(scale.base, prompt) for prompt in prompts], limit, adapter)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all nights; growth is the mean of the last third over that of the first."""
    older = [row["older_kept"] for row in rows if row["older_kept"] is not None]
    third = max(1, len(rows) // 3)

    def growth(name: str) -> float:
        last, first = (statistics.fmean(row[name] for row in part) for part in (rows[-third:], rows[:third]))
        return last / first if first else 0.0

    return {
        "summary": True,
        "nights": len(rows),
        "minutes_per_night": statistics.fmean(row["minutes_per_night"] for row in rows),
        "minutes_longest": max(row["minutes_per_night"] for row in rows),
        "older_kept": statistics.fmean(older) if older else None,
        "older_kept_least": min(older, default=None),
        "peak_mb": max(row["peak_mb"] for row in rows),
        "minutes_growth": growth("minutes_per_night"),
        "memory_growth": growth("peak_mb"),
    }


def _greedy(limit: int) -> Sampling:
    return Sampling(temperature=0.0, max_tokens=limit)


def _print(row: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(row) if as_json else "\n".join(f"{key:>18}  {value}" for key, value in row.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=POOL, help="the lessons, as learning cases that are said")
    parser.add_argument("--nights", type=int, default=14)
    parser.add_argument("--fewest", type=int, default=3, help="new lessons of a night, at least")
    parser.add_argument("--most", type=int, default=5, help="and at most")
    parser.add_argument("--probes", type=int, default=5, help="prompts that each lesson is asked on after each night")
    parser.add_argument(
        "--rebuild", type=int, default=0, metavar="N", help="train anew from all lessons every N nights"
    )
    parser.add_argument("--seed", type=int, default=0, help="of how many lessons each night gets")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
