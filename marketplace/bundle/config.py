"""The adapter's configuration: ours in a bundle, read by a closed list, and PEFT's, which is only ever written.

Nothing that a stranger wrote reaches PEFT: there, a pattern may be a regular expression that never ends, a rank may
allocate gigabytes, and some fields import modules.
"""

from __future__ import annotations

import math
from typing import Any

from ...schemas.bundle import AdapterPart, Manifest, SlotConfig
from .. import strict_json
from ..refusals import refuse
from . import limits
from .manifest import read_record
from .tensors import Header


def read_config(data: bytes) -> SlotConfig:
    """Read ``slot_config.json``.

    Raises:
        Refused: One of the codes that begin with ``config-`` or ``json``.
    """
    said = strict_json.loads(data, max_bytes=limits.CONFIG)
    if not isinstance(said, dict):
        raise refuse("fields", "the configuration is no object")
    if set(said) - set(SlotConfig.model_fields):
        raise refuse("config-field")
    targets = said.get("targets")
    if not isinstance(targets, list) or not all(_is_name(target) for target in targets):
        raise refuse("config-targets")
    rank, alpha = said.get("r"), said.get("alpha")
    if _beyond(rank, limits.RANK) or _beyond(alpha, limits.SCALE * limits.RANK):
        raise refuse("config-rank")
    config = read_record(SlotConfig, said)
    if scale_of(config) > limits.SCALE:
        raise refuse("config-rank")
    return config


def check_agreement(config: SlotConfig, manifest: Manifest, header: Header) -> None:
    """Refuse where manifest, configuration and weights do not say the same.

    Raises:
        Refused: ``config-differs``.
    """
    found = AdapterPart(
        type="lora",
        r=header.rank,
        alpha=config.alpha,
        rslora=config.rslora,
        targets=header.targets,
        dtype=header.dtype,  # type: ignore[arg-type]
        tensors=header.tensors,
        params=header.numbers,
    )
    same = (config.r, config.dtype, config.targets, config.layers)
    if same != (header.rank, header.dtype, header.targets, header.layers) or found != manifest.predicate.adapter:
        raise refuse("config-differs")


def scale_of(config: SlotConfig) -> float:
    """Return the factor on each update."""
    return config.alpha / (math.sqrt(config.r) if config.rslora else config.r)


def peft_config(config: SlotConfig, base: str) -> bytes:
    """Return ``adapter_config.json`` as PEFT reads it; ``base`` names the model for people."""
    said: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": config.task,
        "base_model_name_or_path": base,
        "r": config.r,
        "lora_alpha": int(config.alpha) if config.alpha.is_integer() else config.alpha,
        "use_rslora": config.rslora,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": config.targets,
        "layers_to_transform": config.layers,
        "layers_pattern": "layers",
        "inference_mode": True,
    }
    return strict_json.dumps(said) + b"\n"


def _is_name(target: Any) -> bool:
    return isinstance(target, str) and target.replace("_", "a").isascii() and target.replace("_", "a").isalpha()


def _beyond(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not 0 < value <= most
