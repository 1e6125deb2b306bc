"""The cut: one model as two halves that give, together, the same bits as the whole (DESIGN 2.1).

    ids ──► Trunk: embeddings, blocks 0 .. L-k-1 ──► states ──► Tail: blocks L-k .. L-1, final norm, head ──► logits

Both halves are stock transformers decoders of the model's own class. They are shallow copies: module objects of their
own, so that a block of the tail can be replaced by one with LoRA and numbered to fit a cache of its own, over the very
tensors of the whole model, so that a cut costs no memory. The uncut model goes on working, untouched.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from ...schemas.errors import UsageError
from .cache import crop, growing_cache
from .families import slice_config

__all__ = ["Tail", "Trunk", "crop", "positions_of", "split"]


def split(model: PreTrainedModel, cut: int) -> tuple[Trunk, Tail]:
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
    if not 0 <= cut <= layers:
        raise UsageError(f"The cut must lie between 0 and {layers}, the number of blocks of this base, not at {cut}.")
    first = layers - cut
    trunk_decoder = _part(model, 0, first)
    trunk_decoder.norm = nn.Identity()
    tail_decoder = _part(model, first, layers)
    del tail_decoder.embed_tokens  # the tail is fed states; a server's embeddings need not even be there
    head = cast("Any", model).get_output_embeddings()
    return Trunk(trunk_decoder), Tail(tail_decoder, _share(head, {}), first)


class Trunk(nn.Module):
    """Embeddings and the lower blocks: from token ids to states."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder: Any = decoder
        self.eval()

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks, bottom first."""
        return cast("nn.ModuleList", self.decoder.layers)

    def new_cache(self) -> DynamicCache:
        """Return an empty cache for :meth:`extend`."""
        return growing_cache(self.decoder.config)

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
    def extend(self, ids: Tensor, cache: DynamicCache, mask: Tensor | None = None) -> Tensor:
        """Append tokens to what ``cache`` holds and return their states.

        Args:
            ids: ``(B, T)`` int64.
            cache: From :meth:`new_cache`; holds ``S`` tokens of each sequence.
            mask: ``(B, S + T)``, 0 at padding; None: no padding.

        Returns:
            ``(B, T, d)``.
        """
        if not len(self.layers):
            return cast("Tensor", self.decoder.embed_tokens(ids))
        positions = None if mask is None else positions_of(mask)[:, -ids.shape[1] :]
        out = self.decoder(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
        )
        return cast("Tensor", out.last_hidden_state)


class Tail(nn.Module):
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
        self.eval()

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks; ``layers[i]`` is block ``first_layer + i`` of the whole model."""
        return cast("nn.ModuleList", self.decoder.layers)

    def new_cache(self) -> DynamicCache:
        """Return an empty cache for :meth:`hidden`."""
        return growing_cache(self.decoder.config)

    def hidden(
        self,
        states: Tensor,
        mask: Tensor | None = None,
        cache: DynamicCache | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Run the blocks and the final norm.

        Args:
            states: ``(B, T, d)`` from the trunk.
            mask: ``(B, S + T)``, 0 at padding, where ``S`` is what the cache holds; None: no padding.
            cache: Appended to, if given.
            positions: ``(B, T)`` int64; None: they follow from the mask, or from what the cache holds.

        Returns:
            ``(B, T, d)``, what the head takes.
        """
        if not len(self.layers):
            return cast("Tensor", self.decoder.norm(states))
        if positions is None and mask is not None:
            positions = positions_of(mask)[:, -states.shape[1] :]
        out = self.decoder(
            inputs_embeds=states,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            return_dict=True,
        )
        return cast("Tensor", out.last_hidden_state)

    def forward(self, states: Tensor, mask: Tensor | None = None, cache: DynamicCache | None = None) -> Tensor:
        """Return logits ``(B, T, V)`` of every position; see :meth:`hidden` and ``head`` for the two steps."""
        return cast("Tensor", self.head(self.hidden(states, mask, cache)))


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
