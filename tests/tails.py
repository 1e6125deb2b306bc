"""A tail-only base made of a whole one, as a pull would leave it: what tests of the halves run on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from nightschool.engine.base.library import load
from nightschool.engine.base.weights import CARD, shard_files, write_manifest


def save_tail(whole: Path, folder: Path, upper: int) -> Path:
    """Write the last ``upper`` blocks of a base, final norm and head into a folder, with its card."""
    card = load(whole).card
    folder.mkdir()
    for path in whole.iterdir():
        if path.suffix in (".json", ".jinja") and path.name != "model.safetensors.index.json":
            shutil.copyfile(path, folder / path.name)
    (folder / CARD).write_text(card.model_dump_json())
    held = {}
    for path in shard_files(whole):
        with safe_open(path, framework="pt") as shard:
            held |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118 - a reader
    embeddings = set() if "lm_head.weight" in held else {"model.embed_tokens.weight"}
    kept = {name: tensor for name, tensor in held.items() if name in embeddings or _is_upper(name, card.layers - upper)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    write_manifest(folder, folder.name, upper)
    return folder


def _is_upper(name: str, first: int) -> bool:
    block = re.match(r"model\.layers\.(\d+)\.", name)
    return int(block[1]) >= first if block else name != "model.embed_tokens.weight"
