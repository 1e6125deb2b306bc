"""A tiny random model as a GGUF file, written as llama.cpp's converter writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightschool.tests.tiny import TEMPLATE, tiny, tiny_tokenizer

_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def save_tiny_gguf(path: Path, family: str = "llama", *, kind: str = "F32", **changes: Any) -> Any:
    """Write a tiny model of a family into a GGUF file, its matrices packed as ``kind``; return the model."""
    import gguf

    model = tiny(family, intermediate_size=64, **changes)
    writer = gguf.GGUFWriter(path, family)
    _describe(writer, model.config)
    _tokens(writer)
    packed = gguf.GGMLQuantizationType[kind]
    for name, tensor in model.state_dict().items():
        data = _as_stored(name, tensor, model.config, family)
        raw = gguf.GGMLQuantizationType.F32 if data.ndim == 1 else packed
        writer.add_tensor(_gguf_name(name), gguf.quants.quantize(data, raw), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _describe(writer: Any, config: Any) -> None:
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _tokens(writer: Any) -> None:
    tokenizer = tiny_tokenizer()
    known = {number: token for token, number in tokenizer.get_vocab().items()} | {258: "ab"}
    size = 260
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([known.get(number, f"<spare{number}>") for number in range(size)])
    writer.add_token_types([1 if number < 256 or number == 258 else 3 for number in range(size)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_chat_template(TEMPLATE)


def _gguf_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.{kind}"
    number, _, part = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{_BLOCK[part]}.{kind}"


def _as_stored(name: str, tensor: Any, config: Any, family: str) -> Any:
    """Return a tensor as numpy, the rows of llama's queries and keys in llama.cpp's order."""
    data = tensor.float().numpy()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for part, count in heads.items():
        if family == "llama" and part in name:
            rows = data.reshape(count, 2, data.shape[0] // count // 2, *data.shape[1:])
            data = rows.swapaxes(1, 2).reshape(data.shape)
    return data
