"""Tiny random models of every supported family, with a byte tokenizer: what tests run instead of a real base.

from nightschool.testing.tiny import save_tiny, tiny, tiny_tokenizer
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VOCABULARY = 260  # 256 bytes, <|im_start|>, <|im_end|>, two spare

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
_EXPERTS = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 2,
    "n_group": 2,
    "topk_group": 1,
}
# Windows are shorter than the sequences of the tests; dense and expert, full and sliding blocks meet in the middle.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _COMMON,
    "qwen2": {**_COMMON, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2},
    "qwen3": {**_COMMON, "head_dim": 8},
    "mistral": {**_COMMON, "sliding_window": 8},
    "deepseek_v2": {**_COMMON, **_EXPERTS},
    "deepseek_v3": {**_COMMON, **_EXPERTS},
}

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny(family: str = "llama", *, seed: int = 0, **changes: Any) -> Any:
    """Return a random causal language model of a family, float32, in evaluation mode.

    The embeddings are wide enough apart, and the norms uneven enough, that a wrong block or a missing norm shows.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    maker: Any = AutoModelForCausalLM
    config = AutoConfig.for_model(family, **{**FAMILIES.get(family, _COMMON), **changes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = maker.from_config(config, dtype=torch.float32).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" in name:
                    parameter.uniform_(0.5, 1.5)
                else:
                    parameter.normal_(std=0.15)
    return model


def tiny_tokenizer(merges: int = 0) -> Any:
    """Return a tokenizer with one token a byte, turn markers and a ChatML template.

    ``merges``: so many pairs more are tokens of their own, learned from the prompts that ship; texts are then about a
    third as long, and the turn markers come after all of them.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = _pairs(merges) if merges else []
    vocabulary = [*alphabet, *("".join(pair) for pair in pairs)]
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    backend = Tokenizer(models.BPE(vocab=numbers, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    maker: Any = PreTrainedTokenizerFast
    tokenizer = maker(
        tokenizer_object=backend,
        **{"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def save_tiny(folder: Path, family: str = "llama", *, merges: int = 0, **changes: Any) -> Path:
    """Write a tiny model and its tokenizer into a folder, as a hub checkpoint would lie there.

    ``merges``: of :func:`tiny_tokenizer`.
    """
    if merges:
        ends = {"bos_token_id": 256 + merges, "eos_token_id": 257 + merges, "pad_token_id": 257 + merges}
        changes = {"vocab_size": VOCABULARY + merges, **ends, **changes}
    tiny(family, **changes).save_pretrained(folder)
    tiny_tokenizer(merges).save_pretrained(folder)
    return folder


def _pairs(count: int) -> list[tuple[str, str]]:
    """Return the first ``count`` merges of a byte-pair encoding of the prompts that ship."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from ..engine.study.prompts import bank

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=256 + count, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator((prompt.text for prompt in bank()), trainer)
    return [(one, other) for one, other in json.loads(learner.to_str())["model"]["merges"]]
