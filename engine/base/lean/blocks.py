"""Llama-shaped decoder blocks over packed rows ``(N, d)``: fused projections, fp32 between the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, silu

from ..lora import Lora
from ..numbers import Numbers
from .attention import Attention, Layer, Rotary, Shape
from .matrices import Matrix, matrix

_FEW = 4
"""Rows up to which an update is computed in fp32."""

FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
"""The four products of a block, each the projections of the stock block that it does at once."""


@dataclass
class Fused:
    """Projections of one input, multiplied at once, with the updates that some of them carry.

    Attributes:
        matrix: The frozen weights, one projection's rows after another's.
        sizes: ``(out, in)`` of each projection, by path.
    """

    matrix: Matrix
    sizes: dict[str, tuple[int, int]]
    _loras: dict[str, Lora] = field(default_factory=dict)
    _kept: tuple[tuple[float, ...], Tensor, Tensor] | None = None

    @staticmethod
    def of(block: nn.Module, paths: Sequence[str], numbers: Numbers) -> Fused:
        """Fuse stock linear layers of a block."""
        layers: list[Any] = [block.get_submodule(path) for path in paths]
        weight = torch.cat([layer.weight.detach() for layer in layers])
        biased = [layer for layer in layers if layer.bias is not None]
        bias = None
        if biased:
            zeros = [layer.weight.new_zeros(len(layer.weight)) for layer in layers]
            biases = [zero if layer.bias is None else layer.bias for layer, zero in zip(layers, zeros, strict=True)]
            bias = torch.cat([part.detach() for part in biases])
        sizes = {path: tuple(layer.weight.shape) for path, layer in zip(paths, layers, strict=True)}
        return Fused(matrix(weight, bias, numbers), sizes)

    def carry(self, loras: Mapping[str, Lora]) -> None:
        """Add these updates, by path, in place of those before."""
        self._loras, self._kept = dict(loras), None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``, in the matrix's dtype; few rows with an update in fp32."""
        plain = self.matrix(inputs.to(self.matrix.dtype))
        if not self._loras:
            return plain
        if len(inputs) <= _FEW and not torch.is_grad_enabled():
            # On a CPU small products cost 3 us each in fp32 and 18 in bf16, which at one token is most of their time.
            down, up = self._factors(torch.float32)
            return torch.addmm(plain.float(), linear(inputs.float(), down), up.t())
        down, up = self._factors(self.matrix.dtype)
        return plain + linear(linear(inputs.to(self.matrix.dtype), down), up)

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return all updates as one: ``(sum r, in)`` and ``(out, sum r)``, kept while nobody trains them."""
        training = torch.is_grad_enabled() and any(lora.up.requires_grad for lora in self._loras.values())
        scales = tuple(lora.scale for lora in self._loras.values())
        if not training and self._kept is not None and self._kept[0] == scales and self._kept[1].dtype == dtype:
            return self._kept[1], self._kept[2]
        down = torch.cat([lora.down for lora in self._loras.values()]).to(dtype)
        ups: list[Tensor] = []
        for path, (rows, _) in self.sizes.items():
            lora = self._loras.get(path)
            # A projection without an update is a block of rows without columns.
            ups.append(lora.up * lora.scale if lora is not None else down.new_zeros(rows, 0, dtype=torch.float32))
        up = torch.block_diag(*ups).to(dtype)  # type: ignore[no-untyped-call]
        if not training:
            self._kept = (scales, down, up)
        return down, up


@dataclass
class Block:
    """One decoder block."""

    layer: Layer
    qkv: Fused
    o: Fused
    gate_up: Fused
    down: Fused
    before_attention: Tensor
    before_mlp: Tensor
    eps: float

    @staticmethod
    def of(block: Any, number: int, window: int | None, numbers: Numbers) -> Block:
        """Read a stock block."""
        attention = block.self_attn
        norms = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
        query_norm, key_norm = (None if norm is None else norm.weight.detach().float() for norm in norms)
        return Block(
            layer=Layer(number, window, query_norm, key_norm),
            before_attention=block.input_layernorm.weight.detach().float(),
            before_mlp=block.post_attention_layernorm.weight.detach().float(),
            eps=block.input_layernorm.variance_epsilon,
            **{name: Fused.of(block, paths, numbers) for name, paths in FUSED.items()},
        )

    def __call__(self, rows: Tensor, attention: Attention) -> Tensor:
        """Return ``(N, d)`` fp32 from ``(N, d)`` fp32."""
        width = rows.shape[-1:]
        rows = rows + self.o(attention(self.layer, self.qkv(rms_norm(rows, width, self.before_attention, self.eps))))
        inner = self.gate_up(rms_norm(rows, width, self.before_mlp, self.eps))
        gate, up = inner.chunk(2, dim=-1)
        return rows + self.down(silu(gate) * up)

    def fused(self) -> list[Fused]:
        """Return its four products."""
        return [self.qkv, self.o, self.gate_up, self.down]


@dataclass(frozen=True)
class Blocks:
    """Some consecutive blocks of a model."""

    blocks: list[Block]
    shape: Shape
    rotary: Rotary
    dtype: torch.dtype

    @staticmethod
    def of(model: Any, first: int, stop: int, numbers: Numbers) -> Blocks:
        """Read blocks ``first`` to ``stop`` of a stock causal language model."""
        config, decoder = model.config, model.get_decoder()
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = Shape(config.num_attention_heads, config.num_key_value_heads, width, config.rms_norm_eps)
        rotary = decoder.rotary_emb
        return Blocks(
            blocks=[
                Block.of(layer, number, _window(config, first + number), numbers)
                for number, layer in enumerate(decoder.layers[first:stop])
            ],
            shape=shape,
            rotary=Rotary(rotary.inv_freq, rotary.attention_scaling, config.max_position_embeddings),
            dtype=torch.float32 if numbers is Numbers.FP32 else torch.bfloat16,
        )

    def __call__(self, rows: Tensor, attention: Attention) -> Tensor:
        """Return ``(N, d)`` fp32 from ``(N, d)`` fp32."""
        for block in self.blocks:
            rows = block(rows, attention)
        return rows

    @property
    def nbytes(self) -> int:
        """Bytes of the frozen matrices."""
        return sum(fused.matrix.nbytes for block in self.blocks for fused in block.fused())


def _window(config: Any, number: int) -> int | None:
    """Return how many keys a token sees in a block of the whole model; None: all."""
    window: int | None = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return window if kinds[number] == "sliding_attention" else None
    return window
