"""The same question to several slots at once, or to two generations."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.host.compare_service import held_out
from nightschool.engine.host.model_thread import Model
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import NotFound, PromptTooLong, UsageError
from nightschool.schemas.records import Finish

SAMPLING = ask.Sampling(max_tokens=12)


@pytest.fixture
def loud(desk, tiny_base, tmp_path):
    """A tiny base, and slot science with an adapter of its own."""
    desk.model.loaded = Model(tiny_base, None, desk.chat, 2, SimpleNamespace(many=tiny_base.numbers))
    generator = torch.Generator().manual_seed(1)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.5)
        for place, f in new_adapter(open_tail(tiny_base, 2), 4).factors.items()
    }
    Adapter(factors).save(tmp_path, "tiny")
    desk.rooms.store.add_version("science", tmp_path, base=tiny_base.card.fingerprint)


async def test_slots_answer_side_by_side_and_nothing_is_kept(desk, loud):
    found = await desk.ask(ask.CompareSlots(text="Hello", slots=["science", "creative", "gaming"], sampling=SAMPLING))
    assert [(row.slot, row.version) for row in found] == [("science", 1), ("creative", 0), ("gaming", 0)]
    assert found[0].text != found[1].text == found[2].text != ""
    assert await desk.ask(ask.ListConversations()) == []


async def test_what_is_said_is_told_as_it_comes(desk, loud):
    found = await desk.ask(ask.CompareSlots(text="Hello", slots=["science", "creative"], sampling=SAMPLING))
    for place, row in enumerate(found):
        heard = [event.text for event in desk.events("compare.delta") if event.place == place]
        assert "".join(heard) == row.text


async def test_they_can_be_stopped(desk, loud, monkeypatch):
    async def in_a_thread(work):
        return await asyncio.to_thread(lambda: asyncio.run(work(desk.model.loaded)))

    monkeypatch.setattr(desk.model, "do", in_a_thread)
    assert await desk.ask(ask.CancelCompare()) is False
    request = ask.CompareSlots(text="Hello", slots=["science", "creative"], sampling=ask.Sampling(max_tokens=400))
    running = asyncio.ensure_future(desk.ask(request))
    while not desk.events("compare.delta"):
        await asyncio.sleep(0.001)
    assert await desk.ask(ask.CancelCompare()) is True
    assert {row.finish for row in await running} <= {Finish.CANCELLED, Finish.STOP}
    assert any(row.finish is Finish.CANCELLED for row in await running)
    assert await desk.ask(ask.CancelCompare()) is False


async def test_they_can_be_stopped_while_the_model_wakes(desk, loud, waiting):
    desk.model.awake.clear()
    compared = asyncio.ensure_future(desk.ask(ask.CompareSlots(text="Hello", slots=["science", "creative"])))
    previewed = asyncio.ensure_future(desk.ask(ask.PreviewVersion(slot="gaming", number=waiting.number)))
    await asyncio.sleep(0)
    assert await desk.ask(ask.CancelCompare()) is True
    desk.model.awake.set()
    assert [(row.text, row.finish) for row in await compared] == [("", Finish.CANCELLED)] * 2
    assert (await previewed).stopped and (await previewed).samples == []
    assert not desk.events("compare.delta") and await desk.ask(ask.CancelCompare()) is False


async def test_what_cannot_be_compared_is_said(desk, loud):
    for change, error in (
        ({"slots": ["science"]}, UsageError),
        ({"slots": ["science"] * 9}, UsageError),
        ({"slots": ["science", "nobody"]}, NotFound),
        ({"text": " "}, UsageError),
        ({"text": "long " * 2000}, PromptTooLong),
    ):
        fields = {"text": "Hello", "slots": ["science", "gaming"], "sampling": SAMPLING, **change}
        with pytest.raises(error):
            await desk.ask(ask.CompareSlots(**fields))


@pytest.fixture
def waiting(desk, loud, tmp_path):
    """A generation of slot gaming that does not answer."""
    fingerprint = desk.model.loaded.base.card.fingerprint
    return desk.rooms.store.add_version("gaming", tmp_path, base=fingerprint, activate=False)


async def test_a_generation_is_seen_before_and_after_and_nothing_is_kept(desk, waiting):
    request = ask.PreviewVersion(slot="gaming", number=waiting.number, prompts=["Hello", " ", "Why?"], max_tokens=12)
    found = await desk.ask(request)
    assert (found.one, found.other, found.stopped) == (0, 1, False)
    assert [row.prompt for row in found.samples] == ["Hello", "Why?"]
    assert all(row.one != row.other for row in found.samples)
    assert (await desk.ask(ask.ListVersions(slot="gaming")))[0].current is False
    for number, row in enumerate(found.samples):
        for place, said in enumerate((row.one, row.other)):
            heard = [
                one.text for one in desk.events("versions.preview.delta") if (one.row, one.place) == (number, place)
            ]
            assert "".join(heard) == said


async def test_where_no_question_is_given_the_banks_are_asked(desk, waiting):
    found = await desk.ask(ask.PreviewVersion(slot="gaming", number=waiting.number, max_tokens=3))
    assert len({row.prompt for row in found.samples}) == 4


async def test_what_answers_already_is_not_seen_before_and_after(desk, waiting):
    with pytest.raises(UsageError):
        await desk.ask(ask.PreviewVersion(slot="gaming", number=0))
    with pytest.raises(NotFound):
        await desk.ask(ask.PreviewVersion(slot="gaming", number=7))
    await desk.ask(ask.Rollback(slot="gaming", to=waiting.number))
    with pytest.raises(UsageError):
        await desk.ask(ask.PreviewVersion(slot="gaming", number=waiting.number))


async def test_a_preview_is_stopped(desk, waiting, monkeypatch):
    async def in_a_thread(work):
        return await asyncio.to_thread(lambda: asyncio.run(work(desk.model.loaded)))

    monkeypatch.setattr(desk.model, "do", in_a_thread)
    request = ask.PreviewVersion(slot="gaming", number=waiting.number, prompts=["Hello", "Why?"], max_tokens=400)
    running = asyncio.ensure_future(desk.ask(request))
    while not desk.events("versions.preview.delta"):
        await asyncio.sleep(0.001)
    assert await desk.ask(ask.CancelCompare()) is True
    found = await running
    assert found.stopped and len(found.samples) == 1


def test_held_out_questions_are_those_of_the_reports():
    def version(*prompts):
        samples = [SimpleNamespace(prompt=prompt) for prompt in prompts]
        return SimpleNamespace(report=SimpleNamespace(outcomes=[SimpleNamespace(samples=samples)]))

    assert held_out(version("a", "b"), version("b", "c")) == ["a", "b", "c"]
    assert len(held_out(SimpleNamespace(report=None), version())) == 4
