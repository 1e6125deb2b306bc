"""How far a lesson reaches and whose evidence it is: stored, read back, and given to lessons of older databases."""

import pytest

from nightschool.engine.records.database import Database
from nightschool.engine.records.facade import Records
from nightschool.engine.records.migrations import MIGRATIONS
from nightschool.engine.records.schema import REACH_OF_LESSONS
from nightschool.schemas.errors import UsageError
from nightschool.schemas.records import Provenance, Role, Scope, SignalKind


@pytest.fixture
def older(tmp_path):
    """A database as it was before, with a lesson from an edit, one from a correction and one from a rule."""
    path = tmp_path / "old.db"
    before = next(place for place, step in enumerate(MIGRATIONS) if step.statements is REACH_OF_LESSONS)
    database = Database(path, MIGRATIONS[:before])
    with database.transaction():
        chat = database.insert("conversations", slot="science", title="", created=1.0, updated=1.0)
        said = database.insert("messages", conversation=chat, role="user", text="No.", created=1.0)
        for state, kind in (("approved", "edit"), ("proposed", "correction"), ("approved", "rule")):
            lesson = database.insert(
                "lessons",
                slot="science",
                state=state,
                rule="Be brief.",
                steps="[]",
                **{'"when"': ""},
                evidence="[]",
                confidence=0.5,
                created=1.0,
                reason="",
            )
            database.insert("signals", conversation=chat, message=said, kind=kind, text="", lesson=lesson, created=1.0)
    database.close()
    return path


def test_lessons_of_an_older_database_are_given_reach_and_provenance(older):
    with Records(older) as records:
        rule, correction, edit = records.lessons("science")
        assert (edit.provenance, edit.scope) == (Provenance.EDITED, Scope.SLOT)
        assert (correction.provenance, correction.scope) == (Provenance.SAID, Scope.REPLY)
        assert (rule.provenance, rule.scope) == (Provenance.SAID, Scope.SLOT)
        assert [signal.scope for signal in records.signals_of_lesson(rule.id)] == [None]


def test_reach_and_provenance_are_kept(tmp_path):
    with Records(tmp_path / "new.db") as records:
        chat = records.create_conversation("science")
        said = records.add_message(chat.id, Role.USER, "For this chat, be brief.")
        lesson = records.add_lesson("science", "Be brief.", scope=Scope.CONVERSATION, provenance=Provenance.INFERRED)
        records.add_signal(said.id, SignalKind.RULE, "be brief", lesson.id, Scope.CONVERSATION)
    with Records(tmp_path / "new.db") as records:
        (lesson,) = records.lessons("science")
        assert (lesson.scope, lesson.provenance) == (Scope.CONVERSATION, Provenance.INFERRED)
        assert records.signals(chat.id)[0].scope is Scope.CONVERSATION
        assert records.update_lesson(lesson.id, scope=Scope.SLOT).scope is Scope.SLOT
        with pytest.raises(UsageError):
            records.update_lesson(lesson.id, scope="everywhere")


def test_signals_support_a_lesson_unless_undone_or_of_a_deleted_conversation(tmp_path):
    with Records(tmp_path / "new.db") as records:
        lesson = records.add_lesson("science", "Be brief.")
        chats = [records.create_conversation("science") for _ in range(3)]
        signals = [
            records.add_signal(records.add_message(chat.id, Role.USER, "brief").id, SignalKind.RULE, "", lesson.id)
            for chat in chats
        ]
        records.undo_signal(signals[0].id)
        records.delete_conversation(chats[1].id)
        assert [signal.id for signal in records.signals_of_lesson(lesson.id)] == [signals[2].id]
        records.restore_conversation(chats[1].id)
        assert len(records.signals_of_lesson(lesson.id)) == 2
