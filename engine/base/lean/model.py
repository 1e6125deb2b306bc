"""A Llama-shaped model taken apart: what trunk and tail of any cut are made of, read from its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ....schemas.errors import ModelDamaged
from ..numbers import Numbers
from .attention import Rotary, Shape
from .blocks import Block, Blocks
from .matrices import Head, dense_dtype
from .norm import Norm

FAMILIES = frozenset({"llama", "qwen2", "qwen3", "mistral"})
"""Those whose lean halves a test compares with the stock ones."""

EMBEDDINGS, NORM = "model.embed_tokens.weight", "model.norm.weight"
HEAD, HEAD_BIAS = "lm_head.weight", "lm_head.bias"


class Lower(Protocol):
    """What a trunk is made of: a whole model, or blocks from the bottom up without the rest."""

    @property
    def table(self) -> Tensor:
        """Embeddings ``(V, d)``, as stored."""
        ...

    @property
    def blocks(self) -> Blocks:
        """Those there are, from the bottom."""
        ...


class Upper(Protocol):
    """What a tail is made of: a whole model, or blocks from the top down without the rest."""

    @property
    def layers(self) -> int:
        """Blocks of the whole model."""
        ...

    @property
    def blocks(self) -> Blocks:
        """Those there are, up to the top."""
        ...

    @property
    def norm(self) -> Norm:
        """The final norm."""
        ...

    @property
    def head(self) -> Head:
        """From rows to logits."""
        ...


@dataclass(frozen=True)
class LeanLower:
    """Embeddings and the lower blocks of a model, for who needs no more of it."""

    blocks: Blocks
    table: Tensor

    @staticmethod
    def of(config: Any, tensors: Mapping[str, Tensor], numbers: Numbers) -> LeanLower:
        """Build it from a configuration sliced to its blocks and the tensors of the whole checkpoint.

        Raises:
            ModelDamaged: If a tensor is missing.
        """
        with _nothing_missing():
            table = tensors[EMBEDDINGS]
            return LeanLower(_read_blocks(config, tensors, numbers, table.device), table)


@dataclass(frozen=True)
class LeanUpper:
    """The upper blocks of a model with final norm and head, for who has no more of it; see :class:`LeanModel`."""

    layers: int
    blocks: Blocks
    norm: Norm
    head: Head

    @staticmethod
    def of(config: Any, tensors: Mapping[str, Tensor], numbers: Numbers, layers: int) -> LeanUpper:
        """Build it from a configuration sliced to its blocks and tensors in which the lowest of them is numbered 0.

        ``layers``: of the whole model.

        Raises:
            ModelDamaged: If a tensor is missing.
        """
        with _nothing_missing():
            norm = tensors[NORM]
            blocks = _read_blocks(config, tensors, numbers, norm.device)
            head = Head.of(head_weight(tensors), tensors.get(HEAD_BIAS), numbers)
            return LeanUpper(layers, blocks, Norm(norm, blocks.shape.eps), head)

    def over(self, tensors: Mapping[str, Tensor]) -> LeanUpper:
        """Return it with what is read a few rows at a time from these tensors, of which no page was read yet."""
        return replace(self, head=self.head.over(head_weight(tensors), tensors.get(HEAD_BIAS)))


@dataclass(frozen=True)
class LeanModel:
    """The whole model; nothing of it changes, so any number of halves share it.

    Attributes:
        blocks: All of them.
        table: Embeddings ``(V, d)``, as stored.
        norm: The final norm.
        head: From rows to logits.
    """

    blocks: Blocks
    table: Tensor
    norm: Norm
    head: Head

    @staticmethod
    def of(config: Any, tensors: Mapping[str, Tensor], numbers: Numbers) -> LeanModel:
        """Build it from a transformers configuration and the tensors of a checkpoint, by their usual names.

        It computes on the device of the tensors.

        Raises:
            ModelDamaged: If a tensor is missing.
        """
        with _nothing_missing():
            table = tensors[EMBEDDINGS]
            blocks = _read_blocks(config, tensors, numbers, table.device)
            head = Head.of(tensors.get(HEAD, table), tensors.get(HEAD_BIAS), numbers)
            return LeanModel(blocks, table, Norm(tensors[NORM], blocks.shape.eps), head)

    def over(self, tensors: Mapping[str, Tensor]) -> LeanModel:
        """Return it with what is read a few rows at a time from these tensors, of which no page was read yet."""
        head = self.head.over(head_weight(tensors), tensors.get(HEAD_BIAS))
        return replace(self, table=tensors[EMBEDDINGS], head=head)

    @property
    def layers(self) -> int:
        """Blocks of the whole model, which are all here."""
        return len(self.blocks.blocks)


def head_weight(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the weight of the head: its own, or where it is tied the table of embeddings."""
    return tensors[HEAD] if HEAD in tensors else tensors[EMBEDDINGS]


def _read_blocks(config: Any, tensors: Mapping[str, Tensor], numbers: Numbers, device: torch.device) -> Blocks:
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = Shape(config.num_attention_heads, config.num_key_value_heads, width, config.rms_norm_eps)
    blocks = [
        Block.of(tensors, number, _window(config, number), shape.eps, numbers)
        for number in range(config.num_hidden_layers)
    ]
    return Blocks(blocks, shape, _rotary(config, device), dense_dtype(numbers))


@contextmanager
def _nothing_missing() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise ModelDamaged(f"The model lacks the tensor {error}; fetch or copy it again.") from error


def _rotary(config: Any, device: torch.device) -> Rotary:
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    stock: Any = LlamaRotaryEmbedding(config)
    return Rotary(stock.inv_freq.to(device), stock.attention_scaling)


def _window(config: Any, number: int) -> int | None:
    """Return how many keys a token sees in a block; None: all."""
    window: int | None = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return window if kinds[number] == "sliding_attention" else None
    return window
