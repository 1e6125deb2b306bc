"""A reply ends before a text that the caller does not want, wherever the pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.engine.chat.stops import Stops


def fed(stops, pieces):
    passed = "".join(stops.feed(piece) for piece in pieces)
    return passed + stops.flush()


@given(st.text("ab\n", max_size=30), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), st.data())
def test_what_is_passed_on_is_the_text_before_the_first_stop(text, wanted, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stops = Stops(wanted)
    ends = [text.find(stop) for stop in wanted if stop in text]
    if not ends:
        assert fed(stops, pieces) == text == stops.text
        assert not stops.found
        return
    # One that ends earlier may be seen before one that begins earlier: pieces come one by one.
    passed = fed(stops, pieces)
    assert stops.found and passed == stops.text and text.startswith(passed)
    assert not any(stop in passed for stop in wanted)
    assert any(text.startswith(stop, len(passed)) for stop in wanted)


def test_what_may_begin_a_stop_waits_and_the_rest_does_not():
    stops = Stops(["END", ""])
    assert (stops.feed("The EN"), stops.feed("TRY E"), stops.feed("N"), stops.feed("D.")) == ("The ", "ENTRY ", "", "")
    assert stops.found and stops.text == "The ENTRY "


@pytest.mark.parametrize("wanted", [[], [""]])
def test_without_stops_everything_passes_at_once(wanted):
    stops = Stops(wanted)
    assert (stops.feed("a"), stops.feed("b"), stops.flush()) == ("a", "b", "")
