"""What a screen waits for, and what becomes of it when the screen is closed."""

import asyncio

import pytest
from textual.app import App
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.worker import WorkerFailed

from nightschool.tui.screens.work import work_on


class Asking(ModalScreen[None]):
    """Shows an answer where there is a place for it."""

    def __init__(self):
        super().__init__()
        self.answer = asyncio.Event()
        self.tried = False

    def compose(self):
        yield Static("", id="place")

    def on_mount(self):
        work_on(self, self._show())

    async def _show(self):
        while not self.answer.is_set():  # a worker that waits too long to be cancelled
            try:
                await self.answer.wait()
            except asyncio.CancelledError:
                continue
        self.tried = True
        self.query_one("#place", Static).update("shown")


async def test_what_comes_after_a_screen_was_closed_is_shown_nowhere(until):
    async with App().run_test() as pilot:
        screen = Asking()
        await pilot.app.push_screen(screen)
        closing = screen.dismiss(None)
        await until(lambda: not screen.query("#place"))
        screen.answer.set()
        await closing
        await until(lambda: screen.tried)
        assert pilot.app.screen is not screen


async def test_a_place_missing_on_an_open_screen_is_a_defect():
    with pytest.raises(WorkerFailed, match="place"):
        async with App().run_test() as pilot:
            screen = Asking()
            await pilot.app.push_screen(screen)
            await screen.query_one("#place").remove()
            screen.answer.set()
            await pilot.pause()
