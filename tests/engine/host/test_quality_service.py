"""What is known of the generations of a slot, and what is said when the newest is corrected more often."""

import pytest

from nightschool.engine.host.quality_service import worse
from nightschool.schemas import messages as ask
from nightschool.schemas.exchange import Transcript, TranscriptSignal, TranscriptTurn
from nightschool.schemas.records import GenerationUse, Role, SignalKind

from .conftest import CARD

RULE = "From now on, start every reply with “Captain,”."


def used(replies, corrected):
    return GenerationUse(version=1, replies=replies, corrected=corrected)


@pytest.mark.parametrize(
    ("now", "before", "is_worse"),
    [
        ((20, 10), (40, 4), True),
        ((11, 11), (40, 0), False),  # too few replies to tell
        ((20, 3), (40, 4), False),  # more often, but by chance
        ((200, 40), (200, 30), False),  # surely more often, but not clearly
        ((20, 0), (40, 20), False),
        ((30, 8), (11, 0), False),  # nothing to compare with
        ((12, 4), (12, 0), True),
        ((20, 0), (20, 0), False),
    ],
)
def test_a_generation_is_worse_where_chance_does_not_explain_it(now, before, is_worse):
    assert worse(used(*now), used(*before)) is is_worse


async def talk(desk, replies, corrected):
    conversation = await desk.conversation()
    for number in range(replies):
        desk.chat.answer = f"Answer {number} is here."
        reply = await desk.say(f"Question {number}?", conversation)
        if number < corrected:
            await desk.ask(ask.EditReply(message=reply.id, text=f"Something else, {number}."))


@pytest.fixture
async def learned(desk, runner):
    await talk(desk, 14, 1)
    await desk.say(RULE, await desk.conversation())
    await desk.ask(ask.StartStudy(slot="science"))
    return desk


def notices(desk):
    return [event.text for event in desk.events("notice") if "corrected" in event.text]


async def test_each_generation_has_its_replies_and_corrections(learned):
    await talk(learned, 3, 1)
    first, second = await learned.ask(ask.GetQuality(slot="science"))
    assert (first.version, first.replies, first.corrected) == (0, 15, 1)
    assert (second.version, second.replies, second.corrected) == (1, 3, 1)


async def test_corrections_in_words_thumbs_and_replaced_replies_count_once(desk):
    conversation = await desk.conversation()
    first = await desk.say("Who?", conversation)
    await desk.ask(ask.Thumb(message=first.id, value=-1))
    await desk.ask(ask.EditReply(message=first.id, text="Not that."))
    await desk.say("What?", conversation)
    again = await desk.ask(ask.Regenerate(conversation=conversation))
    good = await desk.ask(ask.Thumb(message=again.id, value=1))
    assert good.role is Role.ASSISTANT
    (base,) = await desk.ask(ask.GetQuality(slot="science"))
    assert (base.replies, base.corrected) == (3, 2)
    edit = next(s for s in await desk.ask(ask.ListSignals(conversation=conversation)) if s.kind == "edit")
    down = next(s for s in await desk.ask(ask.ListSignals(conversation=conversation)) if s.kind == "thumb_down")
    await desk.ask(ask.UndoSignal(signal=edit.id))
    await desk.ask(ask.UndoSignal(signal=down.id))
    (base,) = await desk.ask(ask.GetQuality(slot="science"))
    assert base.corrected == 1


async def test_replies_from_elsewhere_count_for_no_generation_of_the_slot(desk):
    turns = [
        TranscriptTurn(role=Role.USER, text="Who?", created=5.0),
        TranscriptTurn(role=Role.ASSISTANT, text="He.", created=6.0, version=0, thumb=-1),
        TranscriptTurn(role=Role.USER, text="Who then?"),
        TranscriptTurn(role=Role.ASSISTANT, text="She.", version=7),
    ]
    signals = [TranscriptSignal(turn=1, kind=SignalKind.THUMB_DOWN)]
    found = Transcript(turns=turns, signals=signals)
    row = desk.rooms.records.add_transcript(found, source="nightschool", name="a", slot="science", lessons={})
    assert not any(row.replies or row.corrected for row in await desk.ask(ask.GetQuality(slot="science")))
    await desk.say("And now?", row.id)
    (base,) = await desk.ask(ask.GetQuality(slot="science"))
    assert (base.version, base.replies, base.corrected) == (0, 1, 0)


async def test_a_generation_that_is_corrected_more_often_is_told_of_once(learned):
    await talk(learned, 11, 11)
    assert not notices(learned)
    await talk(learned, 6, 6)
    (told,) = notices(learned)
    assert "generation 1 of science were corrected, 1 of 15" in told and "nightschool rollback science" in told
    assert learned.rooms.store.current("science").number == 1


async def test_with_the_setting_the_slot_goes_back_by_itself(learned):
    learned.home.config.write_text("rollback_when_worse = true\n")
    await talk(learned, 20, 20)
    current = learned.rooms.store.current("science")
    assert (current.number, current.restores) == (2, 0)
    assert "the slot went back to it" in notices(learned)[-1]


async def test_a_generation_is_not_held_against_one_of_another_base(learned, tmp_path):
    learned.home.config.write_text("rollback_when_worse = true\n")
    await talk(learned, 14, 0)
    store = learned.rooms.store
    (tmp_path / "adapter_model.safetensors").write_bytes(b"of another base")
    (tmp_path / "adapter_config.json").write_text("{}")
    taught = store.add_version("science", tmp_path, base="cd" * 32)
    learned.model.loaded.base.card = CARD.model_copy(update={"fingerprint": taught.base})
    await talk(learned, 20, 20)
    assert store.current("science").number == taught.number
    assert not notices(learned)
