"""Slots and conversations: choose, make, find, rename, put away, bring back."""

from textual.widgets import Input, OptionList

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, StorageError
from nightschool.schemas.records import Role


def lines(app, name):
    options = app.chat.query_one(name, OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


async def opened_screen(app, until, name):
    await until(lambda: type(app.screen).__name__ == name)
    return app.screen


async def test_the_sidebar_shows_slots_with_generation_and_waiting_lessons(opened, engine, until):
    async with opened() as (app, _):
        await until(lambda: len(lines(app, "#slots")) == 4)
        assert "Science" in lines(app, "#slots")[0]
        assert "base" in lines(app, "#slots")[0]
        engine.versions["science"].append(engine._add_version("science", kind="study"))
        app.session.slots = [
            row.model_copy(update={"current": 3, "waiting": 2}) if row.name == "science" else row
            for row in app.session.slots
        ]
        app.chat.draw_library()
        assert "●2" in lines(app, "#slots")[0]
        assert "gen 3" in lines(app, "#slots")[0]


async def test_a_slot_is_chosen_by_key_and_by_mouse_and_keeps_its_own_conversations(opened, engine, until):
    engine.add_conversation("creative", "A poem")
    async with opened() as (app, pilot):
        await pilot.press("ctrl+t")
        await until(lambda: app.session.slot_name == "creative")
        await until(lambda: any("A poem" in line for line in lines(app, "#conversations")))
        await until(lambda: len(lines(app, "#slots")) == 4)
        await pilot.click("#slots", offset=(5, 2))
        await until(lambda: app.session.slot_name == "gaming")
        await until(lambda: len(lines(app, "#conversations")) == 1)


async def test_the_app_opens_in_the_slot_it_was_asked_for(opened):
    async with opened(slot="gaming") as (app, _):
        assert app.session.slot.title == "Gaming"


async def test_a_slot_of_ones_own_is_made_and_changed(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press("f7")
        form = await opened_screen(app, until, "SlotForm")
        await pilot.press("ctrl+s")
        await until(lambda: "title" in str(form.query_one("#wrong").content))
        await pilot.press(*"Cooking", "ctrl+s")
        await until(lambda: app.screen is app.chat)
        await until(lambda: app.session.slot and app.session.slot.title == "Cooking")
        await pilot.press("f8")
        form = await opened_screen(app, until, "SlotForm")
        form.query_one("#temperature", Input).value = "9"
        await pilot.press("ctrl+s")
        await until(lambda: "0 to 5" in str(form.query_one("#wrong").content))
        form.query_one("#temperature", Input).value = "0,7"
        await pilot.press("ctrl+s")
        await until(lambda: engine.slots["cooking"].temperature == 0.7)


async def test_a_refused_slot_keeps_the_form_and_its_text(opened, engine, until):
    engine.fail["slots.create"] = StorageError("The slot could not be written; free some space.")
    async with opened() as (app, pilot):
        await pilot.press("f7")
        form = await opened_screen(app, until, "SlotForm")
        await pilot.press(*"Cooking", "ctrl+s")
        await until(lambda: "free some space" in str(form.query_one("#wrong").content))
        assert form.query_one("#title", Input).value == "Cooking"


async def test_a_slot_that_was_made_is_seen_though_its_settings_were_refused_and_left(opened, engine, until):
    engine.fail["slots.update"] = NotFound("There is no server 'attic'.")
    async with opened() as (app, pilot):
        await pilot.press("f7")
        form = await opened_screen(app, until, "SlotForm")
        form.query_one("#provider", Input).value = "attic"
        await pilot.press(*"Cooking", "ctrl+s")
        await until(lambda: "no server" in str(form.query_one("#wrong").content))
        await pilot.press("escape")
        await until(lambda: app.session.slot and app.session.slot.title == "Cooking")


async def test_only_what_was_changed_of_a_slot_is_sent(opened, engine, until):
    engine.slots["science"] = engine.slots["science"].model_copy(update={"base": "gone", "temperature": 0.123456789})
    async with opened() as (app, pilot):
        await pilot.press("f8")
        form = await opened_screen(app, until, "SlotForm")
        form.query_one("#description", Input).value = "Facts."
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is app.chat)
        (request,) = [request for request in engine.asked if isinstance(request, ask.UpdateSlot)]
        assert request == ask.UpdateSlot(name="science", description="Facts.")


async def test_a_conversation_is_renamed(opened, engine, until):
    row = engine.add_conversation("science", "Old")
    async with opened() as (app, pilot):
        await app.chat.open_conversation(row)
        await pilot.press("f6")
        await opened_screen(app, until, "AskScreen")
        await pilot.press(*"New title", "enter")
        await until(lambda: engine.conversations[row.id].title == "New title")
        await until(lambda: any("New title" in line for line in lines(app, "#conversations")))


async def test_a_deleted_conversation_comes_back_with_undo(opened, engine, until):
    row = engine.add_conversation("science", "Precious")
    engine.add_message(row.id, Role.USER, "words")
    async with opened() as (app, pilot):
        await app.chat.open_conversation(row)
        await pilot.press("f9")
        await until(lambda: row.id in engine.deleted)
        await until(lambda: app.session.conversation is None)
        await pilot.press("ctrl+u")
        await until(lambda: row.id in engine.conversations)
        await until(lambda: [view.message.text for view in app.chat.transcript.views] == ["words"])


async def test_conversations_are_walked_through_and_picked_in_the_list(opened, engine, until):
    rows = [engine.add_conversation("science", title) for title in ("first", "second")]
    async with opened() as (app, pilot):
        await until(lambda: len(app.session.conversations) == 2)
        await pilot.press("alt+down")
        await until(lambda: app.session.conversation == rows[1])
        await pilot.press("alt+down")
        await until(lambda: app.session.conversation == rows[0])
        app.chat.query_one("#conversations").focus()
        await pilot.press("home", "enter")
        await until(lambda: app.session.conversation is None)
        app.chat.query_one("#conversations").focus()
        await pilot.press("end", "d")
        await until(lambda: rows[0].id in engine.deleted)


async def test_search_shows_results_while_typing_and_opens_the_message(opened, engine, until):
    row = engine.add_conversation("creative", "A poem")
    engine.add_message(row.id, Role.USER, "Write about the mountain at dusk")
    target = engine.add_message(row.id, Role.ASSISTANT, "The mountain sleeps.")
    async with opened() as (app, pilot):
        await pilot.press("f3")
        screen = await opened_screen(app, until, "SearchScreen")
        await pilot.press(*"mount")
        await until(lambda: len(screen.hits) == 2)
        prompt = screen.query_one(OptionList).get_option_at_index(1).prompt
        assert "The mountain sleeps." in str(prompt)
        assert any(span.style == "bold $accent" for span in prompt.spans)
        await pilot.press("down", "enter")
        await until(lambda: app.session.conversation == row)
        await until(lambda: app.chat.selected() and app.chat.selected().message == target)
        assert app.session.slot_name == "creative"


async def test_a_result_that_is_still_shown_opens_while_the_next_search_runs(opened, engine, until):
    row = engine.add_conversation("science", "Hills")
    engine.add_message(row.id, Role.USER, "The mountain")
    async with opened() as (app, pilot):
        await pilot.press("f3")
        screen = await opened_screen(app, until, "SearchScreen")
        await pilot.press(*"mount")
        await until(lambda: screen.query_one(OptionList).option_count)
        engine.stalled.add("conversations.search")
        await pilot.press("a")
        await until(lambda: engine.asked[-1] == ask.SearchConversations(query="mounta"))
        await pilot.press("enter")
        assert app.screen is screen, "it is not what is searched for now"
        await pilot.click(OptionList, offset=(3, 1))
        await until(lambda: app.session.conversation == row)


async def test_a_step_that_could_not_be_taken_back_can_be_tried_again(opened, engine, until):
    row = engine.add_conversation("science", "Precious")
    async with opened() as (app, pilot):
        await app.chat.open_conversation(row)
        await pilot.press("f9")
        await until(lambda: app.session.undos)
        engine.fail["conversations.restore"] = StorageError("The disk is full; free some space.")
        await pilot.press("ctrl+u")
        await until(lambda: any("disk is full" in note.message for note in app._notifications))
        await app.workers.wait_for_complete()
        await pilot.press("ctrl+u")
        await until(lambda: row.id in engine.conversations)


async def test_a_step_that_can_never_be_taken_back_makes_way_for_the_one_before(opened, engine, until):
    rows = [engine.add_conversation("science", title) for title in ("First", "Second")]
    async with opened() as (app, pilot):
        for count, row in enumerate(rows, start=1):
            await app.chat.open_conversation(row)
            await pilot.press("f9")
            await until(lambda count=count: len(app.session.undos) == count)
        engine.fail["conversations.restore"] = NotFound("It is gone.")
        await pilot.press("ctrl+u")
        await until(lambda: len(app.session.undos) == 1)
        await app.workers.wait_for_complete()
        await pilot.press("ctrl+u")
        await until(lambda: rows[0].id in engine.conversations)


async def test_a_search_that_fails_says_so(opened, engine, until):
    engine.fail["conversations.search"] = StorageError("The index is damaged; run `nightschool doctor`.")
    async with opened() as (app, pilot):
        await pilot.press("f3", "x")
        screen = await opened_screen(app, until, "SearchScreen")
        await until(lambda: "index is damaged" in str(screen.query_one("#found").content))


async def test_the_sidebar_hides_in_a_narrow_terminal_and_comes_with_a_key(opened, until):
    async with opened(size=(80, 24)) as (app, pilot):
        sidebar = app.chat.query_one("Sidebar")
        await until(lambda: sidebar.styles.display == "none")
        await pilot.press("ctrl+l")
        await until(lambda: sidebar.styles.display == "block")
        await pilot.press("ctrl+l")
        await until(lambda: sidebar.styles.display == "none")
