"""How far ahead, and whether at all, is learned from guesses and times."""

import pytest

from nightschool.engine.chat.pace import Pace


def after(pace, pattern):
    for right in pattern:
        pace.judge(right)
    return pace


def test_who_guesses_well_runs_far_and_who_guesses_badly_does_not():
    good, bad = after(Pace(), [True] * 200), after(Pace(), [True, False, False] * 70)
    assert good.ahead(1000) == 64
    assert 2 <= bad.ahead(1000) <= 6
    assert bad.ahead(1000) < Pace().ahead(1000) < good.ahead(1000)


def test_a_run_reaches_its_bound_once_in_250():
    pace = after(Pace(), ([True] * 9 + [False]) * 60)
    assert pace.agreement ** pace.ahead(1000) == pytest.approx(0.004, abs=0.001)


def test_nobody_runs_further_than_can_be_used():
    assert after(Pace(), [True] * 200).ahead(5) == 5
    assert Pace().ahead(0) == 0


def test_the_latest_guesses_weigh_most():
    changed = after(after(Pace(), [True] * 300), [False] * 60)
    assert changed.agreement < 0.4


def play(pace, tokens, *, step, run, turn, agreed=9):
    """Take tokens as a chat would, which asks how to go on where a guess was wrong; of ten ``agreed`` are right.

    Return how many were asked for alone.
    """
    alone, right = 0, False
    for number in range(tokens):
        streams = right or pace.streams_next()
        if streams:
            right = number % 10 < agreed
            pace.judge(right)
            pace.took(run if right else turn, streamed=True, agreed=right)
        else:
            alone, right = alone + 1, False
            pace.took(step, streamed=False, agreed=False)
    return alone


def test_a_long_way_is_never_tried_one_by_one():
    assert play(Pace(), 1000, step=0.11, run=0.01, turn=0.12) == 0


def test_no_way_at_all_is_soon_asked_one_by_one():
    pace = Pace()
    play(pace, 60, step=0.010, run=0.010, turn=0.025)
    assert play(pace, 1000, step=0.010, run=0.010, turn=0.025) > 900


def test_where_streaming_is_quicker_the_other_is_tried_seldom():
    assert play(Pace(), 1000, step=0.030, run=0.010, turn=0.035) < 70


def test_a_way_that_grows_longer_is_streamed_again():
    pace = Pace()
    play(pace, 300, step=0.010, run=0.010, turn=0.025)
    play(pace, 60, step=0.110, run=0.010, turn=0.125)
    assert play(pace, 300, step=0.110, run=0.010, turn=0.125) == 0


def test_who_may_not_stream_does_not():
    assert play(Pace(streams=False), 50, step=1.0, run=0.01, turn=0.01) == 50


def test_what_the_end_of_a_stream_takes_is_not_held_against_asking_for_each():
    pace = Pace()
    play(pace, 17, step=0.010, run=0.015, turn=0.030, agreed=8)
    assert not pace.streams_next()  # the trial has begun
    pace.took(5.0, streamed=False, agreed=False)
    assert play(pace, 100, step=0.010, run=0.015, turn=0.030) > 90
