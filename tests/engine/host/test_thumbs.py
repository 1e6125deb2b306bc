import pytest

from nightschool.engine.host.thumbs import thumbs_of
from nightschool.engine.records import Records
from nightschool.schemas.records import Role, SignalKind


@pytest.fixture
def records(tmp_path):
    with Records(tmp_path / "night.db") as opened:
        yield opened


def test_a_thumb_is_found_by_the_prompt_whose_reply_was_corrected(records):
    talk = records.create_conversation("science")
    edited, said = (records.add_lesson("science", rule) for rule in ("Open with Captain.", "Be brief."))
    records.add_message(talk.id, Role.USER, "What is rust?")
    first = records.add_message(talk.id, Role.ASSISTANT, "Iron and air.")
    records.add_signal(first.id, SignalKind.EDIT, "Captain, iron and air.", edited.id)
    records.add_message(talk.id, Role.USER, "And why?")
    second = records.add_message(talk.id, Role.ASSISTANT, "Because.")
    asked = records.add_message(talk.id, Role.USER, "Be brief from now on.")
    records.add_signal(asked.id, SignalKind.RULE, "Be brief.", said.id)
    records.set_thumb(first.id, -1)
    assert thumbs_of(records, [edited, said]) == {"what is rust": -1}
    records.set_thumb(second.id, 1)
    assert thumbs_of(records, [edited, said]) == {"what is rust": -1, "and why": 1}
    assert thumbs_of(records, [said]) == {"and why": 1}


def test_a_copied_reply_counts_as_good_unless_a_thumb_says_otherwise(records):
    talk, lesson = records.create_conversation("science"), records.add_lesson("science", "Open with Captain.")
    records.add_message(talk.id, Role.USER, "What is rust?")
    reply = records.add_message(talk.id, Role.ASSISTANT, "Iron and air.")
    records.add_signal(reply.id, SignalKind.EDIT, "Captain, iron and air.", lesson.id)
    assert thumbs_of(records, [lesson]) == {}
    copied = records.add_signal(reply.id, SignalKind.ACCEPT)
    assert thumbs_of(records, [lesson]) == {"what is rust": 1}
    records.set_thumb(reply.id, -1)
    assert thumbs_of(records, [lesson]) == {"what is rust": -1}
    records.set_thumb(reply.id, 0)
    records.undo_signal(copied.id)
    assert thumbs_of(records, [lesson]) == {}
