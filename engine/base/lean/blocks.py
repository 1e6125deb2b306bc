"""Llama-shaped decoder blocks over packed rows ``(N, d)``: fused projections, fp32 between the blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from ..lora import Lora
from ..numbers import Numbers
from .attention import Attention, Layer, Rotary, Shape
from .matrices import Matrix, matrix
from .norm import Norm

_FEW = 4
"""Rows up to which an update is computed in fp32."""

_NARROW = 64
"""Sum of ranks up to which, for few rows, the updates of all projections are one product, most of it zeros: three
products more cost as much as that. What several adapters give together is wider."""

_Piece: TypeAlias = tuple[slice, slice, Tensor]
"""Rows of an output, columns of what goes in, and the factor ``(r, out)`` between them."""

Product: TypeAlias = Callable[[Tensor], Tensor]
"""From ``(N, in)`` to ``(N, out)``."""

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
    _few: tuple[tuple[float, ...], Tensor, list[_Piece]] | None = None

    @staticmethod
    def of(tensors: Mapping[str, Tensor], block: str, paths: Sequence[str], numbers: Numbers) -> Fused:
        """Fuse linear layers of a block, whose tensors' names begin with ``block``."""
        weights = [tensors[f"{block}{path}.weight"] for path in paths]
        biases = [tensors.get(f"{block}{path}.bias") for path in paths]
        bias = None
        if any(one is not None for one in biases):
            zeros = [weight.new_zeros(len(weight)) for weight in weights]
            bias = torch.cat([zero if one is None else one for one, zero in zip(biases, zeros, strict=True)])
        sizes = {path: (weight.shape[0], weight.shape[1]) for path, weight in zip(paths, weights, strict=True)}
        return Fused(matrix(torch.cat(weights) if len(weights) > 1 else weights[0], bias, numbers), sizes)

    def carry(self, loras: Mapping[str, Lora]) -> None:
        """Add these updates, by path, in place of those before."""
        self._loras, self._kept, self._few = dict(loras), None, None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return ``(N, out)`` from ``(N, in)``, in the matrix's dtype; few rows with an update in fp32."""
        plain = self.matrix(inputs.to(self.matrix.dtype))
        if not self._loras:
            return plain
        if inputs.is_cpu and len(inputs) <= _FEW and not torch.is_grad_enabled():
            # There small products cost 3 us each in fp32 and 18 in bf16, which at one token is most of their time.
            return self.add_updates(plain.float(), inputs.float())
        down, up = self._factors(self.matrix.dtype)
        return plain + linear(linear(inputs.to(self.matrix.dtype), down), up)

    def add_updates(self, plain: Tensor, inputs: Tensor) -> Tensor:
        """Add the updates to a few rows ``plain``, ``(N, out)`` fp32, in place, and return them."""
        if not self._loras:
            return plain
        scales = self._scales()
        if self._few is None or self._few[0] != scales:
            self._few = (scales, *self._pieces())
        _, down, pieces = self._few
        within = linear(inputs, down)
        for rows, columns, up in pieces:
            plain[:, rows].addmm_(within[:, columns], up)
        return plain

    def _pieces(self) -> tuple[Tensor, list[_Piece]]:
        """Return all updates for few rows: ``(sum r, in)``, and what they add to which outputs."""
        ranks = [len(lora.down) for lora in self._loras.values()]
        if sum(ranks) <= _NARROW:
            down, up = self._factors(torch.float32)
            return down, [(slice(None), slice(None), up.t().contiguous())]
        pieces: list[_Piece] = []
        row = column = 0
        for path, (rows, _) in self.sizes.items():
            lora = self._loras.get(path)
            if lora is not None:
                rank = len(lora.down)
                up = (lora.up.detach() * lora.scale).t().contiguous()
                pieces.append((slice(row, row + rows), slice(column, column + rank), up))
                column += rank
            row += rows
        return torch.cat([self._loras[path].down.detach() for path in self.sizes if path in self._loras]), pieces

    def _scales(self) -> tuple[float, ...]:
        return tuple(lora.scale for lora in self._loras.values())

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return all updates as one: ``(sum r, in)`` and ``(out, sum r)``, kept while nobody trains them."""
        training = torch.is_grad_enabled() and any(lora.up.requires_grad for lora in self._loras.values())
        scales = self._scales()
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
    before_attention: Norm
    before_mlp: Norm

    @staticmethod
    def of(tensors: Mapping[str, Tensor], number: int, window: int | None, eps: float, numbers: Numbers) -> Block:
        """Read block ``number`` of a checkpoint."""
        name = f"model.layers.{number}."
        norms = [tensors.get(f"{name}self_attn.{norm}.weight") for norm in ("q_norm", "k_norm")]
        query_norm, key_norm = (None if norm is None else norm.float().clone() for norm in norms)
        return Block(
            layer=Layer(number, window, query_norm, key_norm),
            before_attention=Norm(tensors[f"{name}input_layernorm.weight"], eps),
            before_mlp=Norm(tensors[f"{name}post_attention_layernorm.weight"], eps),
            **{part: Fused.of(tensors, name, paths, numbers) for part, paths in FUSED.items()},
        )

    def anew(self, number: int) -> Block:
        """Return the same block under another number, without updates."""
        qkv, o, gate_up, down = (Fused(fused.matrix, fused.sizes) for fused in self.fused())
        layer = replace(self.layer, number=number)
        return replace(self, layer=layer, qkv=qkv, o=o, gate_up=gate_up, down=down)

    def __call__(self, rows: Tensor, attention: Attention) -> Tensor:
        """Return ``(N, d)`` fp32 from ``(N, d)`` fp32."""
        return self.with_products(self.fused(), rows, attention)

    def with_products(self, products: Sequence[Product], rows: Tensor, attention: Attention) -> Tensor:
        """Return what the block does where these are its four products, in the order of ``fused``."""
        qkv, o, gate_up, down = products
        rows = rows + o(attention(self.layer, qkv(self.before_attention(rows))))
        gate, up = gate_up(self.before_mlp(rows)).chunk(2, dim=-1)
        return rows + down(silu(gate) * up)

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

    def __call__(self, rows: Tensor, attention: Attention) -> Tensor:
        """Return ``(N, d)`` fp32 from ``(N, d)`` fp32."""
        for block in self.blocks:
            rows = block(rows, attention)
        return rows

    def part(self, first: int, stop: int) -> Blocks:
        """Return blocks ``first`` to ``stop``, numbered from 0 and without updates."""
        return replace(self, blocks=[block.anew(number) for number, block in enumerate(self.blocks[first:stop])])

    @property
    def device(self) -> torch.device:
        """Where they compute."""
        return self.rotary.device

    @property
    def nbytes(self) -> int:
        """Bytes of the frozen matrices."""
        return sum(fused.matrix.nbytes for block in self.blocks for fused in block.fused())
