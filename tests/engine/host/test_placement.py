"""Where chat and study compute is decided as the engine starts and as a study begins, and said where it must be."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from nightschool.engine.base import speed as speed_module
from nightschool.engine.base.device import CPU, Device, Placement
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.host import doctor, model_thread
from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.host.process import Engine
from nightschool.schemas.errors import DeviceFull, DeviceMissing
from nightschool.schemas.messages import EngineStatus

GRAPHICS = Device("cuda:0", "Graphics 9", (Numbers.FP32, Numbers.BF16), 80 * 10**9)
NOTE = "It takes about 90.0 GB and cuda:0 (Graphics 9) has 5.0 GB free, so the CPU computes, which takes longer."


def thread(home, folder, told):
    return ModelThread(home, str(folder), PluginHost.load(third_party=False), told.append)


async def test_a_base_that_does_not_fit_computes_on_the_cpu_and_the_status_says_so(
    home, tiny_base_folder, monkeypatch, wait_until
):
    asked, told = [], []

    def place(wanted, needed, what):
        asked.append((wanted, needed, what))
        return Placement(Device(CPU), NOTE)

    monkeypatch.setattr(model_thread, "place", place)
    model = thread(home, tiny_base_folder, told)
    model.start()
    assert (await model.model()).placement.note == NOTE
    await wait_until(lambda: told and told[-1].state == "ready")
    assert (told[-1].device, told[-1].note) == (CPU, NOTE)
    ((wanted, needed, what),) = asked
    assert (wanted, what) == ("", tiny_base_folder.name) and needed > 10**9


async def test_a_device_that_is_not_there_is_why_the_engine_fails(home, tiny_base_folder, monkeypatch, wait_until):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    home.root.mkdir(parents=True)
    home.config.write_text('device = "cuda:7"\n')
    told = []
    model = thread(home, tiny_base_folder, told)
    model.start()
    with pytest.raises(DeviceMissing, match="cuda:7"):
        await model.model()
    await wait_until(lambda: told and told[-1].state == "failed")
    assert told[-1].error_code == "DeviceMissing"


def test_what_the_user_must_know_is_told_everybody_once(home):
    engine, lines = Engine(home, "", asleep=True), []
    engine._writer = SimpleNamespace(is_closing=lambda: False, write=lines.append)
    engine._set_status(EngineStatus(state="waking", stage="Loading the model"))
    engine._set_status(EngineStatus(state="ready", device=CPU, note=NOTE))
    assert [NOTE.encode() in line and b'"notice"' in line for line in lines] == [False, False, True]


@pytest.fixture
def on_graphics(desk, monkeypatch):
    """A chat that computes on a graphics processor; what is given back is what a study is offered."""
    desk.model.loaded = dataclasses.replace(
        desk.model.loaded,
        placement=Placement(GRAPHICS),
        speed=SimpleNamespace(one=Numbers.BF16, many=Numbers.BF16),
    )
    offered = {"placement": Placement(GRAPHICS), "needed": []}

    def place(wanted, needed, what):
        offered["needed"].append(needed)
        if isinstance(offered["placement"], Exception):
            raise offered["placement"]
        return offered["placement"]

    monkeypatch.setattr(model_thread, "place", place)
    monkeypatch.setattr(model_thread, "sizes", lambda folder: (8 * 10**9, 5 * 10**8))
    monkeypatch.setattr(speed_module, "find_speed", lambda folder, device: SimpleNamespace(many=Numbers.FP32))
    return offered


async def test_a_study_computes_beside_the_chat_where_both_fit(desk, on_graphics):
    model = await desk.model.model()
    assert model.place_study(desk.home) == (Placement(GRAPHICS), Numbers.BF16)
    assert on_graphics["needed"][0] > 2 * 8 * 10**9  # the weights once more, for a process of its own, and its work


async def test_a_study_that_does_not_fit_beside_the_chat_takes_the_cpu_in_its_own_numbers(desk, on_graphics):
    on_graphics["placement"] = Placement(Device(CPU), NOTE)
    model = await desk.model.model()
    assert model.place_study(desk.home) == (Placement(Device(CPU), NOTE), Numbers.FP32)


async def test_a_study_beside_a_chat_on_the_cpu_asks_for_no_device(desk, on_graphics):
    model = dataclasses.replace(await desk.model.model(), placement=Placement(Device(CPU), NOTE))
    assert model.place_study(desk.home) == (Placement(Device(CPU)), Numbers.BF16)
    assert not on_graphics["needed"]


async def test_the_doctor_says_what_computes(desk, on_graphics, monkeypatch):
    monkeypatch.setattr(Device, "free", lambda device: 61 * 10**9)
    assert doctor._device(Placement(GRAPHICS)) == "cuda:0 computes (Graphics 9): 61.0 of 80.0 GB are free."
    assert doctor._device(Placement(Device(CPU))) == "The CPU computes."
    assert doctor._device(Placement(Device(CPU), NOTE)) == NOTE


async def test_no_room_for_a_study_on_the_named_device_is_said(desk, on_graphics):
    on_graphics["placement"] = DeviceFull("A study takes more than there is.")
    with pytest.raises(DeviceFull):
        (await desk.model.model()).place_study(desk.home)
