"""What ``docs/benchmarks.md`` shows of the results: tables between markers, and the plots beside them.

A part of the page that begins with ``<!-- NAME -->`` and ends with ``<!-- /NAME -->`` is written here; the words around
it are written by people. Whether a figure is reached is computed from ``figures.FIGURES``.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from nightschool.bench.figures import FIGURES, Row, label_of, measured, name_of, number
from nightschool.bench.plot import Bar, bars, lines
from nightschool.bench.results import Result

Results = Mapping[str, Result]
Part = Callable[[Results], str]
Plot = Callable[[Results], str]

NONE = "–"
_CASE_COLUMNS = {
    "case": "id", "stick": "stick", "before": "before", "rule as system prompt": "oracle",
    "said ten turns ago": "decayed", "leak": "leak", "opposite": "opposite", "(base)": "opposite_base",
    "`kl_kept`": "kl_kept", "`kl_neutral`": "kl_neutral", "loss rise": "neutral_loss_rise", "seconds": "seconds",
}  # fmt: skip


def page(text: str, results: Results) -> str:
    """Return the page with every part whose results are there written anew.

    Raises:
        ValueError: If the page has no place for a part.
    """
    for name, (needed, part) in PARTS.items():
        if any(one in results for one in needed):
            text = replaced(text, name, part({one: results[one] for one in needed if one in results}))
    return text


def replaced(text: str, name: str, content: str) -> str:
    """Put content between the markers of a part.

    Raises:
        ValueError: If the text does not hold both, in this order, once.
    """
    pattern = re.compile(f"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"The page needs `<!-- {name} -->` and, below it, `<!-- /{name} -->`, once; add them.")
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n{found[2]}", text)


def plots(results: Results) -> dict[str, str]:
    """Return the plots whose results are there, by file name."""
    return {f"{name}.svg": plot(results) for name, (needed, plot) in PLOTS.items() if needed in results}


# -- tables -----------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def figure_table(rows: Sequence[Row]) -> str:
    """Return the figures with what is wanted of them and whether it is reached."""
    found = []
    for row in measured(rows):
        more = [f"{key} {_said(value)}" for key, value in row.items() if key not in ("name", "value", "prompt")]
        wanted = judged(name_of(row), float(row["value"]))
        found.append([f"`{label_of(row)}`", number(float(row["value"])), *wanted, ", ".join(more)])
    return table(["figure", "value", "wanted", "", "with"], found)


def judged(name: str, value: float | None) -> tuple[str, str]:
    """Return what is wanted of a figure, and ``reached`` or ``missed``."""
    figure = FIGURES.get(name)
    if figure is None or figure.wanted is None:
        return NONE, ""
    reached = None if value is None else figure.reached(value)
    return f"{figure.better} {figure.wanted:g}", "" if reached is None else "reached" if reached else "**missed**"


def measured_on(results: Results) -> str:
    """Return when and where the results were measured, one line for each different answer."""
    found = dict.fromkeys(_measured_on(result) for result in results.values())
    return "\n\n".join(found)


def _measured_on(result: Result) -> str:
    day, machine = date.fromisoformat(result.date), result.machine
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    return f"Measured {day.day} {day:%B %Y} on {where}; {versions}."


def _figures(picture: str = "") -> Part:
    """Return a part with a table of all figures, and a plot if there is one."""

    def part(results: Results) -> str:
        rows = [row for result in results.values() for row in result.rows]
        shown = [_image(picture)] if picture else []
        return "\n".join([figure_table(rows), "", *shown, measured_on(results), ""])

    return part


def _tui(results: Results) -> str:
    modes = {name: {row["name"]: row for row in result.rows} for name, result in results.items()}
    names = dict.fromkeys(name for rows in modes.values() for name in rows)
    found = []
    for name in names:
        values = [modes.get(mode, {}).get(name, {}).get("value") for mode in ("tui", "tui-scripted")]
        found.append([f"`{name}`", *(NONE if v is None else number(v) for v in values), *judged(name, values[0])])
    return "\n".join([table(["figure", "real", "scripted", "wanted", ""], found), "", measured_on(results), ""])


def _archive(results: Results) -> str:
    rows = results["archive"].rows
    sizes = [row for row in rows if row["name"] == "archive"]
    growth = {row["name"]: row["value"] for row in measured(rows)}
    found = []
    for key in (key for key in sizes[0] if key.endswith("_ms")):
        name = f"archive_growth_{key.removesuffix('_ms')}"
        times = [number(row[key]) for row in sizes]
        found.append([f"`{key}`", *times, number(growth[name]), *judged(name, growth[name])])
    cost = growth["cost_per_token_growth"]
    found.append(["`cost_per_token_growth`", *[""] * len(sizes), number(cost), *judged("cost_per_token_growth", cost)])
    head = ["stored conversations", *(f"{row['conversations']:,}" for row in sizes), "growth", "wanted", ""]
    pictures = [_image("archive-turn"), _image("archive")]
    return "\n".join([table(head, found), "", *pictures, measured_on(results), ""])


def _stick(results: Results) -> str:
    cases = [row for result in results.values() for row in result.rows if "id" in row]
    means = mean_row(cases)
    found = [[_said(row.get(key)) for key in _CASE_COLUMNS.values()] for row in [*cases, {**means, "id": "**mean**"}]]
    parts = [
        table(list(_CASE_COLUMNS), found),
        "",
        figure_table([means]),
        "",
        _image("stick"),
        measured_on(results),
        "",
    ]
    return "\n".join(parts)


def mean_row(cases: Sequence[Row]) -> dict[str, Any]:
    """Return the means of the learning cases as ``stick.summary`` gives them, over several runs of it."""
    keys = dict.fromkeys(key for case in cases for key, value in case.items() if isinstance(value, (int, float)))
    means = {key: [case[key] for case in cases if case.get(key) is not None] for key in keys}
    return {"summary": True, "cases": len(cases), **{key: statistics.fmean(found) for key, found in means.items()}}


def _image(name: str) -> str:
    return f"![{name}](figures/{name}.svg)\n"


def _said(value: object) -> str:
    if value is None:
        return NONE
    return number(value) if isinstance(value, float) else str(value)


PARTS: dict[str, tuple[Sequence[str], Part]] = {
    "decode": (["decode"], _figures("decode")),
    "llama": (["llama"], _figures("llama")),
    "step": (["step"], _figures("step")),
    "prefix": (["prefix", "memory"], _figures("prefix")),
    "archive": (["archive"], _archive),
    "slots": (["slots", "blend"], _figures()),
    "wire": (["codecs", "serve", "wire"], _figures()),
    "market": (["bundle", "registry"], _figures()),
    "plugins": (["startup"], _figures()),
    "tui": (["tui", "tui-scripted"], _tui),
    "stick": (["stick-examples", "stick-own"], _stick),
}
"""The parts of the page: which results each shows, and how."""


# -- plots ------------------------------------------------------------------------------------------------------------


def _by_label(result: Result) -> dict[str, Row]:
    return {label_of(row): row for row in measured(result.rows)}


def _decode(results: Results) -> str:
    rows = _by_label(results["decode"])
    shown = [Bar("Night School", rows["speedup_vs_generate_fp32"]["tokens_per_s"])]
    for numbers in ("bf16", "fp32"):
        peer = rows[f"speedup_vs_generate_{numbers}"]["generate_tokens_per_s"]
        shown.append(Bar(f"transformers generate, {numbers}", peer, ours=False))
    return bars("Decoding", "tokens/s", shown)


def _llama(results: Results) -> str:
    shown = []
    for label, row in _by_label(results["llama"]).items():
        what = "writing" if label == "ratio_vs_llama_cpp" else f"reading {row['prompt']}"
        shown.append(Bar(f"{what}: Night School", row["tokens_per_s"]))
        shown.append(Bar(f"{what}: llama.cpp", row["llama_cpp_tokens_per_s"], ours=False))
    return bars("A chat beside llama.cpp", "tokens/s", shown)


def _step(results: Results) -> str:
    rows = _by_label(results["step"])
    names = {
        "ours": "Night School",
        "trainer": "Night School, whole loss",
        "peft_bf16": "PEFT, bf16",
        "peft": "PEFT, fp32",
    }
    shown = [
        Bar(said, rows[f"{name}_step_s"]["value"], ours=not name.startswith("peft")) for name, said in names.items()
    ]
    return bars("One optimizer step", "s", shown)


def _prefix(results: Results) -> str:
    rows = _by_label(results["prefix"])
    names = {
        "first_token_turn1_s": "turn 1, reads 2,000 tokens",
        "first_token_turn2_s": "turn 2",
        "slot_switch_s": "turn 3, by another slot",
    }
    return bars("From question to first word", "s", [Bar(said, rows[name]["value"]) for name, said in names.items()])


def _archive_lines(title: str, names: Mapping[str, str]) -> Plot:
    def plot(results: Results) -> str:
        sizes = [row for row in results["archive"].rows if row["name"] == "archive"]
        series = {said: [(row["conversations"], row[key]) for row in sizes] for key, said in names.items()}
        return lines(title, "stored conversations", "milliseconds", series)

    return plot


def _stick_bars(results: Results) -> str:
    cases = [row for name in ("stick-examples", "stick-own") if name in results for row in results[name].rows]
    return bars(
        "Share of fresh questions that follow the lesson", "", [Bar(r["id"], r["stick"]) for r in cases if "id" in r]
    )


PLOTS: dict[str, tuple[str, Plot]] = {
    "decode": ("decode", _decode),
    "llama": ("llama", _llama),
    "step": ("step", _step),
    "prefix": ("prefix", _prefix),
    "archive-turn": (
        "archive",
        _archive_lines(
            "A turn, by its new tokens and by what is stored",
            {
                **{f"turn_{count}_ms": f"turn of {count} new tokens" for count in (800, 200, 50)},
                "prompt_ms": "its prompt, made",
                "store_ms": "a message, stored",
            },
        ),
    ),
    "archive": (
        "archive",
        _archive_lines(
            "What the archive itself costs",
            {
                "start_ms": "opening it whole",
                "search_ms": "a word of every message",
                "search_rare_ms": "a word of one message",
                "open_ms": "one conversation",
                "list_ms": "the latest of a slot",
                "list_seldom_ms": "the latest of a slot seldom used",
            },
        ),
    ),
    "stick": ("stick-own", _stick_bars),
}
"""The plots: which result each needs, and how it is drawn."""
