"""The cut: one model as two halves that give, together, the same bits as the whole (DESIGN 2.1).

    ids ──► trunk: embeddings, blocks 0 .. L-k-1 ──► states ──► tail: blocks L-k .. L-1, final norm, head ──► logits

Both halves are stock transformers decoders of the model's own class. They are shallow copies: module objects of their
own, so that a block of the tail can be replaced by one with LoRA and numbered to fit a cache of its own, over the very
tensors of the whole model, so that a cut costs no memory. The uncut model goes on working, untouched.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from .families import slice_config
from .lora import HEAD, Lora, LoraLinear, Place
from .ranked import ranked
from .size import check_cut
from .stock_cache import growing_cache

__all__ = ["StockRows", "StockTail", "StockTrunk", "head_of", "lower", "positions_of", "split", "upper"]


def split(model: PreTrainedModel, cut: int) -> tuple[StockTrunk, StockTail]:
    """Cut a causal language model so that its last ``cut`` blocks, final norm and head form the tail.

    Args:
        model: A ``...ForCausalLM`` of a supported family.
        cut: Number of blocks in the tail, 0 to L; 0 leaves it the final norm and the head.

    Returns:
        Trunk and tail, in evaluation mode, frozen, sharing the model's tensors.

    Raises:
        UnsupportedFamily: If the cut is not proven exact for this architecture.
        UsageError: If the model has no such cut.
    """
    layers = int(model.config.num_hidden_layers)
    check_cut(cut, layers)
    first = layers - cut
    tail_decoder = _part(model, first, layers)
    del tail_decoder.embed_tokens  # the tail is fed states; a server's embeddings need not even be there
    head = cast("Any", model).get_output_embeddings()
    return lower(model, first), StockTail(tail_decoder, _share(head, {}), first)


def head_of(model: PreTrainedModel, *, normed: bool) -> StockTail:
    """Return the tail of no blocks: the final norm, unless states come after it (``normed``), and the head.

    Raises:
        UnsupportedFamily: As of :func:`split`.
    """
    _, tail = split(model, 0)
    if normed:
        tail.decoder.norm = nn.Identity()
    return tail


def lower(model: PreTrainedModel, blocks: int) -> StockTrunk:
    """Return embeddings and the lowest blocks of a model, which may be a decoder without a head and without more."""
    decoder = _part(model, 0, blocks)
    decoder.norm = nn.Identity()
    return StockTrunk(decoder)


def upper(decoder: PreTrainedModel, head: nn.Module, cut: int, layers: int, *, normed: bool) -> StockTail:
    """Return a tail over a decoder of the upper blocks alone, numbered from 0, of a model of so many ``layers``.

    Its embeddings are never used. ``normed``: with no blocks, states come after the final norm.
    """
    held = int(decoder.config.num_hidden_layers)
    part = _part(decoder, held - cut, held)
    del part.embed_tokens
    if normed:
        part.norm = nn.Identity()
    return StockTail(part, _share(head, {}), layers - cut)


class StockTrunk(nn.Module):
    """Embeddings and the lower blocks: from token ids to states."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder: Any = decoder
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return cast("torch.device", self.decoder.embed_tokens.weight.device)

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks, bottom first."""
        return cast("nn.ModuleList", self.decoder.layers)

    def new_cache(self) -> DynamicCache:
        """Return an empty cache for :meth:`extend`."""
        return growing_cache(self.decoder.config)

    def sequences(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the states ``(T, d)`` of whole sequences; alike lengths are computed together."""
        found: dict[int, Tensor] = {}
        for group in _groups([len(tokens) for tokens in batch]):
            ids, mask = _pad([batch[index] for index in group], self.device)
            rows = self.states(ids, mask)
            found.update((index, row[: len(batch[index])]) for index, row in zip(group, rows, strict=True))
        return [found[index] for index in range(len(batch))]

    @torch.no_grad()
    def states(self, ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the states of whole sequences.

        Args:
            ids: ``(B, T)`` int64.
            attention_mask: ``(B, T)``, 0 at padding on either side; positions count the real tokens.

        Returns:
            ``(B, T, d)``; rows of padding are arbitrary.
        """
        positions = None if attention_mask is None else positions_of(attention_mask)
        if not len(self.layers):
            return cast("Tensor", self.decoder.embed_tokens(ids))
        out = self.decoder(
            input_ids=ids, attention_mask=attention_mask, position_ids=positions, use_cache=False, return_dict=True
        )
        return cast("Tensor", out.last_hidden_state)

    @torch.no_grad()
    def extend(self, ids: Tensor, cache: DynamicCache) -> Tensor:
        """Append tokens ``(1, T)`` to what ``cache`` holds and return their states ``(1, T, d)``.

        ``cache`` comes from :meth:`new_cache`.
        """
        if not len(self.layers):
            return cast("Tensor", self.decoder.embed_tokens(ids))
        out = self.decoder(input_ids=ids, past_key_values=cache, use_cache=True, return_dict=True)
        return cast("Tensor", out.last_hidden_state)

    def extend_together(self, batch: Sequence[Sequence[int]], caches: Sequence[DynamicCache]) -> list[Tensor]:
        """Append tokens to each of several caches, one after another, and return their states ``(T, d)``."""
        ids = [torch.tensor([list(tokens)], device=self.device) for tokens in batch]
        return [self.extend(one, cache)[0] for one, cache in zip(ids, caches, strict=True)]

    def new_rows(self, count: int, room: int) -> StockRows:
        """Return empty streams for :meth:`fill` and :meth:`step`; stock caches need no room."""
        return StockRows([self.new_cache() for _ in range(count)])

    def fill(self, rows: StockRows, numbers: Sequence[int], batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Begin the rows anew with whole sequences and return their states ``(T, d)``."""
        found = []
        for number, tokens in zip(numbers, batch, strict=True):
            rows.caches[number] = self.new_cache()
            found.append(self.extend(torch.tensor([list(tokens)], device=self.device), rows.caches[number])[0])
        return found

    def step(self, rows: StockRows, tokens: Tensor) -> Tensor:
        """Append one token to each of the first ``(n,)`` rows and return their states ``(n, d)``."""
        return torch.cat([self.extend(tokens[i, None, None], rows.caches[i])[0] for i in range(len(tokens))])


class StockTail(nn.Module):
    """The upper blocks, final norm and head: from states to logits. Carries the LoRA; differentiable.

    Attributes:
        first_layer: Number, in the whole model, of the lowest block here.
        head: From ``(..., d)`` after the final norm to logits ``(..., V)``.
    """

    def __init__(self, decoder: nn.Module, head: nn.Module, first_layer: int) -> None:
        super().__init__()
        self.decoder: Any = decoder
        self.head = head
        self.first_layer = first_layer
        self._last: Place = (first_layer + len(decoder.layers), HEAD)  # type: ignore[arg-type]
        self._lora: Lora | None = None
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return cast("torch.device", self.head.weight.device)

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks; ``layers[i]`` is block ``first_layer + i`` of the whole model."""
        return cast("nn.ModuleList", self.decoder.layers)

    def new_cache(self) -> DynamicCache:
        """Return an empty cache for :meth:`hidden`."""
        return growing_cache(self.decoder.config)

    def shapes(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of every projection that can carry an update: the linear layers outside experts."""
        found: dict[Place, tuple[int, int]] = {}
        for number, block in enumerate(self.layers):
            for path, module in block.named_modules():
                linear = module.linear if isinstance(module, LoraLinear) else module
                own = path.rpartition(".")[2] not in ("linear", "lora")
                if own and isinstance(linear, nn.Linear) and ".experts." not in path:
                    found[(self.first_layer + number, path)] = (linear.out_features, linear.in_features)
        return found

    def final(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of the update of the final state."""
        width = cast("Tensor", self.head.weight).shape[1]
        return {self._last: (width, width)}

    def carry(self, loras: Mapping[Place, Lora]) -> None:
        """Speak with these updates, in place of those before."""
        for block in self.layers:
            for path, module in list(block.named_modules()):
                if isinstance(module, LoraLinear):
                    _put(block, path, module.linear)
        self._lora = loras.get(self._last)
        for (layer, path), lora in loras.items():
            if (layer, path) == self._last:
                continue
            block = self.layers[layer - self.first_layer]
            linear = cast("nn.Linear", block.get_submodule(path))
            _put(block, path, LoraLinear(linear, lora))

    def sequences(self, batch: Sequence[Tensor], tokens: Sequence[Sequence[int]] | None = None) -> list[Tensor]:
        """Return rows after the final norm, ``(T, d)``, for states ``(T, d)`` of whole sequences; no use of tokens."""
        # Padded on the right: causal attention never looks there.
        dtype = cast("Tensor", self.head.weight).dtype
        hidden = self.hidden(nn.utils.rnn.pad_sequence([states.to(dtype) for states in batch], batch_first=True))
        return [rows[: len(states)] for rows, states in zip(hidden, batch, strict=True)]

    def extend(self, states: Tensor, cache: DynamicCache) -> Tensor:
        """Append states ``(1, T, d)`` and return their rows after the final norm, ``(1, T, d)``."""
        return self.hidden(states, cache=cache)

    def new_rows(self, count: int, room: int) -> StockRows:
        """Return empty streams for :meth:`fill` and :meth:`step`; stock caches need no room."""
        return StockRows([self.new_cache() for _ in range(count)])

    def fill(
        self,
        rows: StockRows,
        numbers: Sequence[int],
        batch: Sequence[Tensor],
        tokens: Sequence[Sequence[int]] | None = None,
    ) -> list[Tensor]:
        """Begin the rows anew with the states of whole sequences; return their rows after the final norm."""
        for number in numbers:
            rows.caches[number] = self.new_cache()
        return [self.extend(s[None], rows.caches[number])[0] for number, s in zip(numbers, batch, strict=True)]

    def step(self, rows: StockRows, states: Tensor) -> Tensor:
        """Append one state to each of the first rows, ``(n, d)``, and return their rows after the final norm."""
        return torch.cat([self.extend(states[i, None, None], rows.caches[i])[0] for i in range(len(states))])

    def hidden(self, states: Tensor, mask: Tensor | None = None, cache: DynamicCache | None = None) -> Tensor:
        """Run the blocks and the final norm.

        Args:
            states: ``(B, T, d)`` from the trunk.
            mask: ``(B, T)``, 0 at padding, if there is no cache; None: no padding.
            cache: Appended to, if given.

        Returns:
            ``(B, T, d)``, what the head takes.
        """
        states = states.to(cast("Tensor", self.head.weight).dtype)  # a provider may give them in other numbers
        if not len(self.layers):
            return self._updated(cast("Tensor", self.decoder.norm(states)))
        out = self.decoder(
            inputs_embeds=states,
            attention_mask=mask,
            position_ids=None if mask is None else positions_of(mask),
            past_key_values=cache,
            use_cache=cache is not None,
            return_dict=True,
        )
        return self._updated(cast("Tensor", out.last_hidden_state))

    def _updated(self, rows: Tensor) -> Tensor:
        return rows if self._lora is None or self._lora.scale == 0.0 else rows + self._lora(rows)

    def ranked(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., V)`` in fp32 of which a word can be chosen; see ``engine/base/ranked.py``."""
        logits = cast("Tensor", self.head(rows))
        if logits.dtype == torch.float32:
            return logits
        return ranked(logits, rows, cast("Tensor", self.head.weight), cast("Tensor | None", self.head.bias))

    def forward(self, states: Tensor, mask: Tensor | None = None, cache: DynamicCache | None = None) -> Tensor:
        """Return logits ``(B, T, V)`` of every position; see :meth:`hidden` and ``head`` for the two steps."""
        return cast("Tensor", self.head(self.hidden(states, mask, cache)))


@dataclass
class StockRows:
    """Many streams of different lengths: a stock cache each, since a padded one could not drop a window's past."""

    caches: list[DynamicCache]

    def move(self, source: int, target: int) -> None:
        """Let one row take the place of another, which stays as it is."""
        self.caches[target] = copy.deepcopy(self.caches[source])


def positions_of(mask: Tensor) -> Tensor:
    """Return ``(B, T)`` positions that count the real tokens of a padding mask, whichever side is padded."""
    return (mask.long().cumsum(dim=-1) - 1).clamp_(min=0)


def _part(model: PreTrainedModel, first: int, stop: int) -> Any:
    """Return the model's inner decoder with the blocks ``first`` to ``stop`` alone, numbered from 0."""
    whole = cast("Any", model).get_decoder()
    config = slice_config(model.config, first, stop)
    memo: dict[int, nn.Parameter] = {}
    decoder = _share(whole, memo, leave_out=whole.layers)
    decoder.config = config
    decoder.layers = nn.ModuleList(_share(layer, memo) for layer in whole.layers[first:stop])
    for number, layer in enumerate(decoder.layers):
        cast("Any", layer).self_attn.layer_idx = number
    return decoder


def _share(module: nn.Module, memo: dict[int, nn.Parameter], leave_out: nn.Module | None = None) -> Any:
    """Return a copy of a module tree: module objects of its own, frozen parameters over the same memory.

    Every dictionary of the module is copied, so that hooks, children and parameters set on the copy stay there.
    """
    twin = module.__class__.__new__(module.__class__)
    twin.__dict__ = {key: value.copy() if isinstance(value, dict) else value for key, value in vars(module).items()}
    for name, parameter in module._parameters.items():
        if parameter is not None:
            frozen = memo.setdefault(id(parameter), nn.Parameter(parameter.detach(), requires_grad=False))
            twin._parameters[name] = frozen
    for name, child in module._modules.items():
        if child is not None and child is not leave_out:
            twin._modules[name] = _share(child, memo)
    return twin


_BATCH_TOKENS = 4096  # padded tokens in one forward pass: enough to fill the cores, little memory


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Give the numbers of sequences in groups of like length, shortest first, each small enough."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if group and (len(group) + 1) * lengths[index] > _BATCH_TOKENS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _pad(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return ids ``(B, T)``, padded on the right, and their mask, None if nothing had to be padded."""
    width = max(map(len, sequences))
    ids = torch.tensor([[*tokens, *[0] * (width - len(tokens))] for tokens in sequences], device=device)
    if all(len(tokens) == width for tokens in sequences):
        return ids, None
    return ids, torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in sequences], device=device)


def _put(block: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(block.get_submodule(parent), name, module)
