"""What a device computes fastest in, found by a short probe at the first start and kept beside the models.

Processors differ by more than any code: one multiplies bf16 three times faster than fp32, the next emulates it. One
token at a time is bound by reading the weights, many at once by arithmetic, so each has an answer of its own.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from ...schemas.records import Record
from ..files import storage_errors, write_atomic
from .device import CPU, Device, wait_for
from .lean.matrices import Matrix, matrix
from .numbers import Numbers

_ROWS, _COLUMNS = 1536, 576
_COPIES = 24  # distinct matrices, so that none waits in a cache
_LARGE, _LARGE_COPIES = 8192, 3  # elsewhere than on a CPU: an H200 takes 26 us for half that size in any numbers
_ROOMY = 4 * 10**9  # bytes free from which a device is asked about as large ones: they take a gigabyte
_ROUNDS = 5
_MANY = 128  # rows that stand for a study's batch
_CLEARLY = 0.8  # a coarser kind must take at most this share of the finer one's time
_STUDIED = (Numbers.FP32, Numbers.BF16)
"""What can be differentiated in; the range of fp16 is too short for it."""
_HERE = Device(CPU)


class Speed(Record):
    """The numbers to compute in, and what was measured (milliseconds for some matrices of a small base).

    Attributes:
        one: For one token at a time: a chat.
        many: For many rows at once: a study; always dense.
        one_ms, many_ms: By numbers.
        machine: What was measured; another device, processor or release is measured anew.
    """

    one: Numbers
    many: Numbers
    one_ms: dict[str, float]
    many_ms: dict[str, float]
    machine: str

    def order(self) -> list[Numbers]:
        """Return the numbers to try for a chat: the chosen ones, then the others up to fp32, the quickest first."""
        others = sorted(self.one_ms, key=lambda name: self.one_ms[name])
        order = [self.one, *(Numbers(name) for name in others if name != self.one)]
        return order[: order.index(Numbers.FP32) + 1]


def find_speed(folder: Path, device: Device = _HERE) -> Speed:
    """Return what was found before of a device, else probe it (under a second) and keep the answer in ``folder``.

    Raises:
        StorageError: If it cannot be kept.
    """
    path = folder / ("speed.json" if device.is_cpu else f"speed-{device.name.replace(':', '-')}.json")
    machine = f"{_described(device)}, torch {torch.__version__}"
    try:
        known = Speed.model_validate_json(path.read_bytes())
        if known.machine == machine:
            return known
    except (OSError, ValidationError):
        pass  # not probed yet, or by another release: it costs under a second
    found = probe(machine, device)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, found.model_dump_json(indent=2))
    return found


def probe(machine: str = "", device: Device = _HERE) -> Speed:
    """Time one row and many rows through matrices of a base, in every kind of numbers that the device has."""
    side = _LARGE if device.free() >= _ROOMY else _LARGE // 2
    size = (_ROWS, _COLUMNS) if device.is_cpu else (side, side)
    weight = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(device.name) * 0.05
    one = {numbers.value: _time(weight, numbers, 1) for numbers in device.numbers}
    many = {numbers.value: _time(weight, numbers, _MANY) for numbers in device.numbers if numbers in _STUDIED}
    return Speed(one=_choose(one), many=_choose(many), one_ms=one, many_ms=many, machine=machine)


def _choose(times: dict[str, float]) -> Numbers:
    """Return the numbers to use: the finest first, a coarser kind only where it is clearly faster."""
    best = Numbers.FP32
    for name, took in times.items():
        if took < _CLEARLY * times[best.value]:
            best = Numbers(name)
    return best


def _time(weight: Tensor, numbers: Numbers, rows: int) -> float:
    """Return the best milliseconds of several rounds over some matrices."""
    several = _COPIES if weight.is_cpu else _LARGE_COPIES
    copies: Sequence[Matrix] = [matrix(weight.clone(), None, numbers) for _ in range(several if rows == 1 else 2)]
    inputs = torch.randn(rows, weight.shape[1]).to(weight.device, copies[0].dtype)

    def work() -> None:
        for one in copies:
            one(inputs)

    with torch.inference_mode():
        return min(_seconds(work, str(weight.device)) for _ in range(_ROUNDS)) * 1000


def _seconds(work: Callable[[], None], device: str) -> float:
    wait_for(device)
    began = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - began


def _described(device: Device) -> str:
    """Return what the speed of a device depends on; one name of a processor stands for several with other units."""
    if not device.is_cpu:
        return f"{device.name} {device.title} {device.numbers[-1]}"
    units = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {_processor()} {units} {torch.get_num_threads()} threads"


def _processor() -> str:
    """Return the processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
