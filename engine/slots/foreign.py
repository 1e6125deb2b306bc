"""An adapter of somebody else, read as a stranger's file: numbers alone, of known names and shapes, or not at all.

Nothing of its configuration reaches PEFT: a few values are read, and those that bring regular expressions, whole
weights or another kind of update must be off.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from ...schemas.errors import BaseMismatch, NotFound, UsageError
from ..base.lora import Place
from ..files import storage_errors
from .adapter import Adapter, Factors
from .factoring import uniform
from .generations import CONFIG, WEIGHTS

_LARGEST_CONFIG = 1 << 20
_LARGEST_WEIGHTS = 4 << 30
_LARGEST_RANK = 1024
_KEY = re.compile(
    r"(?:base_model\.model\.)?model\.layers\.(\d{1,4})\.([a-z_.]{1,60})\.lora_([AB])(?:\.default)?\.weight"
)
_MUST_BE_OFF = (
    "use_dora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
)


def read_foreign(folder: Path, shapes: Mapping[Place, tuple[int, int]] | None) -> Adapter:
    """Return a PEFT LoRA of any scale as one of the portable profile.

    Args:
        folder: With ``adapter_config.json`` and ``adapter_model.safetensors``.
        shapes: ``(out, in)`` of the projections that it may change, by place; None: its base is not here to say.

    Raises:
        NotFound: If one of the two files is missing; pickled weights are never read.
        UsageError: If it is not a plain LoRA, is damaged, or changes blocks that are not in the tail here.
        BaseMismatch: If a name or a shape is not one of this base's.
        StorageError: If it cannot be read.
    """
    config, tensors = _files(folder)
    scale = _scale(folder, config)
    pairs: dict[Place, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or tensor.ndim != 2 or not tensor.is_floating_point():
            raise UsageError(f"{folder} holds {key[:80]!r}, which is no part of a plain LoRA; it is not imported.")
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"{key} in {folder} holds numbers that are none; it is not imported.")
        pairs.setdefault((int(match[1]), match[2]), {})[match[3]] = tensor.float()
    if not pairs:
        raise UsageError(f"{folder} holds no LoRA; give another folder.")
    lowest = min((layer for layer, _ in shapes or ()), default=0)
    if min(layer for layer, _ in pairs) < lowest:
        raise UsageError(
            f"The adapter in {folder} changes blocks from {min(layer for layer, _ in pairs)} on, and here the tail "
            f"begins with block {lowest}; only one that was trained on the blocks from there on can be used."
        )
    return uniform({place: _fitted(folder, place, pair, shapes, scale) for place, pair in pairs.items()})


def _files(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    for name, most in ((CONFIG, _LARGEST_CONFIG), (WEIGHTS, _LARGEST_WEIGHTS)):
        file = folder / name
        if not file.is_file():
            raise NotFound(f"{folder} is no PEFT adapter in safetensors ({name} is missing); give another folder.")
        if file.stat().st_size > most:
            raise UsageError(f"{file} is larger than any adapter that can be used; give another folder.")
    try:
        with storage_errors(folder):
            config = json.loads((folder / CONFIG).read_bytes())
            tensors = load((folder / WEIGHTS).read_bytes())
    except (ValueError, RecursionError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"The adapter in {folder} does not read ({reason}); fetch it again.") from error
    if not isinstance(config, dict):
        raise UsageError(f"{folder / CONFIG} is not a configuration; fetch the adapter again.")
    return config, tensors


def _scale(folder: Path, config: dict[str, Any]) -> float:
    """Return the factor on ``up @ down`` that the configuration asks for."""
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        raise UsageError(f"The adapter in {folder} is not a LoRA without biases; only those can be used.")
    odd = [name for name in _MUST_BE_OFF if config.get(name)]
    if odd:
        raise UsageError(f"The adapter in {folder} uses {odd[0]}, which a plain LoRA does not; it is not imported.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not (isinstance(rank, int) and 1 <= rank <= _LARGEST_RANK):
        raise UsageError(f"The adapter in {folder} has no rank from 1 to {_LARGEST_RANK}; it is not imported.")
    if not (isinstance(alpha, int | float) and math.isfinite(alpha)):
        raise UsageError(f"The adapter in {folder} does not say its lora_alpha; it is not imported.")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _fitted(
    folder: Path,
    place: Place,
    pair: dict[str, torch.Tensor],
    shapes: Mapping[Place, tuple[int, int]] | None,
    scale: float,
) -> Factors:
    name = f"{place[1]} of block {place[0]}"
    if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
        raise UsageError(f"The adapter in {folder} is not whole at {name}; fetch it again.")
    if shapes is not None and shapes.get(place) != (pair["B"].shape[0], pair["A"].shape[1]):
        raise BaseMismatch(f"The adapter in {folder} does not fit this base at {name}; load the base it was made for.")
    return Factors(pair["A"], pair["B"] * scale)
