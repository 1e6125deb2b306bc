"""Every benchmark in one command, one after another, each in a process of its own.

    python bench/all.py                 all but the learning cases; some minutes on a quiet machine
    python bench/all.py --learning      these too; an hour and a half
    python bench/all.py --strict        fail if a ratio is worse than in the last commit by more than a tenth

What they print is kept in ``bench/results/``, compared with the last commit's (the table goes to standard error), and
shown in ``docs/benchmarks.md`` and ``docs/figures/``. Seconds depend on the machine; only ratios count as worse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date

from nightschool.bench import page, results
from nightschool.bench.figures import Change, compare, comparison
from nightschool.bench.results import ROOT, Result

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "figures"
NOT_INSTALLED = 2
"""The code of a benchmark whose peer is not installed; it has said how to get it."""


@dataclass(frozen=True)
class Bench:
    """A benchmark: the name of its results, and its command after ``python``."""

    name: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """What a reader would type."""
        return " ".join(("python", *self.arguments, "--json"))


BENCHES = (
    Bench("decode", ("bench/decode.py",)),
    Bench("llama", ("bench/llama.py",)),
    Bench("step", ("bench/step.py",)),
    Bench("prefix", ("bench/prefix.py",)),
    Bench("memory", ("bench/memory.py",)),
    Bench("archive", ("bench/archive.py",)),
    Bench("slots", ("bench/slots.py",)),
    Bench("blend", ("bench/blend.py",)),
    Bench("codecs", ("bench/codecs.py",)),
    Bench("registry", ("bench/registry.py",)),
    Bench("bundle", ("bench/bundle.py",)),
    Bench("serve", ("bench/serve.py",)),
    Bench("startup", ("bench/startup.py",)),
    Bench("tui", ("bench/tui.py",)),
    Bench("tui-scripted", ("bench/tui.py", "--scripted")),
)
LEARNING = (
    Bench("stick-examples", ("bench/stick.py", "--cases", "bench/cases/examples.jsonl")),
    Bench("stick-own", ("bench/stick.py", "--cases", "bench/cases/own.jsonl")),
    Bench("wire", ("bench/wire.py",)),
)


def main() -> int:
    """Run, keep, compare, show."""
    options = _options()
    wanted = options.only or [bench.name for bench in (*BENCHES, *(LEARNING if options.learning else ()))]
    chosen = [] if options.redraw else [bench for bench in (*BENCHES, *LEARNING) if bench.name in wanted]
    changes: list[Change] = []
    failed: list[str] = []
    for bench in chosen:
        result = run(bench, failed)
        if result is None:
            continue
        before = results.committed(bench.name)
        changes += compare(bench.name, before.rows if before else [], result.rows)
        if not options.dry:
            results.write(result)
    if not options.dry:
        show()
    if changes:
        print(comparison(changes), file=sys.stderr)
    if failed:
        print(f"Failed: {', '.join(failed)}; their last results were left as they are.", file=sys.stderr)
    return 1 if failed or (options.strict and any(change.worse for change in changes)) else 0


def run(bench: Bench, failed: list[str]) -> Result | None:
    """Run one benchmark and return what it found; None, and noted where it failed, if it found nothing."""
    print(f"{bench.command}", file=sys.stderr, flush=True)
    began = time.perf_counter()
    command = [sys.executable, *bench.arguments, "--json"]
    rows = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("{"):
                rows.append(json.loads(line))
    if process.returncode == NOT_INSTALLED and not rows:
        return None
    if process.returncode or not rows:
        failed.append(bench.name)
        return None
    return Result(
        name=bench.name,
        command=bench.command,
        date=date.today().isoformat(),
        machine=results.machine(),
        versions=results.versions(),
        seconds=round(time.perf_counter() - began, 1),
        rows=rows,
    )


def show() -> None:
    """Write the page and the plots from the results that lie here."""
    found = {bench.name: results.read(bench.name) for bench in (*BENCHES, *LEARNING)}
    there = {name: result for name, result in found.items() if result is not None}
    PAGE.write_text(page.page(PAGE.read_text(encoding="utf-8"), there), encoding="utf-8")
    for name, drawn in page.plots(there).items():
        PLOTS.mkdir(exist_ok=True)
        (PLOTS / name).write_text(drawn, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [bench.name for bench in (*BENCHES, *LEARNING)]
    parser.add_argument("--learning", action="store_true", help="play the learning cases as well")
    parser.add_argument(
        "--only", action="append", choices=names, default=[], help="this one; may be given several times"
    )
    parser.add_argument("--strict", action="store_true", help="end with code 1 if a ratio became worse")
    parser.add_argument("--dry", action="store_true", help="run and compare, write nothing")
    parser.add_argument("--redraw", action="store_true", help="run nothing, write page and plots from the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
