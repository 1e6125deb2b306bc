import pytest

from nightschool.engine.records import Records
from nightschool.schemas.errors import Damaged, NotFound, UsageError
from nightschool.schemas.records import (
    Evidence,
    Lesson,
    LessonState,
    Message,
    Role,
    SignalKind,
    Step,
    StudyReport,
    StudyState,
)


@pytest.fixture
def reply(records: Records) -> Message:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, "ask")
    return records.add_message(talk.id, Role.ASSISTANT, "own words")


def approved(records: Records, rule: str = "Open with Captain.", slot: str = "science") -> Lesson:
    return records.add_lesson(slot, rule, state=LessonState.APPROVED)


def test_a_lesson_comes_back_as_it_was_stored(records: Records) -> None:
    steps = [Step(rewriter="opening", args={"text": "Captain, ", "n": [1, None, True]})]
    evidence = [Evidence(prompt="p\x00", before="b", after="a", said="s")]
    added = records.add_lesson(
        "science", "Rule.", steps=steps, when="on Sundays", evidence=evidence, confidence=0.25, reason="why"
    )
    assert records.lesson(added.id) == added
    assert (added.steps, added.evidence, added.when, added.confidence) == (steps, evidence, "on Sundays", 0.25)
    assert (added.state, added.reason, added.version) == (LessonState.PROPOSED, "why", None)


def test_lessons_are_chosen_by_slot_and_state(records: Records) -> None:
    first = approved(records)
    second = records.add_lesson("science", "Other.")
    third = approved(records, slot="gaming")
    assert [lesson.id for lesson in records.lessons()] == [third.id, second.id, first.id]
    assert [lesson.id for lesson in records.lessons("science", [LessonState.APPROVED])] == [first.id]
    assert [lesson.id for lesson in records.lessons(states={LessonState.PROPOSED, LessonState.LEARNED})] == [second.id]
    assert records.waiting() == {"science": 1, "gaming": 1}


def test_fields_of_a_lesson_change_one_by_one(records: Records) -> None:
    lesson = approved(records)
    changed = records.update_lesson(lesson.id, state=LessonState.LEARNED, version=3)
    assert changed == lesson.model_copy(update={"state": LessonState.LEARNED, "version": 3})
    steps = [Step(rewriter="case", args={})]
    assert records.update_lesson(lesson.id, steps=steps, when="x").steps == steps
    assert records.lesson(lesson.id).when == "x"


@pytest.mark.parametrize("changes", [{"id": 5}, {"slot": "x"}, {"created": 0.0}, {"nonsense": 1}, {"confidence": 2.0}])
def test_what_a_lesson_cannot_be_is_refused(records: Records, changes: dict[str, object]) -> None:
    lesson = approved(records)
    with pytest.raises(UsageError):
        records.update_lesson(lesson.id, **changes)
    assert records.lesson(lesson.id) == lesson


def test_undoing_a_signal_dismisses_the_lesson_it_alone_gave(records: Records, reply: Message) -> None:
    alone, shared = approved(records), approved(records)
    first = records.add_signal(reply.id, SignalKind.CORRECTION, "no, shorter", alone.id)
    second = records.add_signal(reply.id, SignalKind.RULE, "always shorter")
    third = records.add_signal(reply.id, SignalKind.RULE, "yes, shorter", shared.id)
    assert records.link_signal(second.id, shared.id).lesson == shared.id
    assert records.undo_signal(first.id).undone
    assert records.lesson(alone.id).state is LessonState.DISMISSED
    records.undo_signal(second.id)
    assert records.lesson(shared.id).state is LessonState.APPROVED
    records.undo_signal(third.id)
    assert records.lesson(shared.id).state is LessonState.DISMISSED
    assert [signal.undone for signal in records.signals(reply.conversation)] == [True] * 3


def test_undoing_twice_is_harmless(records: Records, reply: Message) -> None:
    lesson = approved(records)
    signal = records.add_signal(reply.id, SignalKind.RULE, lesson=lesson.id)
    records.undo_signal(signal.id)
    records.update_lesson(lesson.id, state=LessonState.APPROVED)
    assert records.undo_signal(signal.id).undone
    assert records.lesson(lesson.id).state is LessonState.APPROVED


