"""Merges of slots: asked for, carried out as a study, and what is left of them in the slot."""

from __future__ import annotations

import json

import pytest

from nightschool.engine.study.runner import StudyResult
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, StudyRunning, UsageError
from nightschool.schemas.records import (
    LessonState,
    MergeFacts,
    MergeOptions,
    Parent,
    Step,
    StudyReport,
    StudyState,
    VersionKind,
)

CARD = "ab" * 32
RULES = {"science": "Begin with Captain.", "creative": "Use lower case."}


class Merger:
    """Stands in for the study's process; keeps the lessons named."""

    def __init__(self):
        self.jobs = []
        self.kept = []
        self.state = StudyState.ACCEPTED

    async def __call__(self, job, tell, pace):
        self.jobs.append(job)
        report = StudyReport(accepted=self.state is StudyState.ACCEPTED, reason="")
        if self.state is not StudyState.ACCEPTED:
            return StudyResult(state=self.state, report=report, reason="It harms.")
        candidate = job.folder / "candidate"
        candidate.mkdir(parents=True)
        (candidate / "adapter_model.safetensors").write_bytes(b"merged %d" % job.study)
        (candidate / "adapter_config.json").write_text(json.dumps({}))
        parents = [
            Parent(slot=p.slot, number=p.number, weight=p.weight, adapter_sha256=p.sha256) for p in job.merge.parts
        ]
        facts = MergeFacts(strategy=job.merge.strategy, parents=parents, rank=4, error=0.25)
        return StudyResult(state=self.state, candidate=candidate, report=report, merge=facts, kept=self.kept)


@pytest.fixture
def merger(monkeypatch):
    scripted = Merger()
    monkeypatch.setattr("nightschool.engine.study.runner.run_study", scripted)
    return scripted


@pytest.fixture
def lessons(desk, tmp_path):
    """Two slots that learned a lesson each; its numbers by slot."""
    numbers = {}
    for slot, rule in RULES.items():
        folder = tmp_path / slot
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_text(slot)
        (folder / "adapter_config.json").write_text("{}")
        steps = [Step(rewriter="case", args={"to": slot})]
        numbers[slot] = desk.rooms.records.add_lesson(slot, rule, steps=steps, state=LessonState.LEARNED).id
        desk.rooms.store.add_version(slot, folder, base=CARD, lessons=[numbers[slot]])
    return numbers


def request(into="gaming", weights=None, **options):
    return ask.BlendSlots(weights=weights or {"science": 0.7, "creative": 0.3}, into=into, **options)


async def learned(desk, slot):
    found = await desk.ask(ask.ListLessons(slot=slot, states=[LessonState.LEARNED]))
    return [lesson.rule for lesson in found]


async def test_a_merge_becomes_a_generation_with_both_parents_on_record(desk, merger, lessons):
    merger.kept = list(lessons.values())
    ended = await desk.ask(request(strategy="compact", options=MergeOptions(rank=4)))
    assert (ended.state, ended.version, ended.slot) == (StudyState.ACCEPTED, 1, "gaming")
    (part, other), task = merger.jobs[0].merge.parts, merger.jobs[0].merge
    assert (task.strategy, task.options.rank) == ("compact", 4)
    assert [(p.slot, p.number, p.weight, len(p.lessons)) for p in (part, other)] == [
        ("science", 1, 0.7, 1), ("creative", 1, 0.3, 1),
    ]  # fmt: skip
    version, base = await desk.ask(ask.ListVersions(slot="gaming"))
    assert (version.kind, version.current, base.number) == (VersionKind.MERGE, True, 0)
    assert [(p.slot, p.number, p.weight) for p in version.merge.parents] == [("science", 1, 0.7), ("creative", 1, 0.3)]
    assert (
        version.merge.parents[0].adapter_sha256 == (await desk.ask(ask.ListVersions(slot="science")))[0].adapter_sha256
    )
    assert version.merge.error == 0.25
    assert [event.study.state for event in desk.events("study.ended")] == [StudyState.ACCEPTED]


async def test_the_slot_gets_lessons_of_its_own_for_those_that_are_kept(desk, merger, lessons):
    merger.kept = [lessons["science"]]
    await desk.ask(request())
    assert await learned(desk, "gaming") == [RULES["science"]]
    assert await learned(desk, "science") == [RULES["science"]]
    await desk.ask(request())  # the same once more makes no second lesson
    assert len(await desk.ask(ask.ListLessons(slot="gaming"))) == 1
    assert await learned(desk, "gaming") == [RULES["science"]]
    await desk.ask(ask.Rollback(slot="gaming", to=0))
    assert await learned(desk, "gaming") == []


