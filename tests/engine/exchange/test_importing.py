"""Previewing and importing over a real database: what is new, known, grown, left; and the way out and back in."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest

from nightschool.engine.exchange import importing
from nightschool.engine.exchange.export import Choice, export
from nightschool.engine.exchange.importing import Import
from nightschool.engine.exchange.lessons import UNKNOWN_FORM
from nightschool.engine.exchange.matching import CHANGED, PUT_AWAY, TWICE
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.records import Records
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import ImportStopped, NotFound, UsageError
from nightschool.schemas.exchange import ExportForm
from nightschool.schemas.records import Evidence, LessonState, Role, SignalKind, Step

PLUGINS = PluginHost.load(third_party=False)


class Profile:
    def __init__(self, folder):
        self.folder = folder
        self.records = Records(folder / "night.db")
        self.store = SlotStore(folder / "slots")
        self.store.ensure_defaults()

    def imports(self, path, **options):
        return Import(path, self.records, self.store, PLUGINS, **options)

    def bring(self, path, slot="science", **options):
        return self.imports(path, **options).run(slot)

    def export(self, path, form=ExportForm.NIGHTSCHOOL, **choice):
        return export(path, Choice(form, **choice), self.records, self.store)

    def texts(self, conversation):
        return [message.text for message in self.records.messages(conversation)]

    def dump(self):
        """Return all that the tables hold, without what is made anew."""
        return {
            name: [tuple(row) for row in self.records._db.rows(f"SELECT * FROM {name}")]
            for name in ("conversations", "messages", "signals", "lessons", "origins", "message_words")
        }


@pytest.fixture
def open_profile(tmp_path):
    opened = []

    def make(name="one"):
        (tmp_path / name).mkdir(exist_ok=True)
        opened.append(Profile(tmp_path / name))
        return opened[-1]

    yield make
    for profile in opened:
        profile.records.close()


@pytest.fixture
def profile(open_profile):
    return open_profile()


@pytest.fixture
def write(tmp_path):
    """Write a Claude export of (id, turns) pairs; the user speaks first."""

    def make(*chats, name="conversations.json", **more):
        file = tmp_path / name
        entries = [
            {
                "uuid": uuid,
                "name": more.get("title", f"Chat {uuid}"),
                "created_at": f"2025-01-{day % 28 + 1:02}T10:00:00Z",
                "updated_at": f"2025-01-{day % 28 + 1:02}T11:00:00Z",
                "chat_messages": [
                    {"sender": ("human", "assistant")[place % 2], "text": text, "uuid": f"{uuid}{place}"}
                    for place, text in enumerate(turns)
                ],
            }
            for day, (uuid, turns) in enumerate(chats)
        ]
        file.write_text(json.dumps(entries))
        return file

    return make


# -- preview and import ------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_come_and_stores_nothing(profile, write):
    path = write(("a", ["Hi", "Hello"]), ("b", ["One", "Two", "Three"]), ("b", ["One", "Two", "Three"]), ("c", []))
    before = profile.dump()
    found = profile.imports(path).preview()
    assert profile.dump() == before
    assert (found.found.new, found.found.turns, found.found.known) == (2, 5, 1)
    assert found.found.skipped == {"nothing was said in it": 1}
    assert found.titles == ["Chat a", "Chat b"] and found.importers == ["Claude (conversations.json, or its zip)"]
    assert (found.first, found.last) == (1735725600.0, 1735815600.0)


def test_what_was_imported_is_a_conversation_like_any_other(profile, write):
    result = profile.bring(write(("a", ["Who made the telescope?", "Lipperhey."])), slot="creative")
    (row,) = profile.records.list_conversations()
    assert result.conversations == [row.id] and result.found.new == 1 and not result.cancelled
    assert (row.slot, row.title, row.origin, row.messages) == ("creative", "Chat a", "claude", 2)
    assert (row.created, row.updated) == (1735725600.0, 1735729200.0)
    assert [hit.conversation for hit in profile.records.search("telescope")] == [row.id]
    profile.records.add_message(row.id, Role.USER, "When?")
    assert profile.texts(row.id) == ["Who made the telescope?", "Lipperhey.", "When?"]


def test_a_conversation_without_a_title_is_named_by_its_first_words(profile, write):
    profile.bring(write(("a", ["Tell me\nabout iron"]), title="\x1b[2J\x07 \n"))
    assert profile.records.list_conversations()[0].title == "[2J"
    profile.bring(write(("b", ["Tell us\nabout iron"]), title=""))
    assert "Tell us" in [row.title for row in profile.records.list_conversations()]


def test_importing_twice_stores_nothing_twice(profile, write):
    path = write(("a", ["Hi", "Hello"]), ("b", ["One", "Two"]))
    profile.bring(path)
    before = profile.dump()
    again = profile.bring(path, slot="gaming")
    assert (again.found.new, again.found.known) == (0, 2) and profile.dump() == before


def test_the_same_words_under_another_name_are_known(profile, write):
    profile.bring(write(("a", ["Hi", "Hello"])))
    assert profile.bring(write(("other", ["Hi", "Hello"]))).found.known == 1
    line = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    plain = write(name="x.jsonl")
    plain.write_text(f"{json.dumps(line)}\n")
    assert profile.bring(plain).found.known == 1


def test_two_conversations_under_one_name_both_come(profile, write):
    path = write(("a", ["Hi", "Hello"]), ("a", ["Red", "Blue"]), ("a", ["Hi", "Hello"]))
    seen = profile.imports(path).preview().found
    assert (seen.new, seen.known) == (2, 1) and profile.bring(path).found == seen
    assert sorted(profile.texts(row.id)[0] for row in profile.records.list_conversations()) == ["Hi", "Red"]
    before = profile.dump()
    assert profile.bring(path).found.known == 3 and profile.dump() == before


def test_a_conversation_that_grows_within_one_file_is_said_to_and_goes_on_the_next_time(profile, write):
    path = write(("a", ["Hi", "Hello"]), ("a", ["Hi", "Hello", "More"]))
    assert profile.bring(path).found.skipped == {TWICE: 1}
    found = profile.bring(path).found
    assert (found.grown, found.known, found.skipped) == (1, 1, {})
    (row,) = profile.records.list_conversations()
    assert profile.texts(row.id) == ["Hi", "Hello", "More"]


def test_a_conversation_that_has_grown_goes_on(profile, write):
    profile.bring(write(("a", ["Hi", "Hello"])))
    longer = write(("a", ["Hi", "Hello", "And now?", "Now this."]))
    seen = profile.imports(longer).preview().found
    assert (seen.new, seen.grown, seen.turns) == (0, 1, 2)
    assert profile.bring(longer).found == seen
    (row,) = profile.records.list_conversations()
    assert profile.texts(row.id) == ["Hi", "Hello", "And now?", "Now this."]
    assert len(profile.records.search("now")) == 2
    assert profile.bring(longer).found.known == 1
    assert profile.bring(write(("a", ["Hi", "Hello"]))).found.known == 1, "an older export changed something"


def test_what_was_continued_edited_or_deleted_here_stays_as_it_is(profile, write):
    path = write(("a", ["Hi", "Hello"]), ("b", ["One", "Two"]), ("c", ["Red", "Blue"]))
    profile.bring(path)
    rows = {row.title: row.id for row in profile.records.list_conversations()}
    profile.records.add_message(rows["Chat a"], Role.USER, "Said here")
    profile.records.edit_message(profile.records.messages(rows["Chat b"])[1].id, "Edited here")
    profile.records.delete_conversation(rows["Chat c"])
    before = profile.dump()
    assert profile.bring(path).found.skipped == {PUT_AWAY: 1}
    grown = write(("a", ["Hi", "Hello", "Said there", "Yes"]), ("b", ["One", "Two"]), ("c", ["Red", "Blue", "Green"]))
    found = profile.bring(grown).found
    assert (found.known, found.skipped) == (1, {CHANGED: 1, PUT_AWAY: 1}) and profile.dump() == before


def test_what_grew_there_and_was_edited_here_goes_on_with_the_edit(profile, write):
    profile.bring(write(("b", ["One", "Two"])))
    (row,) = profile.records.list_conversations()
    profile.records.edit_message(profile.records.messages(row.id)[1].id, "Edited here")
    profile.bring(write(("b", ["One", "Two", "Three"])))
    assert profile.texts(row.id) == ["One", "Edited here", "Three"]


def test_a_conversation_that_is_being_answered_is_left_until_later(profile, write):
    profile.bring(write(("a", ["Hi", "Hello"])))
    longer = write(("a", ["Hi", "Hello", "More"]))
    assert profile.bring(longer, busy=lambda number: True).found.skipped == {importing.BUSY: 1}
    assert profile.bring(longer).found.grown == 1


def test_a_conversation_too_long_to_be_shown_is_skipped(profile, write, monkeypatch):
    monkeypatch.setattr(importing, "LONGEST_CONVERSATION", 10)
    found = profile.bring(write(("a", ["x" * 11]), ("b", ["x"]))).found
    assert (found.new, found.skipped) == (1, {importing.TOO_LONG: 1})


def test_reasons_are_counted_and_not_without_end(profile, write, monkeypatch):
    monkeypatch.setattr(importing, "MOST_REASONS", 1)
    found = profile.bring(write(("a", []), ("b", []), ("c", ["x" * 3_000_000]))).found
    assert found.skipped == {"nothing was said in it": 2, importing.OTHER: 1}


def test_a_slot_that_is_not_there_is_refused_before_anything_is_stored(profile, write):
    with pytest.raises(NotFound):
        profile.bring(write(("a", ["Hi"])), slot="nosuch")
    assert profile.records.list_conversations() == []


# -- stopping and dying ------------------------------------------------------------------------------------------------


def test_a_stopped_import_keeps_whole_conversations_and_the_next_brings_the_others(profile, write, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 4)
    path = write(*((str(number), ["Hi " + str(number), "Hello"]) for number in range(20)))
    seen = 0

    def stopped():
        nonlocal seen
        seen += 1
        return seen > 8

    first = profile.bring(path, stopped=stopped)
    assert first.cancelled and 0 < first.found.new < 20
    assert len(profile.records.list_conversations()) == first.found.new
    assert all(row.messages == 2 for row in profile.records.list_conversations())
    rest = profile.bring(path)
    assert (rest.found.known, rest.found.new) == (first.found.new, 20 - first.found.new)
    with pytest.raises(ImportStopped):
        profile.imports(path, stopped=lambda: True).preview()


IMPORTER = """
import sys
from pathlib import Path
from nightschool.engine.exchange import importing
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.records import Records
from nightschool.engine.slots.store import SlotStore

