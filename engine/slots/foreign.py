"""An adapter of somebody else, read as a stranger's file: numbers alone, of known names and shapes, or not at all.

What is believed of its configuration: ``foreign_config.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from ...schemas.errors import BaseMismatch, UsageError
from ..base.lora import Place
from ..files import storage_errors
from .adapter import Adapter, Factors
from .factoring import uniform
from .foreign_config import check_files, read_scale
from .generations import CONFIG, WEIGHTS

_KEY = re.compile(
    r"(?:base_model\.model\.)?model\.layers\.(\d{1,4})\.([a-z_.]{1,60})\.lora_([AB])(?:\.default)?\.weight"
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
    check_files(folder)
    scale = read_scale(folder / CONFIG, str(folder))
    tensors = _tensors(folder)
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
    lowest, first = min((layer for layer, _ in shapes or ()), default=0), min(layer for layer, _ in pairs)
    if first < lowest:
        needed = max(layer for layer, _ in shapes or ()) + 1 - first
        raise UsageError(
            f"The adapter in {folder} changes blocks from {first} on, and here the tail begins with block {lowest}; "
            f"give the tail more blocks (`cut = {needed}` in config.toml), or keep what it changes in the tail alone "
            "(`slots import --keep-upper`)."
        )
    return uniform({place: _fitted(folder, place, pair, shapes, scale) for place, pair in pairs.items()})


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    try:
        with storage_errors(folder):
            return load((folder / WEIGHTS).read_bytes())
    except (ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"The adapter in {folder} does not read ({reason}); fetch it again.") from error


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
