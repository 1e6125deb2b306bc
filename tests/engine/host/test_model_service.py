"""Bases of a profile over the real service: listed, fetched in a process of their own, chosen, removed, refused."""

from __future__ import annotations

import asyncio
import shutil
import threading

import psutil
import pytest

from nightschool.engine.base.library import prepare
from nightschool.engine.settings import ServerSettings, add_server, choose_base, read_settings
from nightschool.engine.wire.server.tails import Body
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import (
    BaseMismatch,
    ModelDamaged,
    ModelError,
    ModelInUse,
    ModelNotFound,
    PullCancelled,
    UnsupportedFamily,
    UsageError,
)
from nightschool.schemas.models import Fit
from nightschool.tests.hub_server import COMMIT, FakeHub
from nightschool.tests.serving import running
from nightschool.tests.tiny_gguf import save_tiny_gguf

PINNED = f"owner/tiny@{COMMIT}"


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


@pytest.fixture
def hub(monkeypatch, tiny_base_folder):
    """A hub that processes started from here ask."""
    with FakeHub(tiny_base_folder) as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.address)
        yield serving


@pytest.fixture
def folder(tmp_path, tiny_base_folder):
    return shutil.copytree(tiny_base_folder, tmp_path / "model")


def under_way(home):
    """Whether a pull has written some of the weights."""
    return any(path.stat().st_size for path in home.models.glob(".*.part/model.safetensors.incomplete"))


async def row_of(desk, title):
    rows = (await desk.ask(ask.ListModels())).rows
    return next((row for row in rows if row.title == title), None)


def learn(desk, slot, fingerprint, tmp_path):
    """Let a slot have learned on a base."""
    adapter = tmp_path / f"adapter-{slot}"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text("{}")
    desk.rooms.store.add_version(slot, adapter, base=fingerprint)


async def test_the_catalogue_is_listed_in_an_empty_profile(desk):
    found = await desk.ask(ask.ListModels())
    assert found.rows[0].spec == "default" and found.rows[0].chosen and not found.rows[0].installed
    assert len(found.rows) > 10 and not any(row.installed or row.partial for row in found.rows)
    assert found.memory_total == psutil.virtual_memory().total
    assert all(row.memory and row.fit in Fit and row.note for row in found.rows)


async def test_a_pull_fetches_pins_and_tells_and_the_engine_goes_on_meanwhile(desk, hub, home, wait_until):
    hub.pause = 0.02
    pull = asyncio.create_task(desk.ask(ask.PullModel(spec="owner/tiny")))
    await wait_until(lambda: under_way(home))
    assert await desk.ask(ask.ListSlots())
    assert not pull.done()
    with pytest.raises(ModelInUse, match="owner/tiny is being fetched"):
        await desk.ask(ask.PullModel(spec="owner/other"))
    row = await pull
    assert row.installed and row.source == PINNED and row.size > 100_000 and row.licence == "mit"
    told = desk.events("model.pull")
    assert {event.spec for event in told} == {"owner/tiny"}
    assert any(event.stage.startswith("Fetching model.safetensors") and event.fraction for event in told)
    assert told[-1].fraction == 1.0
    assert await desk.ask(ask.PullModel(spec="owner/tiny")) == row


async def test_a_cancelled_pull_ends_its_process_and_the_next_goes_on(desk, hub, home, wait_until):
    hub.pause = 0.3
    pull = asyncio.create_task(desk.ask(ask.PullModel(spec="owner/tiny")))
    await wait_until(lambda: under_way(home))
    assert await desk.ask(ask.CancelPull())
    with pytest.raises(PullCancelled, match="goes on from there"):
        await pull
    assert not psutil.Process().children()
    assert not await desk.ask(ask.CancelPull())
    assert (await row_of(desk, "tiny")).partial > 0
    hub.pause = 0.0
    assert (await desk.ask(ask.PullModel(spec="owner/tiny"))).installed
    firsts = [first for name, first in hub.got if name == "model.safetensors"]
    assert len(firsts) == 2 and firsts[1] > 0
    assert len([name for name, _ in hub.got if name == "config.json"]) == 1


async def test_a_killed_pull_says_so_and_what_is_left_can_be_removed(desk, hub, home, wait_until):
    hub.pause = 0.3
    pull = asyncio.create_task(desk.ask(ask.PullModel(spec="owner/tiny")))
    await wait_until(lambda: under_way(home))
    psutil.Process().children()[0].kill()
    with pytest.raises(ModelError, match="want of memory"):
        await pull
    left = (await row_of(desk, "tiny")).partial
    assert await desk.ask(ask.RemoveModel(spec="owner/tiny")) == left
    assert await row_of(desk, "tiny") is None


