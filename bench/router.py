"""How well a router tells where a conditional lesson applies, without a study: fitted and judged as a study does.

    python bench/router.py --json
    python bench/router.py --when "I ask for a recipe" --router ridge

For each condition: ``hit``, the share of unseen prompts in its scope that the router sees as such (elsewhere the lesson
would be lost), ``quiet``, the share of the unseen others where the plain base would answer, and ``shared``, the prompts
that were both fitted and judged on, which must be none. ``ms`` is what a question costs, its states given.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import torch

from nightschool.bench.timed import tell
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import find_speed
from nightschool.engine.chat.routing import features
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import find_home
from nightschool.engine.study.contracts import Router
from nightschool.engine.study.cut_base import CutBase, open_cut
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.scoped import fit_router
from nightschool.engine.threads import use_all_cores
from nightschool.schemas.records import Lesson, LessonState, Step

CONDITIONS = ["I ask for a recipe", "I ask for advice", "I ask for code", "you explain a concept"]


def main() -> int:
    """Print the figures of each condition."""
    options = _options()
    use_all_cores()
    home, plugins = find_home(), PluginHost.load()
    folder = prepare(options.model, home, lambda stage, fraction: None)
    router: Router = plugins.named("nightschool_routers", options.router)
    with tempfile.TemporaryDirectory(prefix="nightschool-router-") as nowhere:
        cut = default_cut(load(folder).card.layers)
        numbers = find_speed(home.models).many
        job = StudyJob(study=1, slot="science", folder=Path(nowhere), base=folder, cut=cut, numbers=numbers, lessons=[])
        with open_cut(job, plugins) as whole:
            _play(whole, plugins, router, options)
    return 0


def _play(whole: CutBase, plugins: PluginHost, router: Router, options: argparse.Namespace) -> None:
    """Print the figures of each condition."""
    for when in options.when or CONDITIONS:
        plan = make_plan(plugins.collect("nightschool_rewriters"), [], [_lesson(when)], Recipe())
        began = time.monotonic()
        routing, found = asyncio.run(fit_router(whole, plan, router, Recipe()))
        seconds = time.monotonic() - began
        shown = {"when": when, "kept": found.kept, "reason": found.reason}
        for name, value in (("hit", found.hit), ("quiet", found.quiet), ("fit_s", seconds)):
            tell({"name": name, "value": value, **shown}, options.json)
        tell({"name": "shared", "value": found.prompts.shared if found.prompts else None, **shown}, options.json)
        if routing is not None:
            states = torch.randn(60, whole.base.card.width)
            began = time.monotonic()
            for _ in range(100):
                routing.router.applies(routing.fitted, features(states, 20))
            tell({"name": "ms", "value": (time.monotonic() - began) * 10, "when": when}, options.json)


def _lesson(when: str) -> Lesson:
    step = Step(rewriter="opening", args={"text": "Captain, "})
    return Lesson(id=1, slot="science", state=LessonState.APPROVED, rule="Open with Captain.", steps=[step], when=when)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--when", action="append", help="a condition in words; may be given several times")
    parser.add_argument("--router", default="ridge", help="of the plugins")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
