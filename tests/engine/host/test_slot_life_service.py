"""Slots renamed, out of sight, deleted and brought back, with everything that the database knows of them."""

from __future__ import annotations

import time

import pytest

from nightschool.engine.host.slot_life_service import tidy_slots
from nightschool.engine.slots import lifecycle
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import Busy, NotFound, StorageError, StudyRunning, UsageError
from nightschool.schemas.exchange import ExportForm
from nightschool.schemas.records import LessonState

RULE = "From now on, start every reply with “Captain,”."


async def names(desk, **which):
    return [slot.name for slot in await desk.ask(ask.ListSlots(**which))]


async def full_slot(desk, slot="science"):
    """A slot with a conversation, a learned lesson, a waiting one, a note and a generation."""
    conversation = await desk.conversation(slot)
    await desk.say(RULE, conversation)
    await desk.ask(ask.StartStudy(slot=slot))
    await desk.say("From now on, always answer in lowercase.", conversation)
    await desk.ask(ask.AddNote(text=f"I like {slot}.", slot=slot))
    return conversation


async def everything(desk, slot):
    """What is seen of a slot."""
    return (
        [row.model_copy(update={"slot": ""}) for row in await desk.ask(ask.ListConversations(slot=slot))],
        [row.model_copy(update={"slot": ""}) for row in await desk.ask(ask.ListLessons(slot=slot))],
        [row.model_copy(update={"slot": ""}) for row in await desk.ask(ask.ListStudies(slot=slot))],
        [row.text for row in await desk.ask(ask.ListNotes(slot=slot))],
        [row.model_copy(update={"slot": ""}) for row in await desk.ask(ask.ListVersions(slot=slot))],
    )


# -- another name -----------------------------------------------------------------------------------------------------


async def test_a_renamed_slot_keeps_everything(desk, runner, new_desk):
    await full_slot(desk)
    await desk.ask(ask.UpdateSlot(name="creative", blend={"science": 0.5, "creative": 0.5}))
    before = await everything(desk, "science")
    assert all(before)
    made = await desk.ask(ask.RenameSlot(slot="science", title="Field notes", name="field-notes"))
    assert (made.name, made.title, made.current, made.waiting) == ("field-notes", "Field notes", 1, 1)
    assert await everything(desk, "field-notes") == before
    assert desk.rooms.store.slot("creative").blend == {"field-notes": 0.5, "creative": 0.5}
    assert await names(desk) == ["field-notes", "creative", "gaming", "professional"]
    desk.rooms.records.close()
    again = new_desk()  # the first slots are made once: there is no new “science”
    assert await names(again) == ["field-notes", "creative", "gaming", "professional"]
    assert await everything(again, "field-notes") == before
    again.rooms.records.close()


async def test_a_title_alone_leaves_the_name(desk):
    made = await desk.ask(ask.RenameSlot(slot="science", title="Field notes"))
    assert (made.name, made.title) == ("science", "Field notes")
    assert await desk.ask(ask.RenameSlot(slot="science", name="science")) == made


async def test_a_name_that_is_taken_or_none_changes_nothing(desk):
    await desk.ask(ask.DeleteSlot(slot="gaming"))
    for name, words in (("creative", "already"), ("gaming", "undelete gaming"), ("../x", "cannot name")):
        with pytest.raises(UsageError, match=words):
            await desk.ask(ask.RenameSlot(slot="science", title="New", name=name))
    assert (await desk.ask(ask.ListSlots()))[0].title == "Science"
    with pytest.raises(NotFound):
        await desk.ask(ask.RenameSlot(slot="nobody", title="New"))


async def test_no_name_changes_while_a_study_runs(desk):
    desk.rooms.records.add_study("creative", [])
    with pytest.raises(StudyRunning):
        await desk.ask(ask.RenameSlot(slot="science", name="other"))
    assert (await desk.ask(ask.RenameSlot(slot="science", title="Other"))).title == "Other"


async def test_where_the_database_cannot_be_told_the_name_stays(desk, monkeypatch):
    await desk.conversation()

    def full(*_):
        raise StorageError("No space is left; free some.")

    monkeypatch.setattr(desk.rooms.records, "rename_slot", full)
    with pytest.raises(StorageError):
        await desk.ask(ask.RenameSlot(slot="science", name="other"))
    assert (await names(desk))[0] == "science"
    assert desk.rooms.store.settings("science").formerly is None


