"""What a stranger's ``adapter_config.json`` is believed to say: five values, and that nothing else is asked for.

None of it reaches PEFT. There, some fields are regular expressions or names of modules to import, some bring whole
weights or another kind of update, and some begin from weights of the base that they change first, so that the tensors
alone would mean something else. What is not known here is refused unless it is empty. Loads without torch.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ...schemas.errors import NotFound, UsageError
from ..files import storage_errors
from .generations import CONFIG, WEIGHTS

LARGEST = {CONFIG: 1 << 20, WEIGHTS: 4 << 30}
"""Bytes of the files that are read, each by its name."""
_LARGEST_RANK = 1024
_READ = {"peft_type", "r", "lora_alpha", "use_rslora", "bias", "init_lora_weights"}
_SAYS_NOTHING = {
    *("base_model_name_or_path", "revision", "task_type", "inference_mode", "peft_version", "lora_dropout"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),  # the tensors' names say it
    *("megatron_core", "qalora_group_size", "runtime_config"),  # of what is off
}
_PLAIN_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal", "true", "false")
"""Ways to begin an adapter that leave the base's own weights as they are."""


def check_files(folder: Path) -> None:
    """Refuse a folder that lacks one of the two files, or holds one that is larger than any adapter's.

    Raises:
        NotFound: If one is missing; pickled weights are never read.
        UsageError: If one is too large.
    """
    for name, most in LARGEST.items():
        file = folder / name
        if not file.is_file():
            raise NotFound(f"{folder} is no PEFT adapter in safetensors ({name} is missing); give another folder.")
        if file.stat().st_size > most:
            raise UsageError(f"{file} is larger than any adapter that can be used; give another folder.")


def read_scale(file: Path, shown: str) -> float:
    """Return the factor on ``up @ down`` that a configuration asks for.

    Args:
        file: The configuration.
        shown: What it belongs to, as the user knows it.

    Raises:
        UsageError: If it does not read, or is not that of a plain LoRA.
        StorageError: If it cannot be read.
    """
    try:
        with storage_errors(file):
            config = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"The configuration of {shown} does not read ({reason}); fetch it again.") from error
    if not isinstance(config, dict):
        raise UsageError(f"{file} is not a configuration; fetch the adapter again.")
    return _scale(config, shown)


def _scale(config: dict[str, Any], shown: str) -> float:
    if config.get("peft_type") != "LORA" or config.get("bias", "none") not in ("none", None):
        raise UsageError(f"The adapter in {shown} is not a LoRA without biases; only those can be used.")
    odd = [name for name in config if name not in _READ | _SAYS_NOTHING and config[name]]
    if odd:
        name = "".join(letter if letter.isprintable() else "?" for letter in odd[0][:60])
        raise UsageError(f"The adapter in {shown} uses {name}, which a plain LoRA does not; it is not imported.")
    if config.get("init_lora_weights") not in _PLAIN_BEGINNINGS:
        raise UsageError(
            f"The adapter in {shown} began from changed weights of its base (init_lora_weights), so that it would mean "
            "something else here; ask its maker for a converted one."
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not (isinstance(rank, int) and 1 <= rank <= _LARGEST_RANK):
        raise UsageError(f"The adapter in {shown} has no rank from 1 to {_LARGEST_RANK}; it is not imported.")
    if not (isinstance(alpha, int | float) and math.isfinite(alpha)):
        raise UsageError(f"The adapter in {shown} does not say its lora_alpha; it is not imported.")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
