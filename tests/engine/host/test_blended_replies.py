"""Replies that several slots speak at once."""

from __future__ import annotations

import pytest

from nightschool.engine.slots.blend import Blend
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import BaseMismatch, NotFound, UsageError

CARD = "ab" * 32


@pytest.fixture
def learned(desk, tmp_path):
    """Give a slot a generation of its own; returns its folder."""

    def learn(slot, base=CARD):
        folder = tmp_path / slot
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_text(slot)
        (folder / "adapter_config.json").write_text("{}")
        desk.rooms.store.add_version(slot, folder, base=base)
        return desk.rooms.store.adapter_folder(slot)

    return learn


async def asked_with(desk, **options):
    conversation = await desk.conversation("creative")
    await desk.ask(ask.SendMessage(conversation=conversation, text="Hello", **options))
    return desk.chat.asked[-1].adapter


async def test_a_slot_speaks_with_the_blend_it_is_set_to(desk, learned):
    science, creative = learned("science"), learned("creative")
    assert await asked_with(desk) == creative
    weights = {"science": 0.7, "creative": 0.3}
    assert (await desk.ask(ask.UpdateSlot(name="creative", blend=weights))).blend == weights
    assert await asked_with(desk) == Blend(((creative, 0.3), (science, 0.7)))
    await desk.ask(ask.UpdateSlot(name="creative", title="Other"))
    assert (await desk.ask(ask.ListSlots()))[1].blend == weights
    await desk.ask(ask.UpdateSlot(name="creative", blend={}))
    assert await asked_with(desk) == creative


async def test_one_message_may_choose_another_blend_and_an_empty_one_speaks_alone(desk, learned):
    science, creative = learned("science"), learned("creative")
    await desk.ask(ask.UpdateSlot(name="creative", blend={"science": 1.0}))
    assert await asked_with(desk, blend={"science": 0.5, "creative": -0.5}) == Blend(((creative, -0.5), (science, 0.5)))
    assert await asked_with(desk, blend={}) == creative


async def test_a_blend_of_what_learned_nothing_is_the_plain_base(desk, learned):
    learned("creative")
    assert await asked_with(desk, blend={"gaming": 1.0, "science": 0.5}) is None


async def test_the_next_generation_of_a_slot_speaks_in_the_blends_it_is_part_of(desk, learned, tmp_path):
    first = learned("science")
    await desk.ask(ask.UpdateSlot(name="creative", blend={"science": 1.0, "gaming": 1.0}))
    assert await asked_with(desk) == Blend(((first, 1.0),))
    desk.rooms.store.add_version("science", tmp_path / "science", base=CARD)
    assert await asked_with(desk) == Blend(((desk.rooms.store.adapter_folder("science", 2), 1.0),))


async def test_weights_that_are_none_are_refused_before_anything_is_stored(desk, learned):
    learned("science")
    for weights, error in (
        ({"science": float("nan")}, UsageError),
        ({"science": 11.0}, UsageError),
        ({"science": 0.0}, UsageError),
        ({"nobody": 1.0}, NotFound),
    ):
        with pytest.raises(error):
            await desk.ask(ask.UpdateSlot(name="creative", blend=weights))
        with pytest.raises(error):
            await asked_with(desk, blend=weights)
    assert (await desk.ask(ask.ListSlots()))[1].blend == {}
    assert all(conversation.messages == 0 for conversation in await desk.ask(ask.ListConversations()))


async def test_slots_that_learned_on_another_base_do_not_blend(desk, learned):
    learned("science", base="cd" * 32)
    with pytest.raises(BaseMismatch, match="science"):
        await asked_with(desk, blend={"science": 0.5, "creative": 0.5})


async def test_a_study_goes_on_from_the_slots_own_adapter_whatever_it_speaks_with(desk, learned, runner):
    creative = learned("creative")
    await desk.ask(ask.UpdateSlot(name="creative", blend={"science": 1.0}))
    conversation = await desk.conversation("creative")
    await desk.say("From now on, start every reply with “Captain,”.", conversation)
    await desk.ask(ask.StartStudy(slot="creative"))
    assert runner.jobs[-1].adapter == creative
