"""Whole chats over engines of others, played: the plain base speaks there, and says what it says here."""

import pytest

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.speed import Speed
from nightschool.engine.chat.chat import Turn
from nightschool.engine.host.elsewhere import check_can_speak, learns_in_head
from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.settings import ServerSettings, Settings, add_server, choose_provider, read_settings
from nightschool.engine.slots.adapter import HEAD_PROJECTIONS, Adapter, Factors, new_adapter
from nightschool.engine.slots.blend import Blend
from nightschool.schemas.errors import BaseMismatch, Damaged, Unreachable, UsageError
from nightschool.schemas.messages import AddProvider, AnswerTurns, Sampling, UpdateSlot
from nightschool.schemas.records import GivenTurn, Role, Slot
from nightschool.tests.engines import KINDS, played
from nightschool.tests.tiny import tiny

LOCAL = ("local",)


@pytest.fixture(autouse=True)
def here_in_fp32(monkeypatch, home):
    """Both sides in the same numbers: a random base says something else after the smallest rounding."""

    def found(machine, device):
        return Speed(one=Numbers.FP32, many=Numbers.FP32, one_ms={"fp32": 1.0}, many_ms={"fp32": 1.0}, machine=machine)

    monkeypatch.setattr("nightschool.engine.base.speed.probe", found)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))


def started(home, folder):
    model = ModelThread(home, str(folder), PluginHost.load(third_party=False), lambda status: None)
    model.start()
    return model


def asking(home, names, turns, temperature=0.0, adapter=None):
    async def ask(model):
        through = await model.through(names, read_settings(home))
        return await model.chat_over(through).reply(
            1,
            turns,
            system="",
            adapter=adapter,
            sampling=Sampling(max_tokens=16, temperature=temperature, seed=3),
            on_text=lambda text: None,
            cancelled=lambda: False,
            through=through,
        )

    return ask


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conversation_goes_on_over_an_engine_and_says_the_same(home, tiny_base_folder, kind):
    with played(kind) as engine:
        add_server(home, "there", ServerSettings(url=engine.url, kind=kind))
        model, alone = started(home, tiny_base_folder), started(home, tiny_base_folder)
        turns = [Turn(Role.USER, "Say something.")]
        for names, temperature in ((LOCAL, 0.0), (("there",), 0.0), (("there",), 0.8), (LOCAL, 0.0), (("there",), 0.0)):
            reply = await model.do(asking(home, names, turns, temperature))
            assert reply == await alone.do(asking(home, LOCAL, turns, temperature))
            assert (reply.traffic.moved > 0) == (names != LOCAL)
            turns += [Turn(Role.ASSISTANT, reply.text), Turn(Role.USER, "Go on.")]
        asked = len(engine.asked)
        await model.forget(1)
        assert (await model.do(asking(home, ("there",), turns))).traffic.read == 1 and len(engine.asked) > asked


async def test_what_was_said_before_is_asked_for_several_tokens_at_once(home, tiny_base_folder):
    with played("vllm") as engine:
        add_server(home, "there", ServerSettings(url=engine.url, kind="vllm"))
        model = started(home, tiny_base_folder)
        said = await model.do(asking(home, ("there",), [Turn(Role.USER, "Again.")]))
        turns = [Turn(Role.USER, f"Again. {said.text}")]
        reply = await model.do(asking(home, ("there",), turns))
        assert reply.traffic.drafted > 0


@pytest.mark.parametrize("normed", [True, False])
async def test_rows_before_the_norm_speak_too(home, tiny_base_folder, normed):
    with played("sglang", normed=normed) as engine:
        add_server(home, "there", ServerSettings(url=engine.url, kind="sglang"))
        model, turns = started(home, tiny_base_folder), [Turn(Role.USER, "Say something.")]
        assert await model.do(asking(home, ("there",), turns)) == await model.do(asking(home, LOCAL, turns))


@pytest.fixture
def head_adapter(tiny_base_folder, tmp_path):
    import torch

    fresh = new_adapter(open_tail(load(tiny_base_folder), 0), 4, HEAD_PROJECTIONS)
    generator = torch.Generator().manual_seed(2)
    changed = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator)) for place, f in fresh.factors.items()
    }
    (tmp_path / "head").mkdir()
    Adapter(changed).save(tmp_path / "head", "tiny")
    return tmp_path / "head"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_head_adapter_speaks_over_an_engine_as_it_does_here(home, tiny_base_folder, head_adapter, kind):
    with played(kind) as engine:
        add_server(home, "there", ServerSettings(url=engine.url, kind=kind))
        model, alone = started(home, tiny_base_folder), started(home, tiny_base_folder)
        turns = [Turn(Role.USER, "Say something.")]
        plain = await alone.do(asking(home, LOCAL, turns))
        for names, temperature in ((LOCAL, 0.0), (("there",), 0.0), (("there",), 0.8), (LOCAL, 0.0)):
            reply = await model.do(asking(home, names, turns, temperature, head_adapter))
            assert reply == await alone.do(asking(home, LOCAL, turns, temperature, head_adapter))
            assert reply.text != plain.text or temperature
            turns += [Turn(Role.ASSISTANT, reply.text), Turn(Role.USER, "Go on.")]