async def test_closing_the_engine_ends_a_pull(desk, hub, home, wait_until):
    hub.pause = 0.3
    pull = asyncio.create_task(desk.ask(ask.PullModel(spec="owner/tiny")))
    await wait_until(lambda: under_way(home))
    await desk.service.close()
    with pytest.raises(PullCancelled):
        await pull
    assert not psutil.Process().children()


async def test_what_a_pull_refuses_comes_back_as_its_own_error(desk, tmp_path, folder):
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UnsupportedFamily, match="'gpt2'"):
        await desk.ask(ask.PullModel(spec=str(folder)))
    with pytest.raises(ModelNotFound):
        await desk.ask(ask.PullModel(spec="--nonsense"))


async def test_a_gguf_file_is_pulled_and_used(desk, tmp_path, home):
    save_tiny_gguf(tmp_path / "tiny.gguf")
    spec = str(tmp_path / "tiny.gguf")
    row = await desk.ask(ask.PullModel(spec=spec))
    assert (row.title, row.source, row.family) == ("tiny", spec, "llama")
    assert (await desk.ask(ask.UseModel(spec=spec))).chosen
    assert read_settings(home).base == spec


async def test_use_is_written_to_the_settings_and_taken_back(desk, home, folder):
    prepare(str(folder), home, quiet)
    with pytest.raises(ModelNotFound, match="models pull nowhere/else"):
        await desk.ask(ask.UseModel(spec="nowhere/else"))
    assert (await desk.ask(ask.UseModel(spec=str(folder)))).chosen
    assert read_settings(home).base == str(folder)
    assert not (await row_of(desk, "SmolLM2-135M-Instruct")).chosen
    assert (await desk.ask(ask.UseModel(spec="default"))).title == "SmolLM2-135M-Instruct"
    assert read_settings(home).base == ""


async def test_a_spoilt_base_is_not_chosen(desk, home, folder):
    prepared = prepare(str(folder), home, quiet)
    (prepared / "card.json").write_text("{}")
    with pytest.raises(ModelDamaged, match=r"card\.json"):
        await desk.ask(ask.UseModel(spec=str(folder)))
    assert read_settings(home).base == ""


async def test_who_learned_on_another_base_is_named(desk, home, folder, tmp_path):
    prepare(str(folder), home, quiet)
    learn(desk, "science", "cd" * 32, tmp_path)
    await desk.ask(ask.UseModel(spec=str(folder)))
    (notice,) = desk.events("notice")
    assert notice.level == "warning" and notice.text.startswith("science learned on another model")


async def test_a_base_that_is_needed_is_not_removed(desk, home, folder, tmp_path):
    prepared = prepare(str(folder), home, quiet)
    row = await row_of(desk, "model")
    learn(desk, "gaming", row.fingerprint, tmp_path)
    assert (await row_of(desk, "model")).slots == ["gaming"]
    with pytest.raises(ModelInUse, match="gaming learned works with"):
        await desk.ask(ask.RemoveModel(spec=str(folder)))
    choose_base(home, str(folder))
    desk.model.spec = str(folder)
    with pytest.raises(ModelInUse, match="profile starts with"):
        await desk.ask(ask.RemoveModel(spec=str(folder)))
    assert prepared.is_dir()
    assert await desk.ask(ask.RemoveModel(spec=str(folder), force=True)) > 0
    assert not prepared.exists() and read_settings(home).base == ""


async def test_a_slot_may_name_the_base_it_answers_with(desk, home, folder, tiny_base):
    """The scripted model is another base: with that the slot refuses; with its own, and set free, it answers."""
    with pytest.raises(ModelNotFound, match="models pull nowhere/else"):
        await desk.ask(ask.UpdateSlot(name="science", base="nowhere/else"))
    prepared = prepare(str(folder), home, quiet)
    slot = await desk.ask(ask.UpdateSlot(name="science", base=prepared.name))
    assert slot.base == str(folder)
    conversation = await desk.conversation()
    with pytest.raises(BaseMismatch, match=f"--model {folder}.*--base"):
        await desk.say("Hi", conversation)
    assert desk.rooms.voice("science", tiny_base.card)[1] is None
    with pytest.raises(ModelInUse, match="science answers with"):
        await desk.ask(ask.RemoveModel(spec=str(folder)))
    assert (await desk.ask(ask.UpdateSlot(name="science", temperature=0.5))).base == str(folder)
    assert (await desk.ask(ask.UpdateSlot(name="science", base=""))).base == ""
    assert (await desk.say("Hi", conversation)).text == desk.chat.answer


async def test_a_slot_whose_base_is_gone_says_how_to_get_it(desk, home, folder):
    prepare(str(folder), home, quiet)
    await desk.ask(ask.UpdateSlot(name="science", base=str(folder)))
    await desk.ask(ask.RemoveModel(spec=str(folder), force=True))
    with pytest.raises(ModelNotFound, match="models pull"):
        await desk.say("Hi", await desk.conversation())


