"""How the command line writes what it shows."""

from __future__ import annotations

import pytest

from nightschool.tui.cli.output import when


@pytest.mark.parametrize("seconds", [0.0, 253_402_300_800.0 + 86_400, 1e18, -1e18])
def test_a_moment_that_no_calendar_has_is_shown_as_none(seconds):
    assert when(seconds) == "-"
