from xml.etree import ElementTree

import pytest

from nightschool.bench.plot import Bar, LogScale, bars, lines, spread

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(text).iter(SVG + kind))


def test_ten_times_as_much_is_always_as_far_away() -> None:
    scale = LogScale(1, 1000, 0, 300)
    assert [scale(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0.03, 4500], [0.01, 0.1, 1, 10, 100, 1000, 10_000]), ([10, 10_000], [10, 100, 1000, 10_000]), ([1, 1], [1, 10])],
)
def test_a_scale_ends_at_powers_of_ten(values: list[float], ticks: list[float]) -> None:
    assert LogScale.around(values, 0, 1).ticks() == pytest.approx(ticks)


def test_a_scale_may_go_upwards() -> None:
    assert LogScale(1, 100, 400, 0)(10) == pytest.approx(200)


def test_bars_are_as_long_as_their_values() -> None:
    text = bars("Speed", "tokens/s", [Bar("ours", 80.0), Bar("<theirs>", 20.0, ours=False)])
    first, second = drawn(text, "rect")
    assert float(first.attrib["width"]) == pytest.approx(4 * float(second.attrib["width"]), abs=0.5)
    assert [first.attrib["class"], second.attrib["class"]] == ["ours", "other"]
    assert {"<theirs>", "20.0 tokens/s"} <= {element.text for element in drawn(text, "text")}


def test_bars_of_nothing_are_drawn() -> None:
    assert len(drawn(bars("Sticks", "", [Bar("case", 0.0)]), "rect")) == 1


def test_every_line_has_its_points_and_its_name() -> None:
    text = lines("Archive", "stored", "ms", {"list": [(10, 1), (100, 1)], "search": [(10, 1), (100, 50)]})
    flat, rising = ([point.split(",") for point in line.attrib["points"].split()] for line in drawn(text, "polyline"))
    assert flat[0][1] == flat[1][1]
    assert float(rising[1][1]) < float(rising[0][1])
    assert {"list", "search", "stored", "ms"} <= {element.text for element in drawn(text, "text")}


def test_names_that_would_cover_each_other_are_spread() -> None:
    assert spread({"low": 100.0, "high": 10.0, "near": 12.0}, 15) == {"high": 10.0, "near": 25.0, "low": 100.0}
