"""Facts of the user: noted from what is said, told to the model, taught only on request, and forgotten for good."""

from __future__ import annotations

import pytest

from nightschool.engine.chat.memory import MOST_CHARACTERS, with_memory
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, UsageError
from nightschool.schemas.records import LessonState, SignalKind


async def texts(desk, slot=None):
    return [note.text for note in await desk.ask(ask.ListNotes(slot=slot))]


async def system_of(desk, slot="science"):
    await desk.say("Hello", await desk.conversation(slot))
    return desk.chat.asked[-1].system


async def test_a_fact_is_noted_and_told_to_the_model_but_is_no_lesson(desk):
    conversation = await desk.conversation()
    await desk.say("I'm allergic to nuts, so leave them out. What can I bake?", conversation)
    assert await texts(desk) == ["I'm allergic to nuts."]
    assert "- I'm allergic to nuts." in await system_of(desk)
    assert "allergic" in await system_of(desk, "gaming")
    assert not await desk.ask(ask.ListLessons())
    (event,) = desk.events("signal.noted")
    assert event.signal.kind is SignalKind.FACT and event.lesson is None


async def test_the_slots_own_system_prompt_stays_and_a_study_sees_that_alone(desk, runner):
    await desk.ask(ask.UpdateSlot(name="science", system_prompt="Answer as a teacher."))
    await desk.ask(ask.AddNote(text="My name is Ada."))
    system = await system_of(desk)
    assert system.startswith("Answer as a teacher.\n\n") and system.endswith("- My name is Ada.")
    await desk.say("From now on, always answer in one sentence.", await desk.conversation())
    await desk.ask(ask.StartStudy(slot="science"))
    assert runner.jobs[0].system == "Answer as a teacher."


async def test_a_note_is_taught_where_the_user_asks_for_it_and_once(desk, runner):
    note = await desk.ask(ask.AddNote(text="My name is Ada."))
    lesson = await desk.ask(ask.TeachNote(note=note.id, slot="science"))
    assert lesson.state is LessonState.APPROVED and lesson.rule == "Know this of me: My name is Ada."
    assert (await desk.ask(ask.TeachNote(note=note.id, slot="science"))).id == lesson.id
    assert (await desk.ask(ask.TeachNote(note=note.id, slot="gaming"))).id != lesson.id
    await desk.ask(ask.StartStudy(slot="science"))
    assert [taught.id for taught in runner.jobs[0].lessons] == [lesson.id]
    with pytest.raises(NotFound):
        await desk.ask(ask.TeachNote(note=99, slot="science"))


async def test_a_note_that_nobody_could_ask_for_cannot_be_taught(desk):
    note = await desk.ask(ask.AddNote(text="Likes elves."))
    with pytest.raises(UsageError, match="stays a note"):
        await desk.ask(ask.TeachNote(note=note.id, slot="science"))
    assert not await desk.ask(ask.ListLessons())


async def test_a_taught_note_can_be_put_in_other_words(desk):
    note = await desk.ask(ask.AddNote(text="My name is Ada."))
    lesson = await desk.ask(ask.TeachNote(note=note.id, slot="science"))
    changed = await desk.ask(ask.UpdateLesson(lesson=lesson.id, rule="Know this of me: My name is Bea."))
    assert changed.steps[0].args == {"text": "My name is Bea."}


async def test_taking_the_signal_back_forgets_the_note(desk):
    await desk.say("My name is Ada.", await desk.conversation())
    await desk.ask(ask.UndoSignal(signal=desk.events("signal.noted")[0].signal.id))
    assert await texts(desk) == [] and "Ada" not in await system_of(desk)


async def test_notes_are_added_reworded_and_forgotten(desk):
    note = await desk.ask(ask.AddNote(text="  Likes\nelves. ", slot="gaming"))
    assert (
        note.text == "Likes elves." and (await desk.ask(ask.AddNote(text="likes elves.", slot="gaming"))).id == note.id
    )
    assert await texts(desk, "science") == [] and await texts(desk, "gaming") == ["Likes elves."]
    assert "elves" not in await system_of(desk, "science")
    await desk.ask(ask.ChangeNote(note=note.id, text="Likes dwarves."))
    assert "dwarves" in await system_of(desk, "gaming")
    await desk.ask(ask.ForgetNote(note=note.id))
    assert await texts(desk) == []
    assert not desk.rooms.records._db.rows("SELECT 1 FROM notes")
    with pytest.raises(NotFound):
        await desk.ask(ask.ForgetNote(note=note.id))
    with pytest.raises(UsageError):
        await desk.ask(ask.AddNote(text=" \n"))


async def test_without_the_setting_nothing_is_noted_or_told(desk):
    await desk.ask(ask.AddNote(text="My name is Ada."))
    desk.home.config.write_text("memory = false\n")
    await desk.say("I live in Bergen.", await desk.conversation())
    assert await texts(desk) == ["My name is Ada."] and await system_of(desk) == ""


def test_what_is_told_is_bounded_and_the_newest_stays():
    notes = [f"Note {number} {'x' * 50}." for number in range(100)]
    told = with_memory("", notes)
    assert len(told) < MOST_CHARACTERS + 60 and told.endswith(notes[-1][-20:]) and "Note 0 " not in told
    assert with_memory("Be brief.", []) == "Be brief."
    assert told.index("Note 98 ") < told.index("Note 99 ")
