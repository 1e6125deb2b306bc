"""Many studies in one process, for tuning the recipe: the same cases as ``bench/stick.py``, without the engine around.

    python bench/sweep.py --cases bench/cases/own.jsonl --set steps=60 --set keep=0.3 --device cuda

Each case is corrected, studied and asked as in ``bench/stick.py``, but the base's replies are kept between cases and
runs (``--cache``), probes are answered in batches, and oracle and decay are left out. One JSON line a case, then the
means. What is published comes from ``bench/stick.py``; this one is for finding the numbers of ``Recipe``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nightschool.bench.checks import Case, holds, load_cases, rewrite
from nightschool.bench.distance import Scale
from nightschool.bench.stick import summary
from nightschool.engine.base.size import default_cut
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import find_home
from nightschool.engine.study.draft import LessonDraft
from nightschool.engine.study.job import StudyJob, StudyResult
from nightschool.engine.study.lessons import combine, find_corrections, lesson_from_edit
from nightschool.engine.study.recipe import Recipe, recipe_with
from nightschool.engine.study.study import study
from nightschool.schemas.records import Lesson, LessonState, StudyState


def main() -> int:
    """Play the cases and print a line for each and one with the means."""
    options = _options()
    recipe = recipe_from(options.set)
    cases = [case for case in load_cases(options.cases) if not options.only or case.id in options.only]
    scale, plugins = Scale(options.model, device=options.device), PluginHost.load()
    rows = []
    for case in cases:
        row = play(case, scale, plugins, recipe, options.cache, cut=options.cut, keep=options.keep)
        rows.append(row)
        print(json.dumps(row), flush=True)
    print(json.dumps(summary(rows)), flush=True)
    return 0


def play(
    case: Case,
    scale: Scale,
    plugins: PluginHost,
    recipe: Recipe,
    cache: Path,
    *,
    cut: int | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Teach one case to the plain base and return its figures. ``cut``: 0, a head adapter; None: the usual one.

    An adapter that passed the gates is kept in ``keep``, in a folder named like its case.
    """
    lesson, reason = correct(case, scale, plugins)
    limit = reply_limit(case)
    with tempfile.TemporaryDirectory(prefix="nightschool-sweep-") as folder:
        result = StudyResult(state=StudyState.REJECTED, reason=reason)
        if lesson is not None:
            job = StudyJob(
                study=1,
                slot=case.slot,
                folder=Path(folder),
                base=scale.base.folder,
                cut=default_cut(scale.base.card.layers) if cut is None else cut,
                numbers=scale.numbers,
                lessons=[lesson],
                cache=cache,
                device=scale.base.device,
            )
            began = time.monotonic()
            result = asyncio.run(study(job, plugins, lambda progress: None, recipe))
            seconds = time.monotonic() - began
        # What the gates turned away is measured all the same: a sweep wants to know what it would have been.
        adapter = Path(folder) / "candidate"
        figures = measure(case, scale, adapter if adapter.is_dir() else None, limit)
        if keep is not None and result.state is StudyState.ACCEPTED:
            shutil.copytree(adapter, keep / case.id, dirs_exist_ok=True)
    report = result.report
    return {
        "id": case.id,
        **figures,
        "accepted": result.state is StudyState.ACCEPTED,
        "reason": result.reason,
        "rule": lesson.rule if lesson is not None else "",
        "held_out": report.outcomes[0].after if report and report.outcomes else None,
        "scale": report.scale if report else None,
        "tried": {f"{one.scale:g}": [gate.text for gate in one.failed] for one in report.tried} if report else {},
        "gates": {gate.name: gate.value for gate in report.gates} if report else {},
        "seconds": round(seconds, 1) if lesson is not None else None,
        "steps": report.steps if report else 0,
        "adapter_bytes": report.adapter_bytes if report else 0,
    }


def reply_limit(case: Case) -> int:
    """Return the most tokens of a reply to a probe; one that must be finished may take twice the length."""
    return case.max_tokens * (2 if "'ends'" in repr(case.check.model_dump(by_alias=True)) else 1)


def correct(case: Case, scale: Scale, plugins: PluginHost) -> tuple[Lesson | None, str]:
    """Return the lesson that the corrections of a case come to, approved, or why there is none."""
    drafts: list[LessonDraft] = []
    for prompt in case.teach:
        (reply,) = scale.write([prompt_tokens(scale.base, prompt)], case.max_tokens)
        reply = reply.strip()
        found = []
        if case.mode in ("edit", "both"):
            found.append(lesson_from_edit(plugins, prompt, reply, rewrite(case.rewrite, reply)))
        if case.mode in ("say", "both"):
            said = [draft for draft in find_corrections(plugins, prompt, reply, case.say) if draft.rule]
            together = combine(found[0], said[0]) if found and said else None
            found = [together] if together else [*found, *said]
        drafts += found
    drafts = [draft for draft in drafts if draft.steps and draft.state is not LessonState.REJECTED]
    if not drafts:
        return None, "no lesson with steps"
    draft = drafts[-1]
    return Lesson(
        id=1,
        slot=case.slot,
        state=LessonState.APPROVED,
        rule=draft.rule,
        steps=draft.steps,
        when=draft.when,
        evidence=draft.evidence,
        confidence=draft.confidence,
    ), ""


def measure(case: Case, scale: Scale, adapter: Path | None, limit: int) -> dict[str, Any]:
    """Return what an adapter says and moves, beside the plain base."""
    asked = [*case.probes, *case.outside, *(item.prompt for item in case.opposites)]
    prompts = [prompt_tokens(scale.base, prompt) for prompt in asked]
    plain = scale.write(prompts, limit)
    tuned = scale.write(prompts, limit, adapter)
    n, m = len(case.probes), len(case.probes) + len(case.outside)

    def share(checks: list[Any], replies: list[str]) -> float | None:
        held = [holds(check, reply) for check, reply in zip(checks, replies, strict=True)]
        return sum(held) / len(held) if held else None

    probes, outside = [case.check] * n, [case.check] * (m - n)
    opposite = [item.check for item in case.opposites]
    return {
        "stick": share(probes, tuned[:n]),
        "before": share(probes, plain[:n]),
        "leak": share(outside, tuned[n:m]),
        "leak_base": share(outside, plain[n:m]),
        "opposite": share(opposite, tuned[m:]),
        "opposite_base": share(opposite, plain[m:]),
        **scale.distances(case, adapter),
        "misses": [
            [prompt, reply]
            for prompt, reply in zip(case.probes, tuned[:n], strict=True)
            if not holds(case.check, reply)
        ],
        "disobeyed": [
            [item.prompt, reply]
            for item, reply in zip(case.opposites, tuned[m:], strict=True)
            if not holds(item.check, reply)
        ],
        "leaks": [
            [prompt, reply] for prompt, reply in zip(case.outside, tuned[n:m], strict=True) if holds(case.check, reply)
        ],
    }


def recipe_from(changes: list[str]) -> Recipe:
    """Return the recipe with some numbers changed, each given as ``name=value``."""
    parted = [change.partition("=") for change in changes]
    try:
        return recipe_with({name: json.loads(value) for name, _, value in parted})
    except ValueError as error:
        raise SystemExit(str(error)) from error


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, help="a file of learning cases, one JSON object a line")
    parser.add_argument("--only", action="append", help="play this case only; may be given several times")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another number of the recipe")
    parser.add_argument("--cache", type=Path, default=find_home().root / "sweep", help="where base replies are kept")
    parser.add_argument("--cut", type=int, help="blocks that learn; 0: a head adapter; the usual number if not given")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where adapters that passed the gates are kept")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
