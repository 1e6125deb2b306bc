"""The quality screen: figures of each generation, and a plot where there is more than one."""

import pytest
from textual.widgets import Static
from textual_plotext import PlotextPlot

from nightschool.schemas.records import GenerationQuality
from nightschool.tui.screens.quality import figures

ROWS = [
    GenerationQuality(version=0, created=1.0, kind="base", lessons=0, replies=50, corrected=10),
    GenerationQuality(version=1, created=2.0, kind="study", lessons=2, stick=0.875, kept_kl=0.0312),
]


def test_figures_stand_under_their_heads_the_newest_first():
    heads, newest, oldest = figures(ROWS).plain.splitlines()[:3]
    assert newest.split() == ["1", "study", "2", "88%", "0.031", "0", "0", "-"]
    assert oldest.split() == ["0", "base", "0", "-", "-", "50", "10", "20"]
    for word in ("followed", "of 100"):
        end = heads.index(word) + len(word)
        assert newest[end - 1] != " " and (end == len(newest) or newest[end] == " ")


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]])
async def test_the_screen_draws_what_there_is(opened, engine, until, rows):
    async def quality(request, tell):
        return rows

    engine._versions_quality = quality
    async with opened() as (app, pilot):
        await pilot.press("alt+q")
        await until(lambda: type(app.screen).__name__ == "QualityScreen")
        await until(lambda: "gen." in str(app.screen.query_one(Static).content))
        await until(lambda: app.screen.query_one(PlotextPlot).display is (len(rows) > 1))
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
