"""A second device that every machine has: this one's memory under another name, with real numbers in it.

``torch`` says of a tensor there that it is not on the CPU, and an operation in which tensors of two devices meet
raises, as on a real device; also where a real one would copy in silence, as an index does. The CPU computes, so that
results can be compared. (Tensors without values, ``FakeTensorMode``, get no further than the first index in a build
without CUDA, and can neither sample nor choose.)

with Elsewhere() as device:
    there = here.to(device)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "elsewhere"

_MOVES = frozenset({"aten::_to_copy", "aten::copy_", "aten::_copy_from"})


class MixedDevices(AssertionError):
    """Tensors of two devices met."""


class _There(torch.Tensor):
    """A tensor of the other device; ``here`` is what it holds."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here: torch.Tensor, like: torch.device) -> _There:
        facts = {"storage_offset": here.storage_offset(), "dtype": here.dtype, "device": like}
        with torch.inference_mode(here.is_inference()):  # a view of what was made outside of it is none of its own
            made: Any = torch.Tensor._make_wrapper_subclass(cls, here.shape, here.stride(), **facts)
        made.here = here
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"there({self.here})"

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """Within it tensors can be made and moved elsewhere; gives the device."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[bool, bool]] = []  # it may be entered again within itself

    def __enter__(self) -> torch.device:  # type: ignore[override]
        _set_up()
        super().__enter__()
        self._before.append((torch._C._only_lift_cpu_tensors(), torch._C._is_multithreading_enabled()))
        # ``torch.tensor(..., device=...)`` is made on the CPU and then moved, where it is seen.
        torch._C._set_only_lift_cpu_tensors(True)
        # The first backward pass of a process starts a thread for each device; one that came later has none.
        torch._C._set_multithreading_enabled(False)
        return torch.device(NAME, 0)

    def __exit__(self, *error: Any) -> None:
        lifting, threads = self._before.pop()
        torch._C._set_only_lift_cpu_tensors(lifting)
        torch._C._set_multithreading_enabled(threads)
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled() and _composite(func):  # it comes whole then
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return _run(func, args, kwargs or {})


@cache
def _composite(func: Any) -> bool:
    """Whether an operation is made of others."""
    return bool(func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd))


@cache
def _set_up() -> None:
    """Tell torch, once a process, that there is such a device; it goes on asking it for its random numbers' state."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())


class _Module:
    """What ``torch.cuda`` is to CUDA, as far as anybody asks."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.empty(0)

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        pass


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    asked = kwargs.get("device")
    there = [tensor for tensor in tensors if isinstance(tensor, _There)]
    if not there and asked is None:
        return func(*args, **kwargs)
    if there and name not in _MOVES and any(t.ndim and not isinstance(t, _There) for t in tensors):
        shapes = [(str(tensor.device), tuple(tensor.shape)) for tensor in tensors]
        raise MixedDevices(f"{name} was given tensors of two devices: {shapes}")
    if name == "aten::_fused_sdp_choice" and there:
        return 0  # the plain way, made of operations that are looked at in turn
    device = torch.device(asked) if asked is not None else (there[0].device if there else None)
    if name == "aten::copy_":
        device = args[0].device
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    here_args, here_kwargs = tree_map(_here, (args, kwargs))
    if name == "aten::histc":  # other devices count integers, the CPU does not
        found = func(here_args[0].float(), *here_args[1:], **here_kwargs).to(here_args[0].dtype)
    elif name == "aten::_conj":  # a mark on the tensor that this one could not carry
        found = here_args[0].conj_physical()
    else:
        found = func(*here_args, **here_kwargs)
    if device is None or device.type == "cpu":
        return found
    own = {id(tensor.here): tensor for tensor in there}

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return own.get(id(value)) if id(value) in own else _There(value, device)

    return tree_map(wrap, found)


def _here(value: Any) -> Any:
    return value.here if isinstance(value, _There) else value