importing.BATCH = 5
folder = Path(sys.argv[1])
store = SlotStore(folder / "slots")
store.ensure_defaults()
work = importing.Import(Path(sys.argv[2]), Records(folder / "night.db"), store, PluginHost.load(third_party=False))
print("begun", flush=True)
work.run("science")
"""


def test_an_import_that_is_killed_is_put_right_by_importing_again(open_profile, write, tmp_path):
    path = write(*((str(number), [f"Question {number}", "word " * 50]) for number in range(400)))
    folder = tmp_path / "killed"
    folder.mkdir()
    chance = random.Random(3)
    partly = 0
    for _ in range(4):
        work = subprocess.Popen([sys.executable, "-c", IMPORTER, str(folder), str(path)], stdout=subprocess.PIPE)
        work.stdout.readline()
        threading.Timer(chance.random() * 0.15, work.kill).start()
        work.wait()
        work.stdout.close()
        with Records(folder / "night.db") as records:
            rows = records.list_conversations(limit=1000)
            assert all(row.messages == 2 for row in rows)
            partly += 0 < len(rows) < 400
    assert partly, "it was never killed in the middle"
    killed, clean = open_profile("killed"), open_profile("clean")
    killed.bring(path)
    clean.bring(path)
    assert len(killed.records.list_conversations(limit=1000)) == 400
    for table in ("conversations", "messages", "message_words"):
        assert [row[1:] for row in killed.dump()[table]] == [row[1:] for row in clean.dump()[table]]


# -- out and back in ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lived_in(open_profile):
    """A profile with everything that is kept of a conversation."""
    profile = open_profile("old")
    records = profile.records
    profile.store.create("Cooking", "cooking", "Food.", "You cook.")
    profile.store.update("cooking", temperature=0.7)
    talk = records.create_conversation("cooking", "Soup")
    records.add_message(talk.id, Role.USER, "How\x1b long? \u2028 \x9b")
    records.add_message(talk.id, Role.ASSISTANT, "first try", version=2, tokens=3)
    again = records.replace_reply(talk.id, "An hour.", version=3, tokens=4)
    records.edit_message(again.id, "Captain, an hour.")
    records.set_thumb(again.id, 1)
    lesson = records.add_lesson(
        "cooking",
        "Begin with “Captain, ”.",
        state=LessonState.APPROVED,
        steps=[Step(rewriter="opening", args={"text": "Captain, "})],
        evidence=[Evidence(prompt="How long?", before="An hour.", after="Captain, an hour.")],
        confidence=0.9,
    )
    records.add_lesson("science", "Be kind.", reason="No form.")
    signal_ = records.add_signal(again.id, SignalKind.EDIT, "Captain, an hour.", lesson.id)
    records.add_signal(again.id, SignalKind.THUMB_UP)
    records.undo_signal(records.add_signal(again.id, SignalKind.REGENERATE).id)
    assert signal_.lesson == lesson.id
    other = records.create_conversation("science")
    records.add_message(other.id, Role.USER, "Only asked")
    return profile


def without(record, *fields):
    return {name: value for name, value in record.model_dump().items() if name not in fields}


def test_an_export_gives_the_same_conversations_and_lessons_in_a_fresh_profile(lived_in, open_profile, tmp_path):
    file = tmp_path / "all.jsonl"
    written = lived_in.export(file, lessons=True)
    assert (written.conversations, written.lessons) == (2, 2)
    fresh = open_profile("fresh")
    seen = fresh.imports(file).preview()
    assert (seen.found.new, seen.found.lessons, seen.new_slots) == (2, 2, ["cooking"])
    assert seen.slots == {"cooking": 1, "science": 1}
    assert fresh.store.list() == [slot for slot in fresh.store.list() if slot.name != "cooking"]
    result = fresh.bring(file, slot=None)
    assert result.found == seen.found
    old, new = lived_in.records, fresh.records
    for one, two in zip(old.list_conversations(), new.list_conversations(), strict=True):
        assert without(one, "id", "origin") == without(two, "id", "origin")
        copied = without(old.transcript(one.id), "signals")
        assert copied == without(new.transcript(two.id), "signals")
        assert [without(row, "lesson") for row in old.transcript(one.id).signals] == [
            without(row, "lesson") for row in new.transcript(two.id).signals
        ]
    assert [without(row, "id") for row in old.lessons()] == [without(row, "id") for row in new.lessons()]
    (soup,) = new.list_conversations("cooking")
    assert new.signals(soup.id)[0].lesson == new.lessons("cooking")[0].id
    made = fresh.store.slot("cooking")
    assert (made.title, made.description, made.system_prompt, made.temperature) == (
        "Cooking",
        "Food.",
        "You cook.",
        0.7,
    )
    before = fresh.dump()
    again = fresh.bring(file, slot=None)
    assert (again.found.new, again.found.lessons, again.found.known) == (0, 0, 2) and fresh.dump() == before
    second = tmp_path / "again.jsonl"
    fresh.export(second, lessons=True)
    third = open_profile("third")
    third.bring(second, slot=None)
    assert fresh.bring(second, slot=None).found.new == 0
    assert third.bring(file, slot=None).found.new == 0, "it is not known by its first name any more"


def test_an_own_export_is_known_where_it_comes_from(lived_in, tmp_path):
    file = tmp_path / "all.jsonl"
    lived_in.export(file, lessons=True)
    (soup,) = lived_in.records.list_conversations("cooking")
    lived_in.records.add_message(soup.id, Role.USER, "And potatoes?")
    lived_in.records.rename_conversation(soup.id, "Stew")
    before = lived_in.dump()
    found = lived_in.bring(file, slot=None).found
    assert (found.new, found.known, found.lessons) == (0, 2, 0) and lived_in.dump() == before


@pytest.mark.parametrize("form", [ExportForm.JSONL, ExportForm.SHAREGPT])
def test_what_goes_out_for_others_comes_back_with_the_same_words(lived_in, open_profile, tmp_path, form):
    file = tmp_path / "out.jsonl"
    lived_in.export(file, form)
    assert lived_in.bring(file).found.new == 1, "only the edited one is other than what was said"
    fresh = open_profile("fresh")
    fresh.bring(file, slot="gaming")
    said = {tuple(fresh.texts(row.id)) for row in fresh.records.list_conversations("gaming")}
    assert said == {("How\x1b long? \u2028 \x9b", "Captain, an hour."), ("Only asked",)}
    assert "You cook." in file.read_text()


def test_some_conversations_or_those_of_a_slot_are_written(lived_in, tmp_path):
    file = tmp_path / "some.jsonl"
    assert lived_in.export(file, slot="science", lessons=True).conversations == 1
    assert '"Be kind."' in file.read_text() and "Captain" not in file.read_text()
    number = lived_in.records.list_conversations("cooking")[0].id
    assert lived_in.export(file, numbers=[number, number]).conversations == 1
    assert "cooking" in file.read_text() and "Be kind" not in file.read_text()
    with pytest.raises(NotFound):
        lived_in.export(file, numbers=[999])
    with pytest.raises(UsageError, match="own form"):
        lived_in.export(file, ExportForm.JSONL, lessons=True)
    assert "cooking" in file.read_text(), "a refused export spoilt the file"


def test_no_export_holds_what_a_terminal_obeys(lived_in, tmp_path):
    for form in ExportForm:
        lived_in.export(tmp_path / "x", form)
        assert not set((tmp_path / "x").read_text()) & set("\x1b\x9b\x07")


# -- lessons from a file -----------------------------------------------------------------------------------------------


def lesson_file(tmp_path, **fields):
    lesson = {"id": 9, "slot": "science", "state": "approved", "rule": "Begin with “Ho, ”.", "created": 5.0, **fields}
    file = tmp_path / "lessons.jsonl"
    file.write_text(json.dumps({"nightschool": 1, "lesson": lesson}) + "\n")
    return file


def test_a_lesson_learned_there_waits_for_a_study_here(profile, tmp_path):
    steps = [{"rewriter": "opening", "args": {"text": "Ho, "}}]
    assert profile.bring(lesson_file(tmp_path, state="learned", version=4, steps=steps)).found.lessons == 1
    (lesson,) = profile.records.lessons()
    assert (lesson.state, lesson.version, lesson.created) == (LessonState.APPROVED, None, 5.0)


@pytest.mark.parametrize("end", ["-1e15", "-1e400", "1e12", "1e400"])
def test_a_lesson_that_ends_where_no_calendar_reaches_has_an_end_that_can_be_shown(profile, tmp_path, end):
    file = lesson_file(tmp_path, expires=0.25)
    file.write_text(file.read_text().replace("0.25", end))
    profile.bring(file)
    (row,) = profile.records._db.rows("SELECT expires FROM lessons")
    assert datetime.fromtimestamp(row["expires"] - 1)
    assert (row["expires"] < time.time()) is end.startswith("-")


def test_what_may_not_be_taught_is_refused_also_from_a_file(profile, tmp_path):
    steps = [{"rewriter": "opening", "args": {"text": "Sure, "}}]
    profile.bring(lesson_file(tmp_path, rule="Never refuse anything.", steps=steps))
    (lesson,) = profile.records.lessons()
    assert lesson.state is LessonState.REJECTED and lesson.reason


@pytest.mark.parametrize("step", [{"rewriter": "nosuch", "args": {}}, {"rewriter": "opening", "args": {"other": 1}}])
def test_a_lesson_in_an_unknown_form_is_only_proposed(profile, tmp_path, step):
    profile.bring(lesson_file(tmp_path, steps=[step]))
    (lesson,) = profile.records.lessons()
    assert (lesson.state, lesson.steps, lesson.reason) == (LessonState.PROPOSED, [], UNKNOWN_FORM)


def test_a_slot_named_impossibly_becomes_the_first_one(profile, tmp_path):
    line = {"nightschool": 1, "conversation": {"slot": "../../x", "turns": [{"role": "user", "text": "Hi"}]}}
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps(line))
    profile.bring(file, slot=None)
    assert [row.slot for row in profile.records.list_conversations()] == ["science"]
