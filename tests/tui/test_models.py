"""The screen of models: what fits and what is here, fetching with a bar, choosing, removing, and the kind sentence."""

import pytest
from textual.widgets import OptionList

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import BaseMismatch, EngineLost, ModelNotFound
from nightschool.schemas.events import PullEvent, StudyEvent
from nightschool.schemas.models import KnownBase


def drawn(app):
    """Return what the terminal would get."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def models_screen(app, pilot, until):
    await pilot.press("alt+m")
    await until(lambda: type(app.screen).__name__ == "ModelsScreen")
    await until(lambda: app.screen.bases)
    return app.screen


def rows(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


def asked(engine, cls):
    return [request for request in engine.asked if isinstance(request, cls)]


async def test_the_screen_shows_what_fits_what_is_here_and_what_would_be_more(opened, until):
    async with opened() as (app, pilot):
        screen = await models_screen(app, pilot, until)
        default, qwen, mistral = rows(screen)
        assert default.startswith("● SmolLM2-135M-Instruct") and "fits well" in default and "in use" in default
        assert qwen.split()[1:] == ["1.5B", "1.2", "GB", "fits", "well", "3.1", "GB", "Apache-2.0"]
        assert "too large" in mistral
        hint = "holds Qwen2.5-1.5B-Instruct as well: a good first step up."
        await until(lambda: hint in " ".join(drawn(app).replace("│", " ").split()))
        assert "this machine has 8.0 GB of memory, 5.0 GB free" in drawn(app)
        await pilot.press("down")
        await until(lambda: "A good first step up." in drawn(app) and "Qwen/Qwen2.5-1.5B-Instruct" in drawn(app))
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)


async def test_a_model_is_fetched_with_a_bar_that_survives_the_screen_then_used(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        screen = await models_screen(app, pilot, until)
        assert not screen.check_action("use", ()) and not screen.check_action("pull", ())  # the default is here already
        await pilot.press("down", "p")
        await until(lambda: "Fetching weights, 0 of 12 MB" in drawn(app))
        assert not screen.check_action("pull", ()) and screen.check_action("cancel", ())
        await pilot.press("escape")
        await until(lambda: app.screen is app.chat)
        screen = await models_screen(app, pilot, until)
        await until(lambda: "Fetching weights" in drawn(app) and "0%" in drawn(app))
        engine.hold.set()
        await until(lambda: app.session.pull is None and rows(screen)[1].startswith("○"))
        assert any("is here" in toast.message for toast in app._notifications)
        await pilot.press("down", "u")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.click("#yes")
        await until(lambda: app.session.ready and app.session.engine.base.name == "Qwen2.5-1.5B-Instruct")
        assert engine.starts == 2 and engine.model == "" and app.screen is app.chat
        await until(lambda: app.session.offer == "")


async def test_a_refused_question_changes_nothing(opened, engine, until):
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update={"installed": True, "size": 10})
    async with opened() as (app, pilot):
        await models_screen(app, pilot, until)
        for key in ("u", "d"):
            await pilot.press("down", key)
            await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
            await pilot.press("enter")  # the button that has the focus refuses
            await until(lambda: type(app.screen).__name__ == "ModelsScreen")
            await pilot.press("up")
        assert asked(engine, ask.UseModel) == asked(engine, ask.RemoveModel) == []
        assert engine.starts == 1


async def test_a_download_is_cancelled(opened, engine, until):
    engine.hold.clear()
    async with opened() as (app, pilot):
        screen = await models_screen(app, pilot, until)
        await pilot.press("down", "p")
        await until(lambda: "Fetching weights" in drawn(app))
        await pilot.press("c")
        await until(lambda: app.session.pull is None)
        await until(lambda: "begun" in rows(screen)[1])
        assert any("goes on from there" in toast.message for toast in app._notifications)


async def test_any_other_model_is_fetched_by_its_name(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await models_screen(app, pilot, until)
        await pilot.press("o")
        await until(lambda: type(app.screen).__name__ == "AskScreen")
        await pilot.press(*"me/mine", "enter")
        await until(lambda: len(rows(screen)) == 4)
        assert asked(engine, ask.PullModel)[0].spec == "me/mine"


async def test_a_model_is_removed_with_what_that_means(opened, engine, until):
    update = {"installed": True, "size": 9_000_000, "slots": ["science"]}
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update=update)
    async with opened() as (app, pilot):
        screen = await models_screen(app, pilot, until)
        assert not screen.check_action("discard", ()), "the one that answers"
        await pilot.press("down", "d")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.pause()
        assert "9 MB" in drawn(app) and "What science learned" in drawn(app)
        await pilot.click("#yes")
        await until(lambda: rows(screen)[1].startswith("  Qwen"))
        assert asked(engine, ask.RemoveModel)[0].force


async def test_errors_are_told_and_the_screen_stays(opened, engine, until):
    engine.fail["models.pull"] = ModelNotFound("The hub cannot be reached; go online once.")
    async with opened() as (app, pilot):
        await models_screen(app, pilot, until)
        await pilot.press("down", "p")
        await until(lambda: any("go online" in toast.message for toast in app._notifications))
        assert app.session.pull is None and type(app.screen).__name__ == "ModelsScreen"
        engine.fail["models.list"] = EngineLost("The engine is not running; start it again.")
        app.screen.refresh_rows()
        await until(lambda: "The engine is not running" in drawn(app))


async def test_a_model_is_chosen_while_none_could_be_loaded(opened, engine, until):
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update={"installed": True})
    async with opened() as (app, pilot):
        app._state(ask.EngineStatus(state="failed", error="It does not fit.", error_code="ModelError"))
        await models_screen(app, pilot, until)
        await pilot.press("down", "u")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.click("#yes")
        await until(lambda: app.session.ready and app.session.engine.base.name == "Qwen2.5-1.5B-Instruct")


async def test_a_model_that_brings_the_engine_down_can_be_left(opened, engine, until):
    """As where it is larger than the memory: the system kills the engine at every start."""
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update={"installed": True})
    async with opened() as (app, pilot):
        engine.awake.clear()
        for starts in range(1, 5):
            await until(lambda starts=starts: engine.starts == starts)
            engine.die()
        await until(lambda: engine.state.state == "asleep")
        await until(lambda: "alt+m" in str(app.chat.query_one("#status").content))
        engine.awake.set()
        await models_screen(app, pilot, until)
        await pilot.press("down", "u")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.click("#yes")
        await until(lambda: app.session.ready and app.session.engine.base.name == "Qwen2.5-1.5B-Instruct")


async def test_during_a_study_the_model_stays(opened, engine, until):
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update={"installed": True})
    async with opened() as (app, pilot):
        app.session.study = StudyEvent(study=1, slot="science", stage="training", fraction=0.5)
        await models_screen(app, pilot, until)
        await pilot.press("down", "u")
        await until(lambda: any("A study is under way" in toast.message for toast in app._notifications))
        assert type(app.screen).__name__ == "ModelsScreen"


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_slot_that_needs_another_model_offers_to_start_with_it(opened, engine, until, agreed):
    update = {"installed": True, "fingerprint": "cd" * 32, "source": "Qwen/x@1"}
    engine.bases["qwen2.5-1.5b"] = engine.bases["qwen2.5-1.5b"].model_copy(update=update)
    engine.slots["science"] = engine.slots["science"].model_copy(update={"base": "Qwen/x@1"})
    engine.fail["chat.send"] = BaseMismatch("Slot science answers with another model alone.")
    async with opened() as (app, pilot):
        await pilot.press(*"Hi", "enter")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.pause()
        assert "Science answers with Qwen2.5-1.5B-Instruct" in drawn(app)
        assert app.chat.prompt.text == "Hi"
        await pilot.click("#yes" if agreed else "#no")
        await until(lambda: app.screen is app.chat)
        if agreed:
            await until(lambda: engine.starts == 2 and app.session.ready)
        assert engine.model == ("Qwen/x@1" if agreed else None)
        assert asked(engine, ask.UseModel) == []


async def test_a_slot_that_learned_on_a_model_that_is_gone_only_says_so(opened, engine, until):
    engine.fail["chat.send"] = BaseMismatch("Slot science learned on another base.")
    async with opened() as (app, pilot):
        await until(lambda: app.session.offer)
        before = len(asked(engine, ask.ListModels))
        await pilot.press(*"Hi", "enter")
        await until(lambda: len(asked(engine, ask.ListModels)) > before)
        await pilot.pause()
        assert app.screen is app.chat
        assert any("learned on another base" in toast.message for toast in app._notifications)


async def test_the_welcome_says_kindly_what_a_bigger_one_would_give(opened, engine, until):
    async with opened() as (app, _):
        await until(lambda: "holds Qwen2.5-1.5B-Instruct" in " ".join(drawn(app).split()))
        assert "alt+m" in drawn(app)


@pytest.mark.parametrize("text", ["[red]x[/]", "\x1b]0;evil\x07", "[@click=app.quit]x[/]", "\x9b2J\u202eabc"])
async def test_hostile_names_are_only_shown(opened, engine, until, text):
    fields = {"source": text, "licence": text, "languages": text, "note": text, "slots": [text], "trouble": text}
    engine.bases["x"] = KnownBase(spec=text, title=text, installed=True, size=1, **fields)
    async with opened() as (app, pilot):
        await models_screen(app, pilot, until)
        app.session.pull = PullEvent(spec=text, stage=text, fraction=0.5)
        await pilot.press("end")
        await until(lambda: "50%" in drawn(app))
        screen = drawn(app)
        assert not any(
            (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char == "\u202e" for char in screen
        )
        if text.startswith("[red]"):
            assert screen.count("[red]x[/]") >= 5
        await pilot.press("d")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen")
        await pilot.pause()
        assert "\x1b" not in drawn(app) and "\u202e" not in drawn(app)
