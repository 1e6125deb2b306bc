"""Trunk and tail over lean blocks: the same two halves as ``cut``, for the families that are Llama-shaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import embedding

from ..lora import HEAD, Lora, Place
from .attention import Keep, PackedAttention
from .blocks import Blocks
from .model import Lower, Upper
from .packing import Packing, in_order, pack
from .rows import Rows, RowsAttention
from .stream import LeanCache, StreamAttention, StreamsAttention
from .together import together

Tokens: TypeAlias = Sequence[Sequence[int]]


class LeanTrunk:
    """Embeddings and the lower blocks: from token ids to states."""

    def __init__(self, model: Lower, cut: int) -> None:
        self._table = model.table
        self._blocks = model.blocks.part(0, len(model.blocks.blocks) - cut)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._table.device

    @torch.no_grad()
    def sequences(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the states ``(T, d)`` of whole sequences."""
        return _sequences(self._blocks, [self._embed(tokens) for tokens in batch], batch)

    def new_cache(self) -> LeanCache:
        """Return an empty cache for :meth:`extend`."""
        return LeanCache(len(self._blocks.blocks))

    @torch.no_grad()
    def extend(self, ids: Tensor, cache: LeanCache) -> Tensor:
        """Append tokens ``(1, T)`` to what ``cache`` holds and return their states ``(1, T, d)``."""
        return _stream(self._blocks, self._embed(ids[0]), cache)[None]

    @torch.no_grad()
    def extend_together(self, batch: Sequence[Sequence[int]], caches: Sequence[LeanCache]) -> list[Tensor]:
        """Append tokens to each of several caches in one pass and return their states ``(T, d)``."""
        counts = [len(tokens) for tokens in batch]
        rows = self._embed([token for tokens in batch for token in tokens])
        attention = StreamsAttention(self._blocks.shape, self._blocks.rotary, caches, counts, self._blocks.dtype)
        rows = self._blocks(rows, attention)
        attention.done()
        return list(torch.split(rows, counts))

    def new_rows(self, count: int, room: int) -> Rows:
        """Return empty streams for :meth:`fill` and :meth:`step`."""
        return _new_rows(self._blocks, count, room)

    @torch.no_grad()
    def fill(self, rows: Rows, numbers: Sequence[int], batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Begin the rows anew with whole sequences and return their states ``(T, d)``."""
        return _fill(self._blocks, rows, numbers, [self._embed(tokens) for tokens in batch], batch)

    @torch.no_grad()
    def step(self, rows: Rows, tokens: Tensor) -> Tensor:
        """Append one token to each of the first ``(n,)`` rows and return their states ``(n, d)``."""
        return _step(self._blocks, rows, embedding(tokens, self._table).float())

    @property
    def nbytes(self) -> int:
        """Bytes of its matrices, without the table of embeddings."""
        return self._blocks.nbytes

    def _embed(self, tokens: Sequence[int] | Tensor) -> Tensor:
        return embedding(torch.as_tensor(tokens, device=self.device), self._table).float()


class LeanTail:
    """The upper blocks, final norm and head: from states to logits. Carries the LoRA; differentiable if dense.

    Attributes:
        first_layer: Number, in the whole model, of the lowest block here.
    """

    def __init__(self, model: Upper, cut: int, *, normed: bool = False) -> None:
        """``normed``: with no blocks, states come after the final norm already."""
        held = len(model.blocks.blocks)
        self.first_layer = model.layers - cut
        self._last: Place = (model.layers, HEAD)
        self._lora: Lora | None = None
        self._blocks = model.blocks.part(held - cut, held)
        self._normed: Callable[[Tensor], Tensor] = _as_it_is if normed else model.norm
        self._width = len(model.norm.weight)
        self._head = model.head

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._blocks.device

    def shapes(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of every projection that can carry an update."""
        return {
            (self.first_layer + block.layer.number, path): size
            for block in self._blocks.blocks
            for fused in block.fused()
            for path, size in fused.sizes.items()
        }

    def final(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of the update of the final state."""
        return {self._last: (self._width, self._width)}

    def carry(self, loras: Mapping[Place, Lora]) -> None:
        """Speak with these updates, in place of those before."""
        self._lora = loras.get(self._last)
        for block in self._blocks.blocks:
            for fused in block.fused():
                places = {path: (self.first_layer + block.layer.number, path) for path in fused.sizes}
                fused.carry({path: loras[place] for path, place in places.items() if place in loras})

    def sequences(self, batch: Sequence[Tensor], tokens: Tokens | None = None) -> list[Tensor]:
        """Return rows after the final norm, ``(T, d)`` fp32, for states ``(T, d)`` of whole sequences."""
        return _sequences(self._blocks, [states.float() for states in batch], tokens, self._norm)

    def new_cache(self) -> LeanCache:
        """Return an empty cache for :meth:`extend`."""
        return LeanCache(len(self._blocks.blocks))

    def extend(self, states: Tensor, cache: LeanCache) -> Tensor:
        """Append states ``(1, T, d)`` and return their rows after the final norm, ``(1, T, d)``."""
        return self._norm(_stream(self._blocks, states[0].float(), cache))[None]

    def new_rows(self, count: int, room: int) -> Rows:
        """Return empty streams for :meth:`fill` and :meth:`step`."""
        return _new_rows(self._blocks, count, room)

    def fill(
        self, rows: Rows, numbers: Sequence[int], batch: Sequence[Tensor], tokens: Tokens | None = None
    ) -> list[Tensor]:
        """Begin the rows anew with the states of whole sequences; return their rows after the final norm."""
        return [self._norm(part) for part in _fill(self._blocks, rows, numbers, [s.float() for s in batch], tokens)]

    def step(self, rows: Rows, states: Tensor) -> Tensor:
        """Append one state to each of the first rows, ``(n, d)``, and return their rows after the final norm."""
        return self._norm(_step(self._blocks, rows, states))

    def head(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., V)`` of rows ``(..., d)`` after the final norm."""
        logits = self._head(rows.reshape(-1, rows.shape[-1]))
        return logits.view(*rows.shape[:-1], logits.shape[-1])

    def ranked(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., V)`` in fp32 of which a word can be chosen; see ``engine/base/ranked.py``."""
        logits = self._head.ranked(rows.reshape(-1, rows.shape[-1]))
        return logits.view(*rows.shape[:-1], logits.shape[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of its matrices."""
        return self._blocks.nbytes + self._head.nbytes

    def _norm(self, rows: Tensor) -> Tensor:
        """Return rows after the final norm, and after the update of the final state."""
        rows = self._normed(rows)
        return rows if self._lora is None or self._lora.scale == 0.0 else rows + self._lora(rows)


def step_together(tails: Sequence[LeanTail], rows: Sequence[Rows], states: Tensor) -> Tensor:
    """Append a state of ``(n, d)`` to the first stream of each of ``rows``, one of each of ``n`` tails of one base.

    Returns:
        Rows after the final norm, ``(n, d)``, each with the updates of its own tail.
    """
    blocks = [tail._blocks for tail in tails]
    attentions = [RowsAttention(one.shape, one.rotary, own, 1) for one, own in zip(blocks, rows, strict=True)]
    found = together(blocks, states.float(), attentions)
    for own in rows:
        own.lengths[:1] += 1
    return torch.cat([tail._norm(row) for tail, row in zip(tails, torch.split(found, 1), strict=True)])


_TOKENS, _TOKENS_WIDE = 1024, 4096
"""Of a pass that is not differentiated, on a CPU and elsewhere: enough to fill the cores, little memory."""


_ROWS = 64
"""On a CPU the kernels of half numbers are made for one number of rows each, in 0.3 to 1 ms; so there are few."""


def _as_it_is(rows: Tensor) -> Tensor:
    return rows


def _sequences(
    blocks: Blocks,
    batch: Sequence[Tensor],
    tokens: Tokens | None,
    finish: Callable[[Tensor], Tensor] = _as_it_is,
) -> list[Tensor]:
    """Run whole sequences; all at once where gradients are wanted, else in groups. ``finish`` is done to each row."""
    found: dict[int, Tensor] = {}
    most = _TOKENS if blocks.device.type == "cpu" else _TOKENS_WIDE
    for group in _groups(in_order(len(batch), tokens), [len(rows) for rows in batch], most):
        alike = None if tokens is None else [tokens[number] for number in group]
        rows, packing = _packed(blocks, [batch[number] for number in group], alike)
        found.update(zip(group, packing.whole(finish(rows)), strict=True))
    return [found[number] for number in range(len(batch))]


def _groups(order: Sequence[int], lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    group: list[int] = []
    tokens = 0
    for number in order:
        tokens += lengths[number]
        if group and tokens > most and not torch.is_grad_enabled():
            yield group
            group, tokens = [], lengths[number]
        group.append(number)
    if group:
        yield group


def _packed(
    blocks: Blocks, batch: Sequence[Tensor], tokens: Tokens | None, keep: Keep | None = None
) -> tuple[Tensor, Packing]:
    multiple = _ROWS if blocks.dtype != torch.float32 and blocks.device.type == "cpu" else 1
    packing = pack([len(rows) for rows in batch], tokens, blocks.device, multiple)
    return blocks(packing.rows(batch), PackedAttention(blocks.shape, blocks.rotary, packing, keep)), packing


def _stream(blocks: Blocks, rows: Tensor, cache: LeanCache) -> Tensor:
    attention = StreamAttention(blocks.shape, blocks.rotary, cache, len(rows), blocks.dtype)
    rows = blocks(rows, attention)
    attention.done()
    return rows


def _new_rows(blocks: Blocks, count: int, room: int) -> Rows:
    return Rows.make(blocks.shape, len(blocks.blocks), count, room, dtype=blocks.dtype, device=blocks.device)


def _fill(
    blocks: Blocks, rows: Rows, numbers: Sequence[int], batch: Sequence[Tensor], tokens: Tokens | None
) -> list[Tensor]:
    found, packing = _packed(blocks, batch, tokens, rows.fill(numbers))
    rows.lengths[list(numbers)] = torch.tensor([len(part) for part in batch])
    return packing.whole(found)


def _step(blocks: Blocks, rows: Rows, states: Tensor) -> Tensor:
    found = blocks(states, RowsAttention(blocks.shape, blocks.rotary, rows, len(states)))
    rows.lengths[: len(states)] += 1
    return found
