"""Which device computes: the best that is there and has room, or the one that was named; the CPU only openly."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nightschool.engine.base import device as device_module
from nightschool.engine.base.device import CPU, find_device, place, telling_when_full
from nightschool.engine.base.numbers import Numbers
from nightschool.schemas.errors import DeviceFull, DeviceMissing

GB = 10**9


@pytest.fixture
def machine(monkeypatch):
    """Make torch say that it finds such graphics processors."""

    def make(*, cuda=0, mps=False, bf16=True, free=40 * GB):
        def ones(*size, **kwargs):
            if not bf16:
                raise TypeError("BFloat16 is not supported on MPS")
            return torch.zeros(1)

        facts = SimpleNamespace(name="Graphics 9", total_memory=80 * GB, major=9 if bf16 else 7)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: facts)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda name: (free, 80 * GB))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 60 * GB)
        monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 60 * GB - free)
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=50 * GB))
        if mps:
            monkeypatch.setattr(torch, "ones", ones)

    return make


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        ({}, "", "cpu"),
        ({"cuda": 2}, "", "cuda:0"),
        ({"cuda": 2}, "cuda", "cuda:0"),
        ({"cuda": 2}, "cuda:1", "cuda:1"),
        ({"mps": True}, "", "mps"),
        ({"cuda": 1, "mps": True}, "mps", "mps"),
        ({"cuda": 1, "mps": True}, "cpu", "cpu"),
    ],
)
def test_the_named_device_computes_else_the_best_there_is(machine, there, wanted, found):
    machine(**there)
    assert find_device(wanted).name == found


def test_no_kernel_is_used_that_plans_anew_for_each_length(machine):
    torch.backends.cuda.enable_cudnn_sdp(True)
    machine(cuda=1)
    find_device()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize(("there", "wanted"), [({}, "cuda"), ({"cuda": 2}, "cuda:2"), ({"cuda": 1}, "mps")])
def test_a_named_device_that_is_not_there_is_said(machine, there, wanted):
    machine(**there)
    with pytest.raises(DeviceMissing, match=rf"finds no device {wanted} in this machine; .*`device` in config.toml"):
        find_device(wanted)
    with pytest.raises(DeviceMissing):
        place(wanted, 0, "It")


@pytest.mark.parametrize("there", [{"cuda": 1}, {"mps": True}], ids=["cuda", "mps"])
@pytest.mark.parametrize(("bf16", "half"), [(True, Numbers.BF16), (False, Numbers.FP16)])
def test_a_device_computes_in_16_bits_of_the_kind_that_it_has(machine, there, bf16, half):
    machine(**there, bf16=bf16)
    assert find_device().numbers == (Numbers.FP32, half)


def test_the_cpu_alone_has_the_integers():
    assert {Numbers.INT8, Numbers.INT4} <= set(find_device(CPU).numbers)


@pytest.mark.parametrize("there", [{"cuda": 1}, {"mps": True}], ids=["cuda", "mps"])
def test_what_fits_computes_there_and_what_does_not_on_the_cpu_which_is_told(machine, there):
    machine(**there, free=16 * GB)
    assert place("", 16 * GB, "Big").device.name != CPU
    assert place("", 16 * GB, "Big").note == ""
    placed = place("", 17 * GB, "Big")
    assert placed.device.name == CPU
    assert "Big takes about 17.0 GB" in placed.note and "16.0 GB free, so the CPU computes" in placed.note


def test_what_does_not_fit_the_device_that_was_named_computes_nowhere_else(machine):
    machine(cuda=1, free=16 * GB)
    with pytest.raises(DeviceFull, match=r'Big takes about 17.0 GB and cuda:0 .* 16.0 GB free; .*`device = "cpu"`'):
        place("cuda", 17 * GB, "Big")


def test_a_shared_memory_has_no_more_room_than_the_machine(machine):
    machine(mps=True, free=59 * GB)
    assert find_device().free() == 50 * GB


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS out of memory")])
def test_a_full_memory_is_said_in_our_words(error):
    with pytest.raises(DeviceFull, match="The memory of cuda:0 is full; "), telling_when_full("cuda:0"):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a shape"), telling_when_full("cuda:0"):
        raise RuntimeError("a shape is wrong")


@pytest.mark.parametrize(("name", "waited"), [("cuda:1", ["cuda:1"]), ("mps", ["mps"]), ("cpu", [])])
def test_timing_waits_for_what_was_given_to_a_device(monkeypatch, name, waited):
    found = []
    monkeypatch.setattr(torch.cuda, "synchronize", found.append)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: found.append("mps"))
    device_module.wait_for(name)
    assert found == waited
