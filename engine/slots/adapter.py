"""A slot's adapter: LoRA factors for projections of the tail, on disk a standard PEFT adapter of the whole base.

Portable profile (DESIGN 2.2): one rank for all, ``lora_alpha == r`` so that the scale is 1, the projections listed by
name, whole-model layer numbers. ``PeftModel.from_pretrained(base, folder)`` gives the same logits.

A head adapter is the other kind: one update of the final state, before the head. It speaks wherever the base does,
also where an engine of others computes all blocks. PEFT knows no such place, so that its files say so; ``portable.py``
writes what it does as LoRA on the head.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...schemas.errors import BaseMismatch, Damaged
from ..base.device import CPU
from ..base.halves import Tail
from ..base.lora import HEAD, Lora, Place
from ..files import storage_errors, write_atomic
from .generations import HEAD_KIND

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

HEAD_PROJECTIONS = (HEAD,)
"""What a head adapter changes, as ``new_adapter`` takes it."""

_HEAD_KEY = re.compile(r"nightschool\.final\.(\d+)\.lora_([AB])\.weight")
_KEY = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.([a-z_.]+)\.lora_([AB])\.weight")


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
    """Factors by place: ``(block of the whole model, "self_attn.q_proj")``; all of one rank, on the CPU."""

    factors: dict[Place, Factors]

    @property
    def rank(self) -> int:
        """The rank of every factor pair."""
        return next(iter(self.factors.values())).down.shape[0]

    @property
    def is_head(self) -> bool:
        """Whether it changes the final state and nothing below."""
        return bool(self.factors) and all(path == HEAD for _, path in self.factors)

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
            stem = f"nightschool.final.{layer}" if path == HEAD else f"base_model.model.model.layers.{layer}.{path}"
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
        halves: dict[Place, dict[str, Tensor]] = {}
        is_head = config.get("peft_type") == HEAD_KIND
        for key, tensor in tensors.items():
            place, half = _placed(key, is_head=is_head)
            if half is None or tensor.ndim != 2:
                raise Damaged(f"The adapter in {folder} holds {key}, which Night School cannot place; {hint}")
            halves.setdefault(place, {})[half] = tensor.float()
        ranks = {pair[half].shape[half == "B"] for pair in halves.values() for half in pair}
        if len(ranks) != 1 or any(pair.keys() != {"A", "B"} for pair in halves.values()):
            raise Damaged(f"The adapter in {folder} is not whole: every projection needs A and B of one rank; {hint}")
        return Adapter({place: Factors(pair["A"], pair["B"]) for place, pair in sorted(halves.items())})

    def _config(self, base: str) -> dict[str, Any]:
        if self.is_head:
            return {"peft_type": HEAD_KIND, "base_model_name_or_path": base, "r": self.rank, "lora_alpha": self.rank}
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


def _placed(key: str, *, is_head: bool) -> tuple[Place, str | None]:
    """Return where a tensor belongs and which half it is; None: nowhere."""
    if is_head:
        match = _HEAD_KEY.fullmatch(key)
        return ((int(match[1]), HEAD), match[2]) if match is not None else ((0, ""), None)
    match = _KEY.fullmatch(key)
    return ((int(match[1]), match[2]), match[3]) if match is not None else ((0, ""), None)


def new_adapter(tail: Tail, rank: int, projections: Iterable[str] = PROJECTIONS, seed: int = 0) -> Adapter:
    """Return an adapter that changes nothing yet: ``down`` random, ``up`` zero, for the named linear projections.

    ``HEAD_PROJECTIONS``: a head adapter.
    """
    generator = torch.Generator().manual_seed(seed)
    wanted = set(projections)
    factors: dict[Place, Factors] = {}
    for place, (rows, columns) in (tail.final() if HEAD in wanted else tail.shapes()).items():
        if place[1].rpartition(".")[2] in wanted:
            down = torch.randn(rank, columns, generator=generator) / math.sqrt(columns)
            factors[place] = Factors(down, torch.zeros(rows, rank))
    return Adapter(factors)


def attach(tail: Tail, adapter: Adapter | None) -> dict[Place, Lora]:
    """Make a tail speak with an adapter (None: plainly), in place of what it spoke with before.

    Returns:
        The updates that carry it, by place, on the tail's device.

    Raises:
        BaseMismatch: If the tail lacks a projection that the adapter is for; the tail is plain then.
    """
    tail.carry({})
    loras = {} if adapter is None else updates_for(tail, adapter)
    tail.carry(loras)
    return loras


def updates_for(tail: Tail, adapter: Adapter) -> dict[Place, Lora]:
    """Return an adapter as the updates that a tail can carry, by place, on its device.

    Raises:
        BaseMismatch: If the tail lacks a projection that the adapter is for.
    """
    shapes = {**tail.shapes(), **tail.final()}
    for place, factors in adapter.factors.items():
        if shapes.get(place) != (factors.up.shape[0], factors.down.shape[1]):
            lowest = min((block for block, _ in shapes), default=0)
            if place[0] < lowest:
                first = min(block for block, _ in adapter.factors)
                raise BaseMismatch(
                    f"The adapter changes blocks from {first} on, and the tail here begins with block {lowest}: have "
                    "the slot learn for this tail (`nightschool slots teach SLOT --base MODEL`), or use it where more "
                    "of the base is."
                )
            raise BaseMismatch(
                f"The adapter is for a projection ({place[1]} of block {place[0]}) that this base does not have at "
                "this cut; use the base it was learned on, or roll the slot back."
            )
    return {place: Lora(f.down, f.up).to(tail.device) for place, f in adapter.factors.items()}


def detach(loras: dict[Place, Lora]) -> Adapter:
    """Return what the updates have learned, scaled as they are, as an adapter of its own."""
    return Adapter(
        {
            place: Factors(lora.down.detach().to(CPU, copy=True), (lora.up.detach() * lora.scale).to(CPU))
            for place, lora in loras.items()
        }
    )
