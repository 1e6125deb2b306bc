"""The families whose cut is proven exact, and what a slice of each one's configuration must carry.

A family is supported only if a test compares its two halves with the uncut model, bit for bit. Whatever scales or mixes
the embeddings, shares keys and values between blocks, or changes its rotary frequencies with the length seen so far
would be silently wrong when cut, so everything that is not in the table is refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...schemas.errors import UnsupportedFamily

# Frequencies of these depend on the positions alone. "dynamic" and "longrope" depend on the length seen so far, which
# differs between one long forward pass and the same tokens fed in turns.
_STATIC_ROPE = frozenset({"default", "linear", "llama3", "yarn"})


@dataclass(frozen=True)
class Family:
    """One supported architecture.

    Attributes:
        name: The ``model_type`` of its configuration.
        projections: Names of the linear layers in one block that an adapter may target.
        renumber: Rewrites, in a configuration already cut to blocks ``first..``, what counts blocks from the bottom.
    """

    name: str
    projections: tuple[str, ...]
    renumber: Callable[[Any, int], None]


def _nothing(config: Any, first: int) -> None:
    """Leave a configuration whose blocks are all alike."""


def _window_layers(config: Any, first: int) -> None:
    config.max_window_layers = max(0, config.max_window_layers - first)


def _dense_layers(config: Any, first: int) -> None:
    config.first_k_dense_replace = max(0, (config.first_k_dense_replace or 0) - first)


_SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_LATENT = ("q_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("llama", _SEVEN, _nothing),
        Family("qwen2", _SEVEN, _window_layers),
        Family("qwen3", _SEVEN, _window_layers),
        Family("mistral", _SEVEN, _nothing),
        Family("deepseek_v2", (*_LATENT, "gate_proj", "up_proj", "down_proj"), _dense_layers),
        Family("deepseek_v3", (*_LATENT, "gate_proj", "up_proj", "down_proj"), _dense_layers),
    )
}


def check_family(config: dict[str, Any]) -> Family:
    """Return the family of a configuration, given as the dictionary that ``config.json`` holds.

    Raises:
        UnsupportedFamily: If the cut is not proven exact for it; the sentence says what stands in the way.
    """
    name = config.get("model_type")
    family = FAMILIES.get(str(name))
    if family is None:
        raise UnsupportedFamily(f"The model family {name!r} is not supported; use one of: {', '.join(FAMILIES)}.")
    reason = _obstacle(config)
    if reason:
        raise UnsupportedFamily(
            f"This {name} model {reason}, for which the cut is not proven exact; use a plain {name} model instead."
        )
    return family


def slice_config(config: Any, first: int, stop: int) -> Any:
    """Return a copy of a transformers configuration that describes blocks ``first`` to ``stop`` alone."""
    family = check_family(config.to_dict())
    part = copy.deepcopy(config)
    part.num_hidden_layers = stop - first
    if getattr(config, "layer_types", None) is not None:
        part.layer_types = list(config.layer_types[first:stop])
    family.renumber(part, first)
    return part


def _obstacle(config: dict[str, Any]) -> str:
    """Return what keeps a configuration of a supported family from being cut, in words; empty if nothing does."""
    if config.get("auto_map"):
        return "brings its own code"
    if config.get("quantization_config"):
        return "is stored quantised"
    if config.get("per_layer_config"):
        return "has blocks of different shapes"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict) or any(isinstance(value, dict) for value in rope.values()):
        return "has rotary positions of an unknown form"
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in _STATIC_ROPE:
        return f"uses {kind!r} rotary positions"
    return ""
