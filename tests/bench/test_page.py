from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nightschool.bench.figures import FIGURES
from nightschool.bench.page import PARTS, figure_table, page, plots, replaced
from nightschool.bench.results import Result, committed, read, write

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MACHINE = {"processor": "Abacus", "cores": 2, "threads": 4, "memory_gb": 24, "system": "Linux x86_64"}


def result(name: str, *rows: dict[str, Any]) -> Result:
    command = f"python bench/{name}.py --json"
    return Result(name, command, "2026-11-24", MACHINE, {"python": "3.11.7"}, 1.0, list(rows))


def words_around(text: str) -> str:
    for name in PARTS:
        text = replaced(text, name, "")
    return text


def named(**values: float) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


ALL = {
    one.name: one
    for one in (
        result(
            "decode",
            {"name": "speedup_vs_generate_fp32", "value": 8.0, "tokens_per_s": 80.0, "generate_tokens_per_s": 10.0},
            {"name": "speedup_vs_generate_bf16", "value": 3.0, "tokens_per_s": 80.0, "generate_tokens_per_s": 26.0},
            {"name": "bound_tokens_per_s_fp32", "value": 51.9, "reached": 0.6},
        ),
        result(
            "llama",
            {"name": "ratio_vs_llama_cpp", "value": 1.0, "tokens_per_s": 80.0, "llama_cpp_tokens_per_s": 80.0},
            {
                **{"name": "prefill_ratio_vs_llama_cpp", "prompt": 512, "value": 1.5},
                **{"tokens_per_s": 360.0, "llama_cpp_tokens_per_s": 240.0},
            },
        ),
        result("step", *named(ours_step_s=0.5, trainer_step_s=0.6, peft_step_s=5.0, peft_bf16_step_s=3.7)),
        result("prefix", *named(first_token_turn1_s=5.0, first_token_turn2_s=0.1, slot_switch_s=1.5, turn2_share=0.02)),
        result(
            "archive",
            *(
                {"name": "archive", "conversations": size, **{f"{name}_ms": 0.5 for name in names}}
                for names in [
                    [n.removeprefix("archive_growth_") for n in FIGURES if n.startswith("archive_")] + ["start"]
                ]
                for size in (10, 10_000)
            ),
            *named(**{name: 1.0 for name in FIGURES if name.startswith("archive_")}, archive_growth_start=70.0),
            *named(cost_per_token_growth=1.0),
        ),
        result("tui", {"name": "key_p99_ms", "value": 37.6, "mode": "real"}),
        result("tui-scripted", {"name": "key_p99_ms", "value": None}, {"name": "first_paint_s", "value": 0.3}),
        result("stick-own", {"id": "captain", "stick": 1.0, "leak": None, "seconds": 110, "accepted": True}),
    )
}


def test_the_page_has_a_place_for_every_part() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in PARTS:
        assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- /{name} -->\n") == 1
    assert page(text, {}) == text


def test_words_around_the_tables_stay_and_writing_twice_changes_nothing() -> None:
    text = PAGE.read_text(encoding="utf-8")
    once = page(text, ALL)
    assert page(once, ALL) == once
    assert words_around(once) == words_around(text)


def test_reached_and_missed_are_computed() -> None:
    lines = figure_table(ALL["decode"].rows).splitlines()
    assert lines[0] == "| figure | value | wanted |  | with |"
    assert lines[2].startswith("| `speedup_vs_generate_fp32` | 8.00 | ≥ 5 | reached | tokens_per_s 80.0, ")
    assert lines[3].startswith("| `speedup_vs_generate_bf16` | 3.00 | ≥ 3.2 | **missed** |")
    assert lines[4] == "| `bound_tokens_per_s_fp32` | 51.9 | – |  | reached 0.60 |"


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- decode -->"):
        replaced("# Figures\n", "decode", "table")


def test_only_parts_with_results_are_written() -> None:
    text = PAGE.read_text(encoding="utf-8")
    written = page(text, {"tui": ALL["tui"]})
    assert "| `key_p99_ms` | 37.6 | – | ≤ 50 | reached |" in written
    assert "Measured 24 November 2026 on Abacus, 2 cores, 24 GB; python 3.11.7." in written
    assert written.split("<!-- tui -->")[0] == text.split("<!-- tui -->")[0]


def test_every_plot_is_an_image_and_every_image_of_the_page_is_plotted() -> None:
    drawn = plots(ALL)
    for text in drawn.values():
        ElementTree.fromstring(text)
    shown = page(PAGE.read_text(encoding="utf-8"), ALL)
    assert {line for line in shown.splitlines() if "](figures/" in line} == {
        f"![{name.removesuffix('.svg')}](figures/{name})" for name in drawn
    }


def test_a_result_reads_back_and_is_not_committed_where_there_is_no_commit(tmp_path: Path) -> None:
    write(ALL["decode"], tmp_path)
    assert read("decode", tmp_path) == ALL["decode"]
    assert read("step", tmp_path) is None
    assert committed("decode", tmp_path) is None


def test_the_cases_are_averaged_over_both_files() -> None:
    other = replace(ALL["stick-own"], name="stick-examples", rows=[{"id": "first", "stick": 0.5, "leak": 0.1}])
    written = page(PAGE.read_text(encoding="utf-8"), {"stick-examples": other, "stick-own": ALL["stick-own"]})
    assert "| **mean** | 0.75 |" in written
    assert "| `stick` | 0.75 | ≥ 0.85 | **missed** |" in written
