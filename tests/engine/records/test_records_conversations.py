import pytest

from nightschool.engine.records import Records
from nightschool.schemas.errors import NotFound, UsageError
from nightschool.schemas.records import Finish, Role


def test_messages_come_back_as_they_were_stored(records: Records) -> None:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, "What is iron?")
    records.add_message(talk.id, Role.ASSISTANT, "A metal.", version=3, finish=Finish.LENGTH, tokens=4)
    user, reply = records.messages(talk.id)
    assert (user.role, user.text, user.version, user.finish) == (Role.USER, "What is iron?", None, None)
    assert (reply.text, reply.version, reply.finish, reply.tokens) == ("A metal.", 3, Finish.LENGTH, 4)
    assert records.message(reply.id) == reply
    assert records.conversation(talk.id).messages == 2


@pytest.mark.parametrize(
    "text", ["\x00nul\x00", "\x1b[2J\x07bell", "\r\n\ttab\x7f\x9b", "", "\ue000\U0001f680e\u0301", "x" * 300_000]
)
def test_any_text_is_stored_faithfully(records: Records, text: str) -> None:
    talk = records.create_conversation("science")
    added = records.add_message(talk.id, Role.USER, text)
    assert records.message(added.id).text == text


def test_half_a_character_is_refused_and_nothing_is_stored(records: Records) -> None:
    talk = records.create_conversation("science")
    with pytest.raises(UsageError, match="half a character"):
        records.add_message(talk.id, Role.USER, "\ud800")
    assert records.messages(talk.id) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello there", "Hello there"),
        ("\n \n  second\tline \nthird", "second line"),
        ("a \x1b[31m\x00 b", "a [31m b"),
        ("word " * 30, "word word word word word word word word word word word…"),
        ("y" * 100, "y" * 59 + "…"),
        ("\x00\n ", ""),
    ],
)
def test_title_follows_from_the_first_message(records: Records, text: str, title: str) -> None:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, text)
    found = records.conversation(talk.id).title
    assert found == title
    assert len(found) <= 60


def test_only_a_missing_title_follows_from_a_message(records: Records) -> None:
    named = records.create_conversation("science", "My\x1b title")
    records.add_message(named.id, Role.USER, "Hello")
    records.add_message(named.id, Role.ASSISTANT, "Hi")
    assert records.conversation(named.id).title == "My title"
    assert records.rename_conversation(named.id, " New\none ").title == "New"
    with pytest.raises(UsageError, match="visible"):
        records.rename_conversation(named.id, "\x00 ")


def test_the_latest_conversation_comes_first_and_slots_are_kept_apart(records: Records) -> None:
    first, second = (records.create_conversation(slot).id for slot in ("science", "gaming"))
    assert [talk.id for talk in records.list_conversations()] == [second, first]
    records.add_message(first, Role.USER, "again")
    assert [talk.id for talk in records.list_conversations()] == [first, second]
    assert [talk.id for talk in records.list_conversations(limit=1, offset=1)] == [second]
    assert [talk.id for talk in records.list_conversations("gaming")] == [second]
    assert records.list_conversations("nobody") == []


@pytest.mark.parametrize("slot", [None, "gaming"])
def test_a_page_is_listed_without_looking_at_the_whole_archive(records: Records, slot: str | None) -> None:
    asked: list[str] = []
    records._db._connection.set_trace_callback(asked.append)
    records.list_conversations(slot, limit=5)
    records._db._connection.set_trace_callback(None)
    plan = [row["detail"] for row in records._db.rows(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert any("conversations_" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan)  # sorted by an index, so that it can stop at the limit
    assert slot is None or any("conversations_of_slot (slot=?)" in step for step in plan)


def test_a_deleted_conversation_is_gone_until_it_is_restored(records: Records) -> None:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, "remember me")
    records.delete_conversation(talk.id)
    assert records.list_conversations() == []
    assert records.search("remember") == []
    for ask in (records.conversation, records.messages, records.signals, records.delete_conversation):
        with pytest.raises(NotFound, match=str(talk.id)):
            ask(talk.id)
    with pytest.raises(NotFound):
        records.add_message(talk.id, Role.USER, "more")
    assert records.restore_conversation(talk.id).messages == 1
    assert [message.text for message in records.messages(talk.id)] == ["remember me"]


def test_pages_of_messages_go_back_in_order(records: Records) -> None:
    talk = records.create_conversation("science")
    ids = [records.add_message(talk.id, Role.USER, str(number)).id for number in range(7)]
    assert [message.id for message in records.messages(talk.id, limit=3)] == ids[4:]
    assert [message.id for message in records.messages(talk.id, before=ids[4], limit=3)] == ids[1:4]
    assert records.messages(talk.id, before=ids[0]) == []


def test_a_new_reply_takes_the_place_of_the_last_one_which_is_kept(records: Records) -> None:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, "ask")
    old = records.add_message(talk.id, Role.ASSISTANT, "former words")
    new = records.replace_reply(talk.id, "latter words", version=2, finish=Finish.STOP, tokens=2)
    assert [message.text for message in records.messages(talk.id)] == ["ask", "latter words"]
    assert records.conversation(talk.id).messages == 2
    assert records.message(old.id).text == "former words"
    assert records.search("former") == []
    assert [hit.message for hit in records.search("words")] == [new.id]
    with pytest.raises(UsageError, match="replaced"):
        records.edit_message(old.id, "too late")


def test_only_a_reply_at_the_end_can_be_replaced(records: Records) -> None:
    talk = records.create_conversation("science")
    with pytest.raises(UsageError, match="does not end with a reply"):
        records.replace_reply(talk.id, "x")
    records.add_message(talk.id, Role.USER, "ask")
    with pytest.raises(UsageError, match="does not end with a reply"):
        records.replace_reply(talk.id, "x")


def test_an_edit_keeps_the_models_own_words(records: Records) -> None:
    talk = records.create_conversation("science")
    asked = records.add_message(talk.id, Role.USER, "ask")
    reply = records.add_message(talk.id, Role.ASSISTANT, "own words")
    assert records.edit_message(reply.id, "first edit").original == "own words"
    again = records.edit_message(reply.id, "second edit")
    assert (again.text, again.original) == ("second edit", "own words")
    assert records.search("own") == []
    assert len(records.search("second")) == 1
    restored = records.restore_message(reply.id)
    assert (restored.text, restored.original) == ("own words", None)
    assert len(records.search("own")) == 1
    assert records.edit_message(reply.id, "own words").original is None
    with pytest.raises(UsageError, match="not a reply"):
        records.edit_message(asked.id, "x")


def test_thumbs_are_for_replies(records: Records) -> None:
    talk = records.create_conversation("science")
    asked = records.add_message(talk.id, Role.USER, "ask")
    reply = records.add_message(talk.id, Role.ASSISTANT, "words")
    assert [records.set_thumb(reply.id, value).thumb for value in (1, -1, 0)] == [1, -1, 0]
    with pytest.raises(UsageError, match="not a reply"):
        records.set_thumb(asked.id, 1)
    with pytest.raises(UsageError, match="not 2"):
        records.set_thumb(reply.id, 2)


def test_numbers_that_do_not_exist_are_not_found(records: Records) -> None:
    for ask in (
        records.conversation,
        records.messages,
        records.message,
        records.restore_conversation,
        records.restore_message,
        records.signal,
        records.undo_signal,
        records.lesson,
        records.study,
    ):
        with pytest.raises(NotFound, match="99"):
            ask(99)
    with pytest.raises(UsageError, match="too large"):
        records.message(10**30)