async def test_the_kept_states_of_a_base_go_with_it(desk, home, folder):
    import torch

    from nightschool.engine.study.states_cache import StatesCache

    prepare(str(folder), home, quiet)
    row = await row_of(desk, "model")
    states = StatesCache(home.cache, row.fingerprint, "cut 2")
    states.write("capability", "data", [[1]], {"rows": torch.zeros(1, 2)})
    await desk.ask(ask.RemoveModel(spec=str(folder)))
    assert states.read("capability", "data", [[1]]) is None


async def test_the_base_that_answers_is_never_removed(desk, home, folder):
    prepared = prepare(str(folder), home, quiet)
    desk.model.loaded.base.folder = prepared
    assert (await row_of(desk, "model")).loaded
    with pytest.raises(ModelInUse, match="answers now"):
        await desk.ask(ask.RemoveModel(spec=str(folder), force=True))


async def test_what_is_not_here_cannot_be_removed(desk):
    with pytest.raises(ModelNotFound, match="lists what is"):
        await desk.ask(ask.RemoveModel(spec="qwen3-0.6b"))


async def test_models_are_answered_while_the_base_wakes_and_after_it_failed(desk, home, folder):
    prepare(str(folder), home, quiet)
    desk.model.awake.clear()
    assert (await row_of(desk, "model")).installed
    desk.model.failure = ModelDamaged("It does not load.")
    desk.model.awake.set()
    assert (await desk.ask(ask.UseModel(spec=str(folder)))).chosen


async def test_a_bigger_one_is_suggested_only_beside_the_default(desk, home, folder, monkeypatch):
    memory = psutil.virtual_memory()._replace(total=16 * 10**9, available=12 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    desk.model.awake.clear()
    assert (await desk.ask(ask.ListModels())).suggestion == "qwen2.5-7b"
    prepare(str(folder), home, quiet)
    await desk.ask(ask.UseModel(spec=str(folder)))
    assert (await desk.ask(ask.ListModels())).suggestion == ""


# -- tails ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tiny_base_folder, tmp_path, home, monkeypatch):
    """A server of the tiny base that the settings name."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))
    with running(tiny_base_folder, tmp_path) as found:
        add_server(home, "there", ServerSettings(url=found.url, codec="f32"))
        yield found


async def test_a_tail_is_fetched_listed_as_such_and_the_first_base_is_the_one_to_start_with(desk, server, home):
    found = await desk.ask(ask.PullTail(server="there"))
    row = await row_of(desk, server.base.card.name)
    assert found.base == row and row.upper == 2 and row.installed and row.chosen and found.chosen
    assert row.fingerprint == server.base.card.fingerprint
    assert read_settings(home).base == row.spec == row.folder.rpartition("/")[2]
    assert read_settings(home).provider == ()
    assert found.tail < found.whole and found.moved > found.tail
    assert desk.events("model.pull")[-1].fraction == 1.0
    assert await desk.ask(ask.RemoveModel(spec=row.spec, force=True)) == row.size


async def test_a_tail_beside_other_bases_is_used_where_that_is_asked_for(desk, server, home, folder):
    prepare(str(folder), home, quiet)
    found = await desk.ask(ask.PullTail(server=server.url, cut=2))
    assert not found.chosen and read_settings(home).base == ""
    with pytest.raises(UsageError, match="providers add"):
        await desk.ask(ask.PullTail(server=server.url, use=True))
    found = await desk.ask(ask.PullTail(server="there", use=True))
    assert found.chosen and found.moved < found.tail
    assert (read_settings(home).base, read_settings(home).provider) == (found.base.spec, ("there",))


async def test_a_killed_pull_of_a_tail_goes_on(desk, server, home, wait_until, monkeypatch):
    go_on, send = threading.Event(), Body.pieces

    async def pieces(body, first, stop):
        async for piece in send(body, first, stop):
            if body.path is not None and body.size < 1000:  # norms come between the matrices
                await asyncio.to_thread(go_on.wait, 60)
            yield piece

    monkeypatch.setattr(Body, "pieces", pieces)
    pull = asyncio.create_task(desk.ask(ask.PullTail(server="there")))
    begun = home.models.glob
    await wait_until(lambda: any(p.stat().st_size > 20_000 for p in begun(".*.part/model.safetensors")), 240)
    psutil.Process().children()[0].kill()
    with pytest.raises(ModelError, match="signal 9"):
        await pull
    go_on.set()
    (part,) = home.models.glob(".*.part")
    found = await desk.ask(ask.PullTail(server="there"))
    assert found.base.installed and not part.exists()


async def test_a_server_of_others_gives_no_tail(desk, home):
    add_server(home, "box", ServerSettings(url="http://127.0.0.1:1", kind="vllm"))
    with pytest.raises(UsageError, match="engine of others"):
        await desk.ask(ask.PullTail(server="box"))
