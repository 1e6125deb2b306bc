"""Trainers, ours and those of others, on the same cases in one run.

    python bench/trainers.py --cases bench/cases/own.jsonl --only vital-not-essential
    python bench/trainers.py --cases bench/cases/own.jsonl --trainers tail_lora --peers peft_sft,trl_dpo

Each case is corrected as in ``bench/stick.py``. Its examples are built once, and every trainer learns from those; what
each made is measured as it is, without gates and without shrinking: ``stick``, ``leak``, ``opposite``, ``kl_kept``,
``kl_neutral`` and the ``seconds`` of its training (``shared_seconds``: of what was made once for all). Peers learn the
user's edit alone, with PEFT, in all blocks (``bench/peers.py``). ``trl_dpo`` needs ``pip install trl``, which Night
School itself does not; without it that peer is skipped with a line that says so. One JSON line for each case and
trainer, then the means of each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nightschool.bench.checks import Case, load_cases
from nightschool.bench.distance import Scale
from nightschool.bench.peers import PEERS, Missing, Peer
from nightschool.bench.stick import summary
from nightschool.bench.sweep import correct, measure, recipe_from, reply_limit
from nightschool.engine.base.size import default_cut
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import find_home
from nightschool.engine.study.checkpoint import Checkpoints
from nightschool.engine.study.contracts import Rewriter, Trainer
from nightschool.engine.study.course import Course, learn, open_course
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.recipe import Recipe
from nightschool.schemas.errors import NightSchoolError
from nightschool.schemas.records import Lesson

Row = dict[str, Any]


def main() -> int:
    """Play the cases and print a line for each case and trainer, and one with the means of each trainer."""
    options = _options()
    recipe = recipe_from(options.set)
    plugins = PluginHost.load()
    cases = [case for case in load_cases(options.cases) if not options.only or case.id in options.only]
    trainers = [plugins.named("nightschool_trainers", name) for name in _names(options.trainers)]
    peers = [PEERS[name] for name in _names(options.peers)]
    scale = Scale(options.model)
    whole = Scale(options.model, scale.base.card.layers) if peers else scale
    rows: list[Row] = []
    for case in cases:
        lesson, reason = correct(case, scale, plugins)
        if lesson is None:
            _say({"id": case.id, "skipped": reason})
            continue
        for row in (
            *_ours(case, lesson, scale, plugins, trainers, recipe, options.cache),
            *_theirs(case, lesson, whole, peers),
        ):
            rows.append(row)
            _say(row)
    for name in dict.fromkeys(row["trainer"] for row in rows):
        _say({"trainer": name, **summary([row for row in rows if row["trainer"] == name])})
    return 0


def _ours(
    case: Case,
    lesson: Lesson,
    scale: Scale,
    plugins: PluginHost,
    trainers: Sequence[Trainer],
    recipe: Recipe,
    cache: Path,
) -> Iterator[Row]:
    """Give a row for each trainer of the plugins."""
    if not trainers:
        return
    with tempfile.TemporaryDirectory(prefix="nightschool-trainers-") as folder:
        job = StudyJob(
            study=1,
            slot=case.slot,
            folder=Path(folder),
            base=scale.base.folder,
            cut=default_cut(scale.base.card.layers),
            numbers=scale.numbers,
            lessons=[lesson],
            cache=cache,
        )
        rewriters: list[Rewriter] = plugins.collect("nightschool_rewriters")
        began = time.monotonic()
        plan = make_plan(rewriters, [], [lesson], recipe)
        with open_cut(job, plugins) as whole:
            course = asyncio.run(open_course(whole, job, plan, recipe, lambda progress: None))
            shared = time.monotonic() - began
            for trainer in trainers:
                adapter = Path(folder) / trainer.name
                adapter.mkdir()
                row = _timed(case, scale, trainer.name, adapter, lambda t=trainer, a=adapter: _learn(course, job, t, a))
                yield {**row, "shared_seconds": round(shared, 1)}


def _learn(course: Course, job: StudyJob, trainer: Trainer, adapter: Path) -> Row:
    # Nothing is kept: a training that was cut and goes on would show a shorter time.
    nowhere = Checkpoints(job.model_copy(update={"cache": None}), course.whole.base.card)
    learned = asyncio.run(learn(course, trainer, nowhere, lambda progress: None))
    size = learned.adapter.save(adapter, course.whole.base.card.name)
    return {"steps": len(learned.curve), "examples": learned.examples, "adapter_bytes": size}


def _theirs(case: Case, lesson: Lesson, scale: Scale, peers: Sequence[Peer]) -> Iterator[Row]:
    """Give a row for each peer, or what it lacks."""
    for peer in peers:
        with tempfile.TemporaryDirectory(prefix="nightschool-peer-") as folder:
            try:
                yield _timed(
                    case, scale, peer.name, Path(folder), lambda p=peer, f=folder: p.learn(scale.base, lesson, Path(f))
                )
            except Missing as missing:
                _say({"id": case.id, "trainer": peer.name, "skipped": str(missing)})


def _timed(case: Case, scale: Scale, name: str, adapter: Path, work: Callable[[], Row]) -> Row:
    began = time.monotonic()
    try:
        facts = work()
    except NightSchoolError as error:
        return {"id": case.id, "trainer": name, "accepted": False, "reason": str(error)}
    seconds = time.monotonic() - began
    figures = measure(case, scale, adapter, reply_limit(case))
    return {"id": case.id, "trainer": name, **figures, "accepted": True, "seconds": round(seconds, 1), **facts}


def _say(row: Row) -> None:
    print(json.dumps(row), flush=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, help="a file of learning cases, one JSON object a line")
    parser.add_argument("--only", action="append", help="play this case only; may be given several times")
    parser.add_argument(
        "--trainers", default="tail_lora,preference,unlikelihood", help="of the plugins, with commas; empty: none"
    )
    parser.add_argument("--peers", default="", help=f"with commas, out of {', '.join(PEERS)}; none if not given")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another number of the recipe")
    parser.add_argument("--cache", type=Path, default=find_home().root / "sweep", help="where base replies are kept")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    options = parser.parse_args()
    unknown = sorted(set(_names(options.peers)) - PEERS.keys())
    if unknown:
        parser.error(f"there is no peer {unknown[0]!r}; there are: {', '.join(PEERS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
