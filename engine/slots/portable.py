"""A generation for other programs: a plain PEFT folder, a GGUF LoRA with a Modelfile, or a whole model.

Each is written whole or not at all, into a folder that was not there before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import UnsupportedFamily, UsageError
from ..base.tensor_list import TENSORS, is_tied
from ..base.weights import CARD, MANIFEST, read_config, shard_files, sync_files
from ..files import storage_errors
from . import generations

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from .adapter import Adapter, Factors

GGUF = "adapter.gguf"
MODELFILE = "Modelfile"

_ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""What llama.cpp calls a family; those of others have projections that are laid out in ways of their own."""
_TENSORS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def export_peft(generation: Path, target: Path, finish: Callable[[Path], object] | None = None) -> None:
    """Copy the PEFT folder of a generation.

    Args:
        generation: The folder.
        target: Where it goes.
        finish: Adds to the copy before it is there.

    Raises:
        UsageError: If ``target`` is there already.
        StorageError: If it cannot be written.
    """
    with _new(target) as part:
        for name in (generations.WEIGHTS, generations.CONFIG):
            shutil.copyfile(generation / name, part / name)
        if finish is not None:
            finish(part)


def export_head(adapter: Adapter, base: Path, target: Path, name: str) -> None:
    """Write a head adapter as a PEFT folder: LoRA on the head, whose B is the head's weight times ``up``.

    The rank is the same, the file larger: B has a row for every token. With PEFT the base speaks alike. It must not be
    merged into a base whose head is its table of embeddings, for that would change what goes in as well.

    Args:
        adapter: A head adapter.
        base: Folder of the base.
        target: The folder.
        name: Of the base, for people.

    Raises:
        UsageError: If ``target`` is there already.
        ModelDamaged: If the base does not read.
        StorageError: If it cannot be written.
    """
    import json

    from safetensors.torch import save_file

    down, up = head_lora(adapter, base)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": name,
        "r": adapter.rank,
        "lora_alpha": adapter.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["lm_head"],
        "inference_mode": True,
    }
    stem = "base_model.model.lm_head"
    tensors = {f"{stem}.lora_A.weight": down.contiguous(), f"{stem}.lora_B.weight": up.contiguous()}
    with _new(target) as part:
        save_file(tensors, part / generations.WEIGHTS, metadata={"format": "pt"})
        (part / generations.CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def head_lora(adapter: Adapter, base: Path) -> tuple[Tensor, Tensor]:
    """Return what a head adapter is as LoRA on the head: A ``(r, d)`` and B ``(V, r)``, fp32."""
    from ..base.lean.model import head_weight
    from ..base.weights import Tensors

    (factors,) = adapter.factors.values()
    return factors.down, head_weight(Tensors(base)).float() @ factors.up


def export_gguf(adapter: Adapter, base: Path, target: Path, *, name: str, system: str, temperature: float) -> None:
    """Write a LoRA as llama.cpp takes it (``--lora``), and a Modelfile for Ollama.

    Args:
        adapter: Of the portable profile, so that its scale there is 1.
        base: Folder of the base, whose configuration says how its projections are laid out.
        target: The folder.
        name: Of the base, for people.
        system: The slot's system prompt; empty: none.
        temperature: The slot's.

    Raises:
        UnsupportedFamily: If llama.cpp lays out this family's projections in ways that are not known here.
        UsageError: If ``target`` is there already.
        StorageError: If it cannot be written.
    """
    import gguf

    if adapter.is_head:
        raise UsageError(
            "This slot has learned in a head adapter, which llama.cpp has no place for; export it as PEFT, or compute "
            "here and study its lessons in a new slot."
        )
    config = read_config(base)
    family = str(config.get("model_type"))
    if family not in _ARCHITECTURES or any(path not in _TENSORS for _, path in adapter.factors):
        raise UnsupportedFamily(f"A LoRA for {family} cannot be written as GGUF; export it as PEFT or merged.")
    with _new(target) as part:
        writer = gguf.GGUFWriter(part / GGUF, _ARCHITECTURES[family])
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(adapter.rank))
        writer.add_name(f"{name} with a LoRA of Night School")
        for (layer, path), factors in adapter.factors.items():
            stem = f"blk.{layer}.{_TENSORS[path]}.weight"
            writer.add_tensor(f"{stem}.lora_a", factors.down.contiguous().numpy())
            writer.add_tensor(f"{stem}.lora_b", _laid_out(factors.up, path, config))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        (part / MODELFILE).write_text(_modelfile(name, system, temperature), encoding="utf-8")


