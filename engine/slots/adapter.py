"""A slot's adapter: LoRA factors for projections of the tail, on disk a standard PEFT adapter of the whole base.

Portable profile (DESIGN 2.2): one rank for all, ``lora_alpha == r`` so that the scale is 1, the projections listed by
name, whole-model layer numbers. ``PeftModel.from_pretrained(base, folder)`` gives the same logits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ...schemas.errors import BaseMismatch, Damaged
from ..base.cut import Tail
from ..files import storage_errors, write_atomic

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_KEY = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.([a-z_.]+)\.lora_([AB])\.weight")
_Place = tuple[int, str]  # number of the block in the whole model, path of the projection in the block


@dataclass(frozen=True)
class Factors:
    """The low-rank update ``up @ down`` of one projection.

    Attributes:
        down: ``(r, in)`` fp32, LoRA's A.
        up: ``(out, r)`` fp32, LoRA's B.
    """

    down: Tensor
    up: Tensor


@dataclass(frozen=True)
class Adapter:
    """Factors by place: ``(block of the whole model, "self_attn.q_proj")``; all of one rank."""

    factors: dict[_Place, Factors]

    @property
    def rank(self) -> int:
        """The rank of every factor pair."""
        return next(iter(self.factors.values())).down.shape[0]

    def scaled(self, scale: float) -> Adapter:
        """Return the adapter whose update is ``scale`` times this one's."""
        return Adapter({place: Factors(f.down, f.up * scale) for place, f in self.factors.items()})

    def save(self, folder: Path, base: str) -> int:
        """Write a PEFT adapter into an existing folder and return the bytes of its weights; ``base`` names the model.

        Raises:
            StorageError: If the folder cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        for (layer, path), f in self.factors.items():
            stem = f"base_model.model.model.layers.{layer}.{path}"
            tensors[f"{stem}.lora_A.weight"] = f.down.detach().contiguous()
            tensors[f"{stem}.lora_B.weight"] = f.up.detach().contiguous()
        data = save(tensors, metadata={"format": "pt"})
        write_atomic(folder / WEIGHTS, data)
        write_atomic(folder / CONFIG, json.dumps(self._config(base), indent=2) + "\n")
        return len(data)

    @staticmethod
    def load(folder: Path) -> Adapter:
        """Read an adapter of the portable profile.

        Raises:
            Damaged: If a file is missing or is not such an adapter.
            StorageError: If it cannot be read.
        """
        hint = "roll back to another version or import it again."
        try:
            with storage_errors(folder):
                tensors = load((folder / WEIGHTS).read_bytes())
                config = json.loads((folder / CONFIG).read_bytes())
        except (SafetensorError, ValueError) as error:
            raise Damaged(f"The adapter in {folder} does not read back ({error}); {hint}") from error
        if not isinstance(config, dict) or config.get("lora_alpha") != config.get("r"):
            raise Damaged(f"The adapter in {folder} is not of the portable profile (lora_alpha must equal r); {hint}")
        halves: dict[_Place, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            match = _KEY.fullmatch(key)
            if match is None or tensor.ndim != 2:
                raise Damaged(f"The adapter in {folder} holds {key}, which Night School cannot place; {hint}")
            halves.setdefault((int(match[1]), match[2]), {})[match[3]] = tensor.float()
        ranks = {pair[half].shape[half == "B"] for pair in halves.values() for half in pair}
        if len(ranks) != 1 or any(pair.keys() != {"A", "B"} for pair in halves.values()):
            raise Damaged(f"The adapter in {folder} is not whole: every projection needs A and B of one rank; {hint}")
        return Adapter({place: Factors(pair["A"], pair["B"]) for place, pair in sorted(halves.items())})

    def _config(self, base: str) -> dict[str, Any]:
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.rank,
            "lora_alpha": self.rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": sorted({path.rpartition(".")[2] for _, path in self.factors}),
            "layers_to_transform": sorted({layer for layer, _ in self.factors}),
            "layers_pattern": "layers",
            "inference_mode": True,
        }


def new_adapter(tail: Tail, rank: int, projections: Iterable[str] = PROJECTIONS, seed: int = 0) -> Adapter:
    """Return an adapter that changes nothing yet: ``down`` random, ``up`` zero, for the named linear projections."""
    generator = torch.Generator().manual_seed(seed)
    wanted = set(projections)
    factors: dict[_Place, Factors] = {}
    for number, block in enumerate(tail.layers):
        for path, module in block.named_modules():
            if isinstance(module, nn.Linear) and path.rpartition(".")[2] in wanted and ".experts." not in path:
                down = torch.randn(rank, module.in_features, generator=generator) / math.sqrt(module.in_features)
                factors[(tail.first_layer + number, path)] = Factors(down, torch.zeros(module.out_features, rank))
    return Adapter(factors)


class LoraLinear(nn.Module):
    """A frozen projection plus its low-rank update.

    Attributes:
        down: ``(r, in)`` parameter.
        up: ``(out, r)`` parameter.
        scale: Factor on the update; the line search of a study turns it.
    """

    def __init__(self, linear: nn.Linear, factors: Factors) -> None:
        super().__init__()
        self.linear = linear
        weight = linear.weight
        self.down = nn.Parameter(factors.down.to(weight.device, weight.dtype, copy=True), requires_grad=False)
        self.up = nn.Parameter(factors.up.to(weight.device, weight.dtype, copy=True), requires_grad=False)
        self.scale = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(..., out)`` from ``(..., in)``."""
        plain = self.linear(inputs)
        if self.scale == 0.0:
            return cast("Tensor", plain)
        update = nn.functional.linear(nn.functional.linear(inputs, self.down), self.up)
        return cast("Tensor", plain + (update if self.scale == 1.0 else update * self.scale))


def attach(tail: Tail, adapter: Adapter | None) -> dict[_Place, LoraLinear]:
    """Make a tail speak with an adapter (None: plainly), in place of what it spoke with before.

    Returns:
        The layers that carry it, by place.

    Raises:
        BaseMismatch: If the tail lacks a projection that the adapter is for; the tail is plain then.
    """
    for plain in tail.layers:
        for path, module in list(plain.named_modules()):
            if isinstance(module, LoraLinear):
                _put(plain, path, module.linear)
    if adapter is None:
        return {}
    fitted: dict[_Place, tuple[nn.Module, LoraLinear]] = {}
    for (layer, path), factors in adapter.factors.items():
        number = layer - tail.first_layer
        block = tail.layers[number] if 0 <= number < len(tail.layers) else None
        linear = dict(block.named_modules()).get(path) if block is not None else None
        shape = (factors.up.shape[0], factors.down.shape[1])
        if block is None or not isinstance(linear, nn.Linear) or tuple(linear.weight.shape) != shape:
            raise BaseMismatch(
                f"The adapter is for a projection ({path} of block {layer}) that this base does not have at this cut; "
                "use the base it was learned on, or roll the slot back."
            )
        fitted[(layer, path)] = (block, LoraLinear(linear, factors))
    for (_, path), (block, lora) in fitted.items():
        _put(block, path, lora)
    return {place: lora for place, (_, lora) in fitted.items()}


def detach(layers: dict[_Place, LoraLinear]) -> Adapter:
    """Return what the layers have learned, scaled as they are, as an adapter of its own in fp32."""
    return Adapter(
        {
            place: Factors(lora.down.detach().float().clone(), lora.up.detach().float() * lora.scale)
            for place, lora in layers.items()
        }
    )


def _put(block: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(block.get_submodule(parent), name, module)
