"""While the app runs Python walks all objects only now and then: each time no key is echoed for as long as it takes."""

from __future__ import annotations

import gc

from nightschool.tui import app as app_module


async def test_all_garbage_is_collected_now_and_then_only(opened, until, monkeypatch):
    monkeypatch.setattr(app_module, "COLLECT_SECONDS", 0.05)
    before, walks = gc.get_threshold(), []
    watch = lambda phase, facts: walks.append(facts["generation"]) if phase == "stop" else None  # noqa: E731
    gc.callbacks.append(watch)
    try:
        async with opened():
            assert gc.get_threshold()[2] > 100 * before[2]
            walks.clear()
            await until(lambda: walks.count(2) >= 2)
    finally:
        gc.callbacks.remove(watch)
    assert gc.get_threshold() == before


async def test_a_frame_is_drawn_twice_as_often_as_by_default():
    from textual.constants import MAX_FPS

    assert MAX_FPS == 120
