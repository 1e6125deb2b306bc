"""Where a base computes: a graphics processor that is there, or else the CPU; and what that can compute in.

Torch is imported by the functions that ask it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...schemas.errors import DeviceFull, DeviceMissing
from .numbers import Numbers

CPU = "cpu"
_WAY_OUT = 'or set `device = "cpu"` in config.toml'


@dataclass(frozen=True)
class Device:
    """A place to compute in.

    Attributes:
        name: As torch takes it: ``cpu``, ``cuda:0``, ``mps``.
        title: As people know it; empty for the CPU.
        numbers: What it computes in, the finest first.
        total: Bytes of its own memory; 0 for the CPU, whose memory is the machine's.
    """

    name: str
    title: str = ""
    numbers: tuple[Numbers, ...] = (Numbers.FP32, Numbers.BF16, Numbers.INT8, Numbers.INT4)
    total: int = 0

    @property
    def is_cpu(self) -> bool:
        """Whether it is the CPU."""
        return self.name == CPU

    def free(self) -> int:
        """Return the bytes that nobody uses now."""
        return _free(self.name, self.total)


@dataclass(frozen=True)
class Placement:
    """Where something will compute, and what the user must know of that; empty: nothing."""

    device: Device
    note: str = ""


def find_device(wanted: str = "") -> Device:
    """Return a device of this machine: the one that is named, as in the settings, or where none is the best there is.

    Raises:
        DeviceMissing: If the named one is not there.
    """
    import torch

    kind, _, number = wanted.partition(":")
    if kind in ("", "cuda") and torch.cuda.is_available():
        place = int(number or 0)
        if place < torch.cuda.device_count():
            return _cuda(place)
    if kind in ("", "mps") and torch.backends.mps.is_available():
        return _mps()
    if kind in ("", CPU):
        return Device(CPU)
    raise DeviceMissing(
        f"PyTorch {torch.__version__} finds no device {wanted} in this machine; check its driver, install a PyTorch "
        "made for it, or change `device` in config.toml."
    )


def place(wanted: str, needed: int, what: str) -> Placement:
    """Return where something that takes ``needed`` bytes computes.

    Args:
        wanted: As the settings say it; empty: the best device that has room, in the end the CPU.
        needed: Bytes it takes on a device; on the CPU it takes fewer, and is not asked here.
        what: Names it in sentences, as ``a study with Qwen3-8B``.

    Raises:
        DeviceMissing: If the wanted device is not there.
        DeviceFull: If it has not the room; nothing else is taken for a device that was asked for by name.
    """
    device = find_device(wanted)
    if device.is_cpu or needed <= (free := device.free()):
        return Placement(device)
    short = f"{what} takes about {needed / 1e9:.1f} GB and {device.name} ({device.title}) has {free / 1e9:.1f} GB free"
    if wanted:
        raise DeviceFull(f"{short}; close what else uses it, choose a smaller model, {_WAY_OUT}.")
    return Placement(Device(CPU), f"{short}, so the CPU computes, which takes longer.")


@contextmanager
def telling_when_full(name: str) -> Iterator[None]:
    """Turn what torch raises where a device's memory is full into an error of ours.

    Raises:
        DeviceFull: Then.
    """
    try:
        yield
    except RuntimeError as error:  # CUDA has a class of its own for it, derived from this one, and MPS has none
        if name == CPU or "out of memory" not in str(error):
            raise
        raise DeviceFull(
            f"The memory of {name} is full; close what else uses it, begin a new conversation, choose a smaller model, "
            f"{_WAY_OUT}."
        ) from error


def wait_for(name: str) -> None:
    """Return when a device has done what it was given: it is given work, and the caller goes on meanwhile."""
    import torch

    if name.startswith("cuda"):
        torch.cuda.synchronize(name)
    elif name == "mps":
        torch.mps.synchronize()


def _cuda(number: int) -> Device:
    import torch

    facts = torch.cuda.get_device_properties(number)
    # cuDNN's attention plans anew for each length, and here each token has one: half of a study went there on an H200.
    torch.backends.cuda.enable_cudnn_sdp(False)
    half = Numbers.BF16 if torch.version.hip or facts.major >= 8 else Numbers.FP16  # older ones only emulate it
    return Device(f"cuda:{number}", str(facts.name), (Numbers.FP32, half), int(facts.total_memory))


def _mps() -> Device:
    import torch

    try:
        torch.ones(1, device="mps", dtype=torch.bfloat16).add_(1)
        half = Numbers.BF16
    except (TypeError, RuntimeError):  # macOS before 14, or a processor without it
        half = Numbers.FP16
    return Device("mps", "Apple graphics", (Numbers.FP32, half), int(torch.mps.recommended_max_memory()))


def _free(name: str, total: int) -> int:
    import psutil
    import torch

    if name.startswith("cuda"):
        return int(torch.cuda.mem_get_info(name)[0])
    memory = int(psutil.virtual_memory().available)
    if name == "mps":  # it shares the machine's
        return min(memory, total - int(torch.mps.driver_allocated_memory()))
    return memory
