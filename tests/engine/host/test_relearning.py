"""A slot is taught another base from its lessons; which generation answers follows the base that is loaded."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from nightschool.engine.host.profile import open_profile
from nightschool.engine.host.relearning import turn_slots
from nightschool.engine.settings import ServerSettings, add_server, choose_provider
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import (
    BaseMismatch,
    ModelDamaged,
    ModelNotFound,
    NotFound,
    NothingToLearn,
    TailOnly,
    UsageError,
)
from nightschool.schemas.messages import EngineStatus
from nightschool.schemas.records import LessonState, StudyState

from .conftest import CARD
from .test_study_service import OTHER, state, study, teach

THERE = CARD.model_copy(update={"fingerprint": "cd" * 32, "name": "bigger", "layers": 30})


@pytest.fixture
def here(desk, monkeypatch, tmp_path):
    """A base that is on the machine beside the one that is loaded; its fields may be changed."""
    found = SimpleNamespace(
        folder=tmp_path / "bigger", manifest=None, card=THERE, size=0, trouble="", upper=None, spec="bigger"
    )
    found.sizes = lambda: (1000, 100)

    def base_named(self, spec):
        if spec != "bigger":
            raise ModelNotFound(f"{spec} is not on this machine.")
        return found

    monkeypatch.setattr("nightschool.engine.host.rooms.Rooms.base_named", base_named)
    return found


async def relearn(desk, slot="science", base="bigger"):
    return await desk.ask(ask.TeachSlot(slot=slot, base=base))


async def test_all_lessons_are_studied_on_the_other_base_from_the_beginning(desk, here, runner):
    first = await teach(desk)
    await study(desk)
    second = await teach(desk, OTHER)
    ended = await relearn(desk)
    job = runner.jobs[-1]
    assert [lesson.id for lesson in job.lessons] == [first.id, second.id]
    assert (job.known, job.adapter, job.base, job.cut) == ([], None, here.folder, 8)
    assert (ended.state, ended.version, ended.report.base) == (StudyState.ACCEPTED, 2, "bigger")
    version = desk.rooms.store.version("science", 2)
    assert (version.base, version.lessons, version.current) == (THERE.fingerprint, [first.id, second.id], False)
    assert desk.rooms.store.current("science").number == 1, "here everything stays as it was"
    assert await state(desk, second) == (LessonState.APPROVED, None)


async def test_it_answers_where_that_base_is_loaded_and_the_lessons_say_so(desk, here, runner):
    first = await teach(desk)
    await study(desk)
    second = await teach(desk, OTHER)
    await relearn(desk)
    turn_slots(desk.rooms, THERE.fingerprint)
    assert desk.rooms.store.current("science").number == 2
    assert await state(desk, second) == (LessonState.LEARNED, 2)
    assert desk.rooms.voice("science", THERE)[1] == desk.rooms.store.adapter_folder("science", 2)
    turn_slots(desk.rooms, CARD.fingerprint)
    assert desk.rooms.store.current("science").number == 1
    assert (await state(desk, first))[0] is LessonState.LEARNED
    assert await state(desk, second) == (LessonState.APPROVED, None), "it waits to be learned here as before"


async def test_a_refused_one_changes_nothing(desk, here, runner):
    await teach(desk)
    await study(desk)
    waiting = await teach(desk, OTHER)
    runner.state, runner.reason = StudyState.REJECTED, "It does not stick there."
    assert (await relearn(desk)).state is StudyState.REJECTED
    assert [version.number for version in desk.rooms.store.versions("science")] == [1, 0]
    assert await state(desk, waiting) == (LessonState.APPROVED, None), "it is no verdict on the lesson here"


async def test_a_slot_that_learned_on_another_base_is_offered_it(desk, here, runner):
    await teach(desk)
    await study(desk)
    with pytest.raises(BaseMismatch, match=r"slots teach science --base"):
        desk.rooms.voice("science", THERE)


async def test_no_base_need_be_loaded(desk, here, runner):
    await teach(desk)
    desk.model.failure = ModelNotFound("None is loaded.")
    desk.status = EngineStatus(state="asleep")
    ended = await relearn(desk)
    assert (ended.state, desk.rooms.store.version("science", 1).current) == (StudyState.ACCEPTED, False)
    turn_slots(desk.rooms, THERE.fingerprint)
    assert desk.rooms.store.current("science").number == 1


async def test_the_base_that_is_loaded_answers_at_once(desk, here, runner):
    await teach(desk)
    desk.status = EngineStatus(state="ready", base=THERE)
    assert (await relearn(desk)).report.base == ""
    assert desk.rooms.store.current("science").number == 1


async def test_the_same_base_is_learned_on_again_only_for_a_smaller_tail(desk, here, runner):
    await teach(desk)
    await study(desk)
    here.card = CARD.model_copy(update={"layers": 30})
    config = desk.rooms.store.folder / "science" / "versions" / "000001" / "adapter_config.json"

    def reaching(block):
        config.chmod(0o644)
        config.write_text(json.dumps({"layers_to_transform": [block, 29]}))
        desk.rooms.store.adapter_folder = lambda *_: config.parent

    reaching(22)
    with pytest.raises(UsageError, match="--rebuild"):
        await relearn(desk)
    desk.home.config.write_text("cut = 4\n")
    ended = await relearn(desk)
    assert (runner.jobs[-1].cut, ended.state, ended.report.base) == (4, StudyState.ACCEPTED, "")
    assert desk.rooms.store.current("science").number == 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"slot": "nobody"}, NotFound, "nobody"),
        ({"base": "other"}, ModelNotFound, "other"),
        ({"slot": "gaming"}, NothingToLearn, "no lesson"),
    ],
)
async def test_what_cannot_be_taught_is_said_before_anything_begins(desk, here, runner, change, error, words):
    await teach(desk)
    with pytest.raises(error, match=words):
        await relearn(desk, **change)
    assert runner.jobs == [] and await desk.ask(ask.ListStudies()) == []


async def test_a_tail_alone_is_taught_at_a_server(desk, here, runner):
    await teach(desk)
    here.upper = 4
    with pytest.raises(TailOnly, match="--studies"):
        await relearn(desk)
    add_server(desk.home, "gpu", ServerSettings(url="https://gpu.home"))
    choose_provider(desk.home, ["gpu"], studies=True)
    await relearn(desk)
    assert (runner.jobs[0].cut, runner.jobs[0].elsewhere) == (4, ("gpu",))
    here.upper = None
    await relearn(desk)
    assert runner.jobs[1].elsewhere == (), "those servers compute the base that is loaded"


async def test_a_base_that_does_not_read_is_said(desk, here, runner):
    await teach(desk)
    here.card, here.trouble = None, "It is damaged."
    with pytest.raises(ModelDamaged, match="damaged"):
        await relearn(desk)


async def test_an_engine_turns_the_slots_before_it_says_that_it_is_ready(home, monkeypatch):
    told, turned = [], []
    profile = open_profile(home, "", broadcast=told.append, status=lambda: told[-1], tell_status=told.append)

    def turn_slots(rooms, base):
        turned.append((base, len(told)))

    monkeypatch.setattr("nightschool.engine.host.profile.turn_slots", turn_slots)
    profile.rooms.model._tell(EngineStatus(state="waking"))
    profile.rooms.model._tell(EngineStatus(state="ready", base=CARD))
    profile.close()
    assert turned == [(CARD.fingerprint, 1)] and len(told) == 2