@pytest.mark.parametrize("told", [False, True])
async def test_a_rename_that_was_killed_is_ended_at_the_next_start(desk, new_desk, runner, told):
    await full_slot(desk)
    before = await everything(desk, "science")
    lifecycle.begin_move(desk.rooms.store, "science", "other")
    if told:
        desk.rooms.records.rename_slot("science", "other")
    with pytest.raises(UsageError):
        desk.rooms.store.create("Science")  # or its new conversations would be those of the moved one
    desk.rooms.records.close()
    again = new_desk()
    assert (await names(again))[0] == "other" and len(await names(again)) == 4
    assert await everything(again, "other") == before
    assert again.rooms.store.settings("other").formerly is None
    again.rooms.records.close()


# -- out of sight -----------------------------------------------------------------------------------------------------


async def test_an_archived_slot_is_out_of_sight_but_there(desk, runner):
    conversation = await full_slot(desk)
    made = await desk.ask(ask.ArchiveSlot(slot="science"))
    assert made.archived is not None and made.waiting == 1
    assert await desk.ask(ask.ArchiveSlot(slot="science")) == made
    assert await names(desk) == ["creative", "gaming", "professional"]
    assert (await names(desk, archived=True))[0] == "science"
    assert [hit.conversation for hit in await desk.ask(ask.SearchConversations(query="captain"))] == [conversation]
    assert (await desk.say("Hello", conversation)).text
    back = await desk.ask(ask.ArchiveSlot(slot="science", archived=False))
    assert back.archived is None and (await names(desk))[0] == "science"


async def test_an_archived_slot_is_not_studied_at_night(desk, runner):
    await full_slot(desk)
    await desk.ask(ask.ArchiveSlot(slot="science"))
    night = await desk.ask(ask.RunNight(on_battery=True))
    assert night.studies == []
    await desk.ask(ask.ArchiveSlot(slot="science", archived=False))
    assert len((await desk.ask(ask.RunNight(on_battery=True))).studies) == 1


@pytest.mark.parametrize("take", [ask.ArchiveSlot, ask.DeleteSlot])
async def test_the_last_slot_in_use_stays(desk, take):
    await desk.ask(ask.ArchiveSlot(slot="science"))
    for name in ("creative", "gaming"):
        await desk.ask(ask.DeleteSlot(slot=name))
    with pytest.raises(UsageError, match="last slot in use"):
        await desk.ask(take(slot="professional"))
    assert await names(desk) == ["professional"]
    await desk.ask(ask.DeleteSlot(slot="science"))  # it is not in use


# -- deleted ----------------------------------------------------------------------------------------------------------


async def test_a_deleted_slot_is_nowhere_and_comes_back_whole(desk, runner, tmp_path):
    conversation = await full_slot(desk)
    before = await everything(desk, "science")
    made = await desk.ask(ask.DeleteSlot(slot="science"))
    assert made.deleted is not None
    assert await desk.ask(ask.DeleteSlot(slot="science")) == made
    assert "science" not in await names(desk, archived=True)
    assert "science" in await names(desk, deleted=True)
    assert await desk.ask(ask.ListConversations()) == []
    assert await desk.ask(ask.SearchConversations(query="captain")) == []
    assert await desk.ask(ask.ListLessons()) == [] == await desk.ask(ask.ListNotes())
    export = ask.ExportConversations(file=str(tmp_path / "all"), form=ExportForm.NIGHTSCHOOL, lessons=True)
    assert (await desk.ask(export)).conversations == 0
    assert "Captain" not in (tmp_path / "all").read_text()
    for request in (
        ask.CreateConversation(slot="science"),
        ask.SendMessage(conversation=conversation, text="Hello"),
        ask.StartStudy(slot="science"),
        ask.UpdateSlot(name="science", title="x"),
        ask.Rollback(slot="science"),
    ):
        with pytest.raises(NotFound, match="undelete science"):
            await desk.ask(request)
    back = await desk.ask(ask.UndeleteSlot(slot="science"))
    assert (back.deleted, back.current, back.waiting) == (None, 1, 1)
    assert await desk.ask(ask.UndeleteSlot(slot="science")) == back
    assert await everything(desk, "science") == before
    assert (await names(desk))[0] == "science"