def export_merged(adapter: Adapter, base: Path, target: Path) -> None:
    """Write the whole base with an adapter merged into its weights, which keep the numbers they are stored in.

    Raises:
        UsageError: If ``target`` is there already.
        ModelDamaged: If the base does not read, or lacks a weight that the adapter is for.
        StorageError: If it cannot be written.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    updates = _by_name(adapter, base)
    shards = shard_files(base)
    with _new(target) as part:
        for file in sorted(base.iterdir()):
            own = file.name in (MANIFEST, CARD, TENSORS) or file.name.startswith(("packed-", "."))
            if file.is_file() and file not in shards and not own:
                shutil.copyfile(file, part / file.name)
        for shard in shards:
            with safe_open(shard, framework="pt") as held:
                merged = {key: _added(held.get_tensor(key), updates.pop(key, None)) for key in held.keys()}  # noqa: SIM118
            save_file(merged, part / shard.name, metadata={"format": "pt"})
        if updates:
            raise UsageError(f"The base has no weight {min(updates)}; export with the base that the slot learned on.")


def _by_name(adapter: Adapter, base: Path) -> dict[str, Factors]:
    """Return updates by the names of the weights that they are for.

    Raises:
        UsageError: If the one of a head adapter cannot be merged.
    """
    from .adapter import Factors

    if not adapter.is_head:
        return {f"model.layers.{layer}.{path}.weight": factors for (layer, path), factors in adapter.factors.items()}
    if is_tied(base):
        raise UsageError(
            "This slot has learned in a head adapter, and the head of this base is its table of embeddings, so that "
            "nothing can be merged into it; export it as PEFT."
        )
    down, up = head_lora(adapter, base)
    return {"lm_head.weight": Factors(down, up)}


def _added(weight: Tensor, factors: Factors | None) -> Tensor:
    """Return a weight with its update, in the numbers that it is stored in."""
    return weight if factors is None else (weight.float() + factors.up @ factors.down).to(weight.dtype)


def _laid_out(up: Tensor, path: str, config: Mapping[str, Any]) -> NDArray[Any]:
    """Return LoRA's B with its rows as llama.cpp has them.

    There the two halves of a rotated head are interleaved in architecture ``llama``, as in the original weights.
    """
    rows = up.contiguous()
    if _ARCHITECTURES[config["model_type"]] == "llama" and path in ("self_attn.q_proj", "self_attn.k_proj"):
        key = "num_attention_heads" if path.endswith("q_proj") else "num_key_value_heads"
        heads = int(config.get(key) or config["num_attention_heads"])
        rows = rows.view(heads, 2, len(rows) // heads // 2, -1).transpose(1, 2).reshape(rows.shape)
    array: NDArray[Any] = rows.contiguous().numpy()
    return array


def _modelfile(name: str, system: str, temperature: float) -> str:
    lines = [f"# The base is {name}: put its GGUF file beside this one, or name it as Ollama knows it."]
    lines += ["FROM ./base.gguf", f"ADAPTER ./{GGUF}", f"PARAMETER temperature {temperature:g}"]
    if system:
        quoted = system.replace('"""', "'''")
        lines.append(f'SYSTEM """{quoted}"""')
    return "\n".join(lines) + "\n"


@contextmanager
def _new(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes ``target`` as a whole when the block ends, or vanishes if it raises."""
    whole = target.expanduser().absolute()
    if os.path.lexists(whole):
        raise UsageError(f"{target} is there already; name a folder that is not.")
    with storage_errors(whole):
        whole.parent.mkdir(parents=True, exist_ok=True)
        with generations.new_folder(whole.parent, whole.name) as part:
            yield part
            sync_files(part)
