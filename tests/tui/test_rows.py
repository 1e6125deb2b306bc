from textual.app import App
from textual.screen import Screen
from textual.widgets import OptionList

from nightschool.tui.screens.rows import highlighted


class Listed(Screen):
    def compose(self):
        yield OptionList("a", "b")


async def test_a_row_is_one_that_is_there_and_none_before_the_screen_is_filled():
    assert highlighted(Listed(), ["a", "b"]) is None
    async with App().run_test() as pilot:
        screen = Listed()
        await pilot.app.push_screen(screen)
        screen.query_one(OptionList).highlighted = 1
        assert highlighted(screen, ["a", "b"]) == "b"
        assert highlighted(screen, ["a"]) is None
        await screen.query(OptionList).remove()
        assert highlighted(screen, ["a", "b"]) is None