async def test_a_slot_that_is_at_work_is_not_deleted(desk, runner, wait_until):
    conversation = await desk.conversation()
    desk.rooms.begin(conversation)
    with pytest.raises(Busy):
        await desk.ask(ask.DeleteSlot(slot="science"))
    desk.rooms.end(conversation)
    desk.rooms.records.add_study("science", [])
    with pytest.raises(StudyRunning):
        await desk.ask(ask.DeleteSlot(slot="science"))


async def test_a_slot_that_others_speak_with_is_not_deleted(desk):
    await desk.ask(ask.UpdateSlot(name="creative", blend={"science": 1.0}))
    with pytest.raises(UsageError, match="creative speaks with science"):
        await desk.ask(ask.DeleteSlot(slot="science"))
    await desk.ask(ask.DeleteSlot(slot="creative"))
    await desk.ask(ask.DeleteSlot(slot="science"))
    assert (await desk.ask(ask.UndeleteSlot(slot="creative"))).blend == {}  # it would speak with what is gone


def age(desk, name, days):
    desk.rooms.store.revise(name, deleted=time.time() - days * 86400)


async def test_after_its_time_a_deleted_slot_is_removed_with_everything(desk, new_desk, runner):
    await full_slot(desk, "science")
    kept = await full_slot(desk, "creative")
    for name in ("science", "gaming"):
        await desk.ask(ask.DeleteSlot(slot=name))
    age(desk, "gaming", 29)
    age(desk, "science", 31)
    desk.rooms.records.close()
    again = new_desk()
    assert await names(again, deleted=True) == ["creative", "gaming", "professional"]
    with pytest.raises(NotFound):
        await again.ask(ask.UndeleteSlot(slot="science"))
    records = again.rooms.records
    assert {row.slot for row in records.lessons()} == {row.slot for row in records.studies()} == {"creative"}
    assert [row.id for row in records.list_conversations()] == [kept]
    assert [hit.conversation for hit in records.search("captain")] == [kept]
    assert [note.slot for note in records.notes()] == ["creative"]
    assert sum(row.state is LessonState.LEARNED for row in records.lessons("creative")) == 1
    assert not list(again.rooms.store.folder.glob("*science*"))
    fresh = await again.ask(ask.CreateSlot(title="Science"))
    assert (await everything(again, fresh.name))[:4] == ([], [], [], [])
    records.close()


async def test_a_removal_that_was_killed_is_ended_at_the_next_start(desk, runner):
    await full_slot(desk)
    await desk.ask(ask.DeleteSlot(slot="science"))
    lifecycle.begin_removal(desk.rooms.store, "science")
    with pytest.raises(UsageError):
        await desk.ask(ask.CreateSlot(title="Science"))  # it would have the old conversations
    desk.rooms.home.readings.mkdir(parents=True)
    (mine, *_), other = desk.rooms.records.conversations_of("science"), 10_000
    for conversation in (mine, other):
        desk.rooms.home.reading(conversation).write_bytes(b"what was read")
    ((name, size),) = tidy_slots(desk.rooms)
    assert [path.stem for path in desk.rooms.home.readings.iterdir()] == [str(other)]
    assert name == "science" and size > 0
    assert desk.rooms.records.list_conversations("science") == []
    assert tidy_slots(desk.rooms) == []
    await desk.ask(ask.CreateSlot(title="Science"))


async def test_what_cannot_be_removed_is_told_and_waits(desk, monkeypatch):
    await desk.ask(ask.DeleteSlot(slot="science"))
    age(desk, "science", 31)

    def full(*_):
        raise StorageError("The database cannot be written; free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(desk.rooms.records, "remove_slot", full)
        assert tidy_slots(desk.rooms) == []
    assert [event.text for event in desk.events("notice")] == ["The database cannot be written; free some space."]
    assert [name for name, _ in tidy_slots(desk.rooms)] == ["science"]
