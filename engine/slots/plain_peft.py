"""What an adapter's files mean to plain PEFT, read without PEFT and without our own reader (``adapter.py``).

PEFT puts an update on every module whose last name is a target and whose block is listed, fills it from the tensors
named after the module, and leaves out in silence whatever does not match. Here that is an error. To import PEFT and to
load the whole stock model would cost seconds and a second copy of the weights; tests compare this reading with PEFT's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from ...schemas.errors import Damaged
from ..files import storage_errors

_ODD = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "lora_bias", "fan_in_fan_out")


def peft_updates(folder: Path, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return what PEFT would add to the weights of a model, ``(out, in)`` fp32 by the name of the weight.

    Args:
        folder: With ``adapter_config.json`` and ``adapter_model.safetensors``.
        weights: The model's tensors by their names in its checkpoint.

    Raises:
        Damaged: If PEFT would refuse the files, or leave any of them out.
        StorageError: If they cannot be read.
    """
    with storage_errors(folder):
        config = json.loads((folder / "adapter_config.json").read_bytes())
        tensors = load_file(folder / "adapter_model.safetensors")
    if config["peft_type"] != "LORA" or config.get("bias", "none") != "none" or any(map(config.get, _ODD)):
        raise Damaged(f"The adapter in {folder} is not a plain LoRA; study again.")
    names = {
        name.removesuffix(".weight")
        for name in weights
        if name.endswith(".weight") and _is_target(name.removesuffix(".weight"), config)
    }
    wanted = {f"base_model.model.{name}.lora_{half}.weight" for name in names for half in "AB"}
    if tensors.keys() != wanted:
        odd = min(tensors.keys() ^ wanted)
        raise Damaged(f"The adapter in {folder} and its configuration do not agree on {odd}; study again.")
    factors = {}
    for name in names:
        down, up = (tensors[f"base_model.model.{name}.lora_{half}.weight"].float() for half in "AB")
        if down.shape[0] != config["r"] or (up.shape[0], down.shape[1]) != weights[f"{name}.weight"].shape:
            raise Damaged(f"The adapter in {folder} does not fit the shape of {name}; study again.")
        factors[f"{name}.weight"] = down, (config["lora_alpha"] / config["r"]) * up
    return _Products(factors)


class _Products(Mapping[str, Tensor]):
    """Products of two factors, made as they are asked for: all at once they are as large as the weights they change."""

    def __init__(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        self._factors = factors

    def __getitem__(self, name: str) -> Tensor:
        down, up = self._factors[name]
        return up @ down

    def __iter__(self) -> Iterator[str]:
        return iter(self._factors)

    def __len__(self) -> int:
        return len(self._factors)


def _is_target(name: str, config: Mapping[str, object]) -> bool:
    """Whether PEFT would put an update on a module."""
    targets, blocks = config["target_modules"], config["layers_to_transform"]
    assert isinstance(targets, list)
    assert isinstance(blocks, list)
    found = re.search(rf"\.{config['layers_pattern']}\.(\d+)\.", f".{name}.")
    return name.rpartition(".")[2] in targets and found is not None and int(found[1]) in blocks
