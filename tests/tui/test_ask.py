"""Small dialogs."""

import pytest
from textual.containers import VerticalScroll
from textual.widgets import Button

from nightschool.tui.screens.ask import ConfirmScreen


def shown(screen, widget):
    """Return how many lines of a widget the terminal shows."""
    return screen.find_widget(widget).visible_region.height


@pytest.mark.parametrize("size", [(80, 24), (40, 14)])
async def test_a_question_about_something_long_shows_its_answers_and_keys(opened, size):
    answers = []
    async with opened(size=size) as (app, pilot):
        subject = "\n".join(f"line {number}" for number in range(200))
        app.push_screen(ConfirmScreen("Publish it?", subject, "Publish"), answers.append)
        await pilot.pause()
        screen = app.screen
        assert screen.focused is screen.query_one("#no")
        assert all(shown(screen, button) == button.outer_size.height for button in screen.query(Button))
        text = screen.query_one(VerticalScroll)
        assert shown(screen, text) > 1 and text.max_scroll_y > 100
        assert "ctrl+s" in str(screen.query_one(".dialog").border_subtitle)
        await pilot.press("shift+tab", "end")
        await pilot.pause()
        assert text.scroll_target_y == text.max_scroll_y
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert answers == [True]


async def test_a_short_question_takes_no_more_room_than_it_needs(opened):
    async with opened(size=(80, 24)) as (app, pilot):
        app.push_screen(ConfirmScreen("Delete it?", "Science\n12 conversations", "Delete"))
        await pilot.pause()
        screen = app.screen
        assert screen.query_one(VerticalScroll).size.height == 2
        assert screen.query_one(".dialog").outer_size.height < 12
