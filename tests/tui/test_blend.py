"""Sliders for the slots that speak in a slot."""

from textual.widgets import OptionList, Static

from nightschool.schemas.errors import StorageError
from nightschool.schemas.messages import UpdateSlot
from nightschool.schemas.records import MergeFacts, Parent, StudyReport, VersionKind
from nightschool.tui.commands import command


async def opened_screen(app, until):
    command("slot.blend").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "BlendScreen" and app.screen.query(OptionList))
    return app.screen


def said(screen):
    return str(screen.query_one("#said", Static).content)


async def test_a_slider_is_saved_as_it_moves_and_kept(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        assert "alone" in said(screen)
        await pilot.press("right", "right", "right", "down", "right")
        await until(lambda: engine.slots["science"].blend == {"science": 0.3, "creative": 0.1})
        assert "Science 0.3 + Creative 0.1" in said(screen)
        await pilot.press("left", "left")
        await until(lambda: engine.slots["science"].blend == {"science": 0.3})
        rows = screen.query_one(OptionList)
        assert "━━━─" in str(rows.get_option_at_index(0).prompt)
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        await until(lambda: app.session.slot.blend == {"science": 0.3})
        screen = await opened_screen(app, until)
        assert "Science 0.3" in said(screen)
        await pilot.press("x")
        await until(lambda: engine.slots["science"].blend == {})
        assert "alone" in said(screen)


async def test_a_slider_ends_at_twice_a_slot(opened, engine, until):
    async with opened() as (app, pilot):
        await opened_screen(app, until)
        await pilot.press(*["right"] * 25)
        await until(lambda: engine.slots["science"].blend == {"science": 2.0})


async def test_a_blend_that_cannot_be_saved_is_said(opened, engine, until):
    engine.fail[UpdateSlot.method] = StorageError("The slot could not be written; free some space.")
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press("right")
        await until(lambda: "free some space" in said(screen))


async def test_a_merged_generation_says_what_it_was_made_of(opened, engine, until):
    facts = MergeFacts(
        strategy="ties", rank=16, error=0.283,
        parents=[Parent(slot="creative", number=4, weight=0.7, adapter_sha256="c" * 64)],
    )  # fmt: skip
    report = StudyReport(accepted=True, reason="It keeps both rules.")
    engine._add_version("science", kind=VersionKind.MERGE, merge=facts, report=report)
    async with opened() as (app, pilot):
        await pilot.press("f4")
        await until(lambda: type(app.screen).__name__ == "VersionsScreen" and app.screen.version is not None)
        shown = lambda: str(app.screen.query_one("#version > Static", Static).content)  # noqa: E731
        await until(lambda: "ties: 0.7 of creative 4; rank 16, relative error 0.28" in shown())
        assert "merged" in str(app.screen.query_one(OptionList).get_option_at_index(0).prompt)
