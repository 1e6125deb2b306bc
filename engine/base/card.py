"""Base cards: a base named by what it computes, and the probe that tells whether it still computes it (DESIGN 3.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from ...schemas.cards import BaseCard, Probe
from ...schemas.errors import BaseMismatch, ModelDamaged
from ...schemas.hsp import TensorEntry
from .tensor_list import canonical, hash_of, list_tensors

if TYPE_CHECKING:
    from .halves import Tail
    from .provider import Provider

# Prose, arithmetic, code, accents and another script: a wrong tokenizer or a bad quantisation shows in one of them.
PROBE_TEXT = (
    "The night school opens at seven. Its first lesson is short: 12 + 30 = 42.\n"
    "def greet(name):\n    return f'Bonjour, {name}, ça va très bien ?'\n夜の学校"
)
PROBE_TOP = 20

# Mean distance, in nats, above which a base is not the one its card describes. Measured on the default model: computed
# in bfloat16 throughout it lies at 0.06, with its matrices rounded to 8 bits a row at 0.13, to 4 bits at 1.9.
PROBE_LIMIT = 0.1

# What the forward pass depends on, apart from the tensors. Listed by name, so that a field which a later transformers
# adds to its configurations does not change the fingerprint of a model that did not change.
_SHAPE_FIELDS = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps", "hidden_act"),
    *("tie_word_embeddings", "attention_bias", "mlp_bias", "rope_parameters", "sliding_window", "layer_types"),
    *("first_k_dense_replace", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
    *("n_routed_experts", "n_shared_experts", "num_experts_per_tok", "moe_intermediate_size", "n_group", "topk_group"),
    *("topk_method", "norm_topk_prob", "routed_scaling_factor", "rope_interleave"),
)


def make_card(
    folder: Path,
    model: Any,
    tokenizer: Any,
    *,
    name: str,
    source: str = "",
    licence: str = "",
    entries: Sequence[TensorEntry] | None = None,
) -> BaseCard:
    """Describe a loaded base.

    Args:
        folder: Where its safetensors files lie; the tensors are hashed as they are stored.
        model: The causal language model loaded from it.
        tokenizer: Its tokenizer.
        name: What people call it.
        source: Where the weights came from, in words.
        licence: SPDX name, if known.
        entries: The list of its tensors; None: it is made, which reads them all.
    """
    config = model.config
    listed = list_tensors(folder, tied=bool(config.tie_word_embeddings)) if entries is None else entries
    hashes = hashes_of(config, tokenizer, listed)
    return BaseCard(
        fingerprint=fingerprint_of(hashes),
        name=name,
        family=config.model_type,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        config_hash=hashes[0],
        tokenizer_hash=hashes[1],
        template_hash=hashes[2],
        tensors_hash=hashes[3],
        end_of_turn=end_of_turn(model, tokenizer),
        probe=make_probe(model, tokenizer),
        source=source,
        licence=licence,
    )


def hashes_of(config: Any, tokenizer: Any, entries: Sequence[TensorEntry]) -> tuple[str, str, str, str]:
    """Return the four hashes of a card: of configuration, tokenizer, chat template and tensors."""
    shape = _sha256(canonical({field: getattr(config, field, None) for field in _SHAPE_FIELDS}))
    return (shape, *_tokenizer_hashes(tokenizer), hash_of(entries))


def fingerprint_of(hashes: Sequence[str]) -> str:
    """Return the fingerprint over the four hashes of a card."""
    return _sha256("".join(hashes).encode())


def same_tokenizer(card: BaseCard, tokenizer: Any) -> bool:
    """Whether a tokenizer turns text into tokens, and tokens into text, as the one that the card was made with."""
    return (
        _tokenizer_hashes(tokenizer) == (card.tokenizer_hash, card.template_hash)
        and tokenizer.encode(PROBE_TEXT, add_special_tokens=False) == card.probe.tokens
        and tokenizer.decode(card.probe.tokens) == PROBE_TEXT
    )


def end_of_turn(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a reply: the declared ends of text, and what the chat template puts after a reply.

    Raises:
        ModelDamaged: If one of them is not a token of the model, or the template does not render.
    """
    ends: list[Any] = []
    for declared in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        ends += declared if isinstance(declared, list) else [declared]
    found = [end for end in (*ends, _closing_token(tokenizer)) if end is not None]
    for end in found:
        if not isinstance(end, int) or not 0 <= end < model.config.vocab_size:
            raise ModelDamaged(f"The model ends its replies with {end!r}, which is no token of it; fetch it again.")
    return sorted(set(found))


@torch.no_grad()
def make_probe(model: Any, tokenizer: Any) -> Probe:
    """Record what a base predicts after every prefix of the probe text."""
    tokens = tokenizer.encode(PROBE_TEXT, add_special_tokens=False)
    logits = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0]
    top = logits.float().log_softmax(dim=-1).topk(min(PROBE_TOP, logits.shape[-1]))
    return Probe(tokens=tokens, top_ids=top.indices.tolist(), top_logprobs=top.values.tolist())


def probe_distance(probe: Probe, logits: Tensor) -> float:
    """Return how far ``logits``, ``(T, V)``, lie from the reference: mean absolute nats of log-probability."""
    ids = torch.tensor(probe.top_ids, device=logits.device)
    expected = torch.tensor(probe.top_logprobs, device=logits.device)
    return (logits.float().log_softmax(dim=-1).gather(-1, ids) - expected).abs().mean().item()


@torch.no_grad()
async def check_probe(card: BaseCard, provider: Provider, tail: Tail, *, limit: float = PROBE_LIMIT) -> float:
    """Run the card's probe through a provider and the caller's tail, and return the measured distance in nats.

    Raises:
        BaseMismatch: If together they do not compute what the card says.
    """
    (states,) = await provider.states([card.probe.tokens], cut=card.layers - tail.first_layer)
    if states.rows.shape != (len(card.probe.tokens), card.width):
        raise BaseMismatch(
            f"The provider gives states of shape {tuple(states.rows.shape)} where {card.name} has width {card.width}; "
            "use the provider of the same base."
        )
    distance = probe_distance(card.probe, tail.ranked(tail.sequences([states.rows.to(tail.device)])[0]))
    if not distance <= limit:  # also when it is not a number
        raise BaseMismatch(
            f"The base that answers is not {card.name} ({card.short}): its predictions lie {distance:.2g} nats "
            f"from the card's, more than {limit:g}; use the same model, revision and precision."
        )
    return distance


def _closing_token(tokenizer: Any) -> int | None:
    """Return the special token that the chat template puts right after an assistant's words, if there is one.

    Raises:
        ModelDamaged: If the template cannot render a question and its answer.
    """
    if not tokenizer.chat_template:
        return None
    words = "Seven."
    turns = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": words}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except TemplateError as error:
        raise ModelDamaged(f"The model's chat template does not render ({error}); fetch the model again.") from error
    _, found, rest = text.rpartition(words)
    after = tokenizer.encode(rest, add_special_tokens=False) if found else []
    return int(after[0]) if after and after[0] in tokenizer.added_tokens_decoder else None


def _tokenizer_hashes(tokenizer: Any) -> tuple[str, str]:
    """Return the hashes of what it does and of its chat template."""
    return _sha256(canonical(_tokenizer_content(tokenizer))), _sha256(canonical(tokenizer.chat_template))


def _tokenizer_content(tokenizer: Any) -> Any:
    """Return what decides how text becomes ids, without the settings that callers change, such as padding."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    content = json.loads(backend.to_str())
    return {key: content.get(key) for key in ("model", "normalizer", "pre_tokenizer", "added_tokens")}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