async def test_a_merge_into_one_of_the_parents_keeps_its_lesson_and_loses_what_was_lost(desk, merger, lessons):
    merger.kept = list(lessons.values())
    await desk.ask(request(into="science"))
    assert sorted(await learned(desk, "science")) == sorted(RULES.values())
    assert lessons["science"] in [lesson.id for lesson in await desk.ask(ask.ListLessons(slot="science"))]
    merger.kept = [lessons["creative"]]
    await desk.ask(request(into="science"))
    assert await learned(desk, "science") == [RULES["creative"]]
    await desk.ask(ask.Rollback(slot="science"))
    assert sorted(await learned(desk, "science")) == sorted(RULES.values())


async def test_a_merge_that_is_refused_leaves_the_slot_as_it_was(desk, merger, lessons):
    merger.state = StudyState.REJECTED
    ended = await desk.ask(request())
    assert (ended.state, ended.version, ended.reason) == (StudyState.REJECTED, None, "It harms.")
    assert [version.number for version in await desk.ask(ask.ListVersions(slot="gaming"))] == [0]
    assert await desk.ask(ask.ListLessons(slot="gaming")) == []
    assert await learned(desk, "science") == [RULES["science"]]


async def test_an_engine_that_died_after_the_files_were_written_knows_the_merge(desk, merger, lessons, monkeypatch):
    merger.kept = list(lessons.values())

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nightschool.engine.host.study_service.settle_lessons", die)
        with pytest.raises(KeyboardInterrupt):
            desk.service._studies._accept(*await died(desk, merger))
    desk.service.recover()
    assert sorted(await learned(desk, "gaming")) == sorted(RULES.values())
    assert (await desk.ask(ask.ListStudies(slot="gaming")))[0].state is StudyState.ACCEPTED


async def died(desk, merger):
    from nightschool.engine.host import blending

    study, job = await blending.prepare(desk.rooms, request())
    return study, job, await merger(job, None, None)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"weights": {"science": 1.0}}, UsageError, "two slots"),
        ({"weights": {"science": 0.5, "professional": 0.5}}, UsageError, "professional has learned nothing"),
        ({"weights": {"science": 0.5, "nobody": 0.5}}, NotFound, "nobody"),
        ({"into": "nobody"}, NotFound, "nobody"),
        ({"strategy": "nosuch"}, UsageError, "there is exact"),
        ({"weights": {"science": float("inf"), "creative": 0.5}}, UsageError, "science"),
    ],
)
async def test_what_cannot_be_merged_is_refused_before_any_work(desk, merger, lessons, asked, error, words):
    with pytest.raises(error, match=words):
        await desk.ask(request(**asked))
    assert merger.jobs == []
    assert await desk.ask(ask.ListStudies()) == []


async def test_one_study_at_a_time_a_merge_is_one(desk, runner, lessons, wait_until):
    import asyncio

    runner.hold.clear()
    running = asyncio.create_task(desk.ask(request()))
    await wait_until(lambda: runner.jobs)
    with pytest.raises(StudyRunning):
        await desk.ask(request())
    assert await desk.ask(ask.CancelStudy())
    assert (await running).state is StudyState.CANCELLED


async def test_a_fork_begins_where_the_slot_is_and_goes_its_own_way(desk, lessons):
    await desk.ask(ask.UpdateSlot(name="science", temperature=0.4, system_prompt="Be kind."))
    made = await desk.ask(ask.ForkSlot(slot="science", title="Field notes"))
    assert (made.name, made.temperature, made.system_prompt, made.current) == ("field-notes", 0.4, "Be kind.", 1)
    version = (await desk.ask(ask.ListVersions(slot="field-notes")))[0]
    assert version.kind is VersionKind.FORK
    assert lessons["science"] not in version.lessons  # lessons of its own
    assert version.adapter_sha256 == desk.rooms.store.current("science").adapter_sha256
    assert await learned(desk, "field-notes") == [RULES["science"]]
    await desk.ask(ask.Rollback(slot="field-notes", to=0))
    assert await learned(desk, "field-notes") == []
    assert await learned(desk, "science") == [RULES["science"]]
    plain = await desk.ask(ask.ForkSlot(slot="gaming", title="Other"))
    assert plain.current == 0
    with pytest.raises(UsageError, match="already"):
        await desk.ask(ask.ForkSlot(slot="science", title="Other"))