def test_a_learned_lesson_is_not_undone_behind_the_slots_back(records: Records, reply: Message) -> None:
    lesson = approved(records)
    records.edit_message(reply.id, "Captain, own words")
    signal = records.add_signal(reply.id, SignalKind.EDIT, "Captain, own words", lesson.id)
    records.update_lesson(lesson.id, state=LessonState.LEARNED)
    with pytest.raises(UsageError, match="roll the slot back"):
        records.undo_signal(signal.id)
    assert not records.signal(signal.id).undone
    assert records.message(reply.id).text == "Captain, own words"


def test_undoing_edits_brings_back_the_wording_before(records: Records, reply: Message) -> None:
    signals = []
    for text in ("one", "two", "three"):
        records.edit_message(reply.id, text)
        signals.append(records.add_signal(reply.id, SignalKind.EDIT, text))
    records.undo_signal(signals[1].id)
    assert records.message(reply.id).text == "three"
    records.undo_signal(signals[2].id)
    assert (records.message(reply.id).text, records.message(reply.id).original) == ("one", "own words")
    records.undo_signal(signals[0].id)
    assert (records.message(reply.id).text, records.message(reply.id).original) == ("own words", None)


def test_undoing_thumbs_brings_back_the_rating_before(records: Records, reply: Message) -> None:
    records.set_thumb(reply.id, 1)
    up = records.add_signal(reply.id, SignalKind.THUMB_UP)
    records.set_thumb(reply.id, -1)
    down = records.add_signal(reply.id, SignalKind.THUMB_DOWN)
    records.undo_signal(down.id)
    assert records.message(reply.id).thumb == 1
    records.undo_signal(up.id)
    assert records.message(reply.id).thumb == 0


def test_signals_refer_to_what_exists(records: Records, reply: Message) -> None:
    with pytest.raises(NotFound, match="lesson 9"):
        records.add_signal(reply.id, SignalKind.RULE, lesson=9)
    with pytest.raises(NotFound, match="message 99"):
        records.add_signal(99, SignalKind.RULE)
    signal = records.add_signal(reply.id, SignalKind.RULE)
    with pytest.raises(NotFound, match="lesson 9"):
        records.link_signal(signal.id, 9)


def test_a_study_runs_and_ends_once(records: Records) -> None:
    study = records.add_study("science", [1, 2])
    assert records.running_studies() == [study]
    report = StudyReport(accepted=True, reason="It sticks.", steps=60)
    ended = records.finish_study(study.id, StudyState.ACCEPTED, version=1, report=report, reason="It sticks.")
    assert (ended.lessons, ended.version, ended.report, ended.state) == ([1, 2], 1, report, StudyState.ACCEPTED)
    assert ended.finished is not None
    assert ended.finished >= ended.started
    assert records.running_studies() == []
    with pytest.raises(UsageError, match="already ended"):
        records.finish_study(study.id, StudyState.FAILED)
    with pytest.raises(UsageError, match="ends as"):
        records.finish_study(records.add_study("science", []).id, StudyState.RUNNING)


def test_studies_are_listed_the_latest_first(records: Records) -> None:
    first, second = records.add_study("science", []), records.add_study("gaming", [])
    assert [study.id for study in records.studies()] == [second.id, first.id]
    assert [study.id for study in records.studies("science")] == [first.id]


def test_a_row_that_is_no_record_is_reported_as_damage(records: Records) -> None:
    lesson = approved(records)
    study = records.add_study("science", [])
    records._db.rows("UPDATE lessons SET state = 'unheard of' WHERE id = ?", lesson.id)
    records._db.rows("UPDATE studies SET lessons = '[1,' WHERE id = ?", study.id)
    with pytest.raises(Damaged, match="Lesson 1 has an impossible state"):
        records.lesson(lesson.id)
    with pytest.raises(Damaged, match="Study 1"):
        records.study(study.id)
