"""The numbers to compute in: the finest, unless a coarser kind is clearly faster; found once for a machine."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base import speed as speed_module
from nightschool.engine.base.device import Device
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.speed import find_speed, probe
from nightschool.tests.elsewhere import Elsewhere


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({"fp32": 1.0, "bf16": 0.9, "int8": 0.9, "int4": 0.85}, Numbers.FP32),
        ({"fp32": 1.0, "bf16": 0.5, "int8": 0.45, "int4": 0.42}, Numbers.BF16),
        ({"fp32": 1.0, "bf16": 2.0, "int8": 0.6, "int4": 0.3}, Numbers.INT4),
    ],
)
def test_a_coarser_kind_is_taken_only_where_it_is_clearly_faster(times, chosen):
    assert speed_module._choose(times) is chosen


def test_what_many_rows_are_computed_in_is_dense():
    assert probe().many in (Numbers.FP32, Numbers.BF16)


def test_it_is_found_once_for_a_machine(tmp_path, monkeypatch):
    found = find_speed(tmp_path)
    monkeypatch.setattr(speed_module, "probe", lambda machine, device: pytest.fail("probed again"))
    assert find_speed(tmp_path) == found


@pytest.mark.parametrize(("numbers", "many"), [(Numbers.BF16, {"fp32", "bf16"}), (Numbers.FP16, {"fp32"})])
def test_a_device_is_measured_in_what_it_offers_and_kept_beside_the_cpu(tmp_path, monkeypatch, numbers, many):
    monkeypatch.setattr(speed_module, "_LARGE", 32)
    here = find_speed(tmp_path)
    with Elsewhere() as place:
        device = Device(str(place), "Other", (Numbers.FP32, numbers), 10**9)
        there = find_speed(tmp_path, device)
        assert set(there.one_ms) == {"fp32", numbers}
        assert set(there.many_ms) == many
        monkeypatch.setattr(speed_module, "probe", lambda machine, device: pytest.fail("probed again"))
        assert find_speed(tmp_path, device) == there
    assert find_speed(tmp_path) == here


def test_processors_of_one_name_with_other_units_are_two_machines(tmp_path, monkeypatch):
    found = find_speed(tmp_path)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    assert find_speed(tmp_path).machine != found.machine


@pytest.mark.parametrize("spoilt", ["", "{}", "not json"])
def test_a_spoilt_answer_or_another_machine_is_probed_again(tmp_path, spoilt):
    (tmp_path / "speed.json").write_text(spoilt)
    found = find_speed(tmp_path)
    (tmp_path / "speed.json").write_text(found.model_copy(update={"machine": "another"}).model_dump_json())
    assert find_speed(tmp_path).machine == found.machine