def test_a_slot_with_a_head_adapter_speaks_anywhere(head_adapter):
    slot = Slot(name="science", title="Science", provider="box")
    check_can_speak(slot, head_adapter, THERE)
    check_can_speak(slot, Blend(((head_adapter, 0.5),)), THERE)


def test_where_a_slot_computes_says_what_it_learns_in_and_it_stays_so(head_adapter, tmp_path):
    there = Slot(name="science", title="Science", provider="box")
    here = there.model_copy(update={"provider": ""})
    assert learns_in_head(there, None, THERE)
    assert not learns_in_head(here, None, THERE)
    assert learns_in_head(here, head_adapter, THERE)
    assert not learns_in_head(here, tmp_path, THERE)
    with pytest.raises(UsageError, match="rollback science --to 0"):
        learns_in_head(there, tmp_path, THERE)


async def test_another_model_does_not_answer(home, tiny_base_folder):
    with played("vllm", model=tiny(seed=9)) as engine:
        add_server(home, "there", ServerSettings(url=engine.url, kind="vllm"))
        with pytest.raises(BaseMismatch, match="nats"):
            await started(home, tiny_base_folder).do(asking(home, ("there",), [Turn(Role.USER, "Hello.")]))


async def test_a_kind_that_nobody_supplies_is_named(home, tiny_base_folder):
    add_server(home, "there", ServerSettings(url="http://127.0.0.1:1", kind="ollama"))
    with pytest.raises(UsageError, match=r"'ollama', only hsp, llama.cpp, sglang, vllm"):
        await started(home, tiny_base_folder).do(asking(home, ("there",), [Turn(Role.USER, "Hello.")]))


async def test_only_kinds_that_are_supplied_are_named(desk):
    row = await desk.ask(AddProvider(name="box", url="https://box", kind="llama.cpp"))
    assert row.kind == "llama.cpp" and read_settings(desk.home).servers["box"].kind == "llama.cpp"
    with pytest.raises(UsageError, match="'ollama'"):
        await desk.ask(AddProvider(name="other", url="https://box", kind="ollama"))
    assert "other" not in read_settings(desk.home).servers


async def test_the_profile_may_choose_an_engine_and_wakes_without_it(home, tiny_base_folder, monkeypatch):
    monkeypatch.setattr("nightschool.engine.wire.final.supply._TRIES", 1)
    add_server(home, "there", ServerSettings(url="http://127.0.0.1:1", kind="vllm"))
    choose_provider(home, ["there"])
    model = started(home, tiny_base_folder)
    turns = [Turn(Role.USER, "Say something.")]
    with pytest.raises(Unreachable):
        await model.do(asking(home, ("there",), turns))
    assert (await model.do(asking(home, LOCAL, turns))).text


async def test_an_engine_is_measured_and_says_what_it_cannot_do(home, tiny_base_folder):
    with played("llama.cpp") as engine:
        server = ServerSettings(url=engine.url, kind="llama.cpp")
        found = await started(home, tiny_base_folder).do(lambda model: model.examine(server, None))
        assert (found.cut, found.codecs, found.description.cuts) == (0, (), [0])
        assert found.distance < 1e-4 and found.step_ms > 0
        assert any("-ub" in note for note in found.description.notes)
        with pytest.raises(UsageError, match="final states alone"):
            await started(home, tiny_base_folder).do(lambda model: model.examine(server, 8))


THERE = Settings(
    servers={"box": ServerSettings(url="https://box", kind="vllm"), "gpu": ServerSettings(url="https://g")}
)


def test_a_slot_that_has_learned_in_blocks_is_told_where_it_can_speak(tmp_path):
    slot = Slot(name="science", title="Science", provider="box")
    for voice in (tmp_path, Blend(((tmp_path, 0.5),))):
        with pytest.raises(UsageError, match="slots set science --provider local"):
            check_can_speak(slot, voice, THERE)
    check_can_speak(slot, None, THERE)
    check_can_speak(slot.model_copy(update={"provider": "gpu"}), tmp_path, THERE)
    check_can_speak(slot.model_copy(update={"provider": ""}), tmp_path, THERE)


async def test_nothing_is_stored_of_what_such_a_slot_was_told(desk):
    add_server(desk.home, "box", ServerSettings(url="http://127.0.0.1:1", kind="vllm"))
    conversation = await desk.conversation()
    await desk.ask(UpdateSlot(name="science", provider="box"))
    desk.rooms.spoken = lambda slot, base, blend: (desk.rooms.store.current(slot), desk.home.root)
    with pytest.raises(UsageError, match="cannot speak there"):
        await desk.say("Hello.", conversation)
    assert not desk.rooms.records.messages(conversation)
    with pytest.raises(UsageError, match="cannot speak there"):
        await desk.ask(AnswerTurns(conversation=-1, slot="science", turns=[GivenTurn(role=Role.USER, text="Hello.")]))


def test_an_engine_stands_alone(home):
    add_server(home, "box", ServerSettings(url="https://box", kind="vllm"))
    with pytest.raises(UsageError, match="alone"):
        choose_provider(home, ["box", "local"])
    choose_provider(home, ["box"])
    assert read_settings(home).provider == ("box",)
    home.config.write_text(home.config.read_text().replace('provider = "box"', 'provider = ["box", "local"]'))
    with pytest.raises(Damaged, match="in a row"):
        read_settings(home)
