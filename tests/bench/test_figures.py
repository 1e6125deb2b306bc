import pytest

from nightschool.bench.figures import FIGURES, Better, Figure, Row, compare, comparison, measured, number

SPEEDUP = "speedup_vs_generate_bf16"


def rows(**values: float) -> list[Row]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    ("figure", "value", "expected"),
    [
        (Figure(Better.MORE, 5), 5.0, True),
        (Figure(Better.MORE, 5), 4.99, False),
        (Figure(Better.LESS, 0.1), 0.1, True),
        (Figure(Better.LESS, 0.1), 0.11, False),
        (Figure(Better.LESS), 0.11, None),
    ],
)
def test_a_figure_is_reached_in_its_good_direction(figure: Figure, value: float, expected: bool | None) -> None:
    assert figure.reached(value) is expected


@pytest.mark.parametrize(
    ("figure", "before", "now", "worse"),
    [
        (Figure(Better.MORE), 10.0, 8.9, True),
        (Figure(Better.MORE), 10.0, 9.1, False),
        (Figure(Better.MORE), 10.0, 20.0, False),
        (Figure(Better.LESS), 10.0, 11.1, True),
        (Figure(Better.LESS), 10.0, 5.0, False),
        (Figure(Better.LESS, noise=0.05), 0.01, 0.05, False),  # four times as much, of next to nothing
        (Figure(Better.LESS, noise=0.05), 0.0, 0.06, True),
        (Figure(Better.LESS, noise=0.05), -0.5, -0.3, True),
    ],
)
def test_worse_is_by_more_than_a_tenth_and_the_noise(figure: Figure, before: float, now: float, worse: bool) -> None:
    assert figure.worse(before, now) is worse


def test_only_ratios_that_are_known_can_become_worse() -> None:
    before = rows(**{SPEEDUP: 4.0, "first_paint_s": 0.3, "unheard_of": 1.0})
    now = rows(**{SPEEDUP: 3.0, "first_paint_s": 0.9, "unheard_of": 9.0, "lora_cost": 0.5})
    changes = {change.label: change for change in compare("decode", before, now)}
    assert {label for label, change in changes.items() if change.worse} == {SPEEDUP}
    assert changes["lora_cost"].before is None
    assert changes["first_paint_s"].ratio == pytest.approx(3.0)


def test_prompts_of_different_lengths_are_compared_each_with_its_own() -> None:
    before = [{"name": "prefill_ratio_vs_llama_cpp", "prompt": prompt, "value": 1.0} for prompt in (512, 2000)]
    now = [{**row, "value": 0.5 if row["prompt"] == 2000 else 1.0} for row in before]
    assert [change.worse for change in compare("llama", before, now)] == [False, True]


def test_means_of_learning_cases_become_figures() -> None:
    case: Row = {"id": "captain", "stick": 0.5}
    found = measured([case, {"summary": True, "cases": 1, "stick": 0.5, "opposite": 0.7, "opposite_base": 1.0}])
    assert {row["name"]: row["value"] for row in found} == {"stick": 0.5, "opposite_lost": pytest.approx(0.3)}


def test_a_figure_that_was_skipped_is_left_out() -> None:
    assert measured([{"name": "key_p99_ms", "value": None}]) == []


def test_the_comparison_is_a_table_that_marks_what_is_worse() -> None:
    text = comparison(compare("decode", rows(**{SPEEDUP: 4.0}), rows(**{SPEEDUP: 3.0, "lora_cost": 0.02})))
    assert text.splitlines() == [
        "figure                            before    now  change",
        "decode: speedup_vs_generate_bf16    4.00   3.00  -25%  worse",
        "decode: lora_cost                      -  0.020  new",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (12_345.6, "12,346"), (45.67, "45.7"), (4.567, "4.57"), (0.0456, "0.046"), (4e-4, "0.00040")],
)
def test_numbers_are_said_in_a_few_digits(value: float, said: str) -> None:
    assert number(value) == said


def test_nothing_is_wanted_in_two_directions() -> None:
    assert all(figure.reached(figure.wanted) for figure in FIGURES.values() if figure.wanted is not None)
