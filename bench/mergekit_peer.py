"""What mergekit makes of whole checkpoints: of the base with each adapter merged into it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

Products = Mapping[tuple[int, str], Tensor]

HOW = "mergekit is left out; it comes with: pip install --no-deps mergekit immutables accelerate"
METHODS: dict[str, tuple[str, str]] = {
    "linear": ("linear", "sum"),
    "ties": ("ties", "ties"),
    "dare_linear": ("dare_linear", "sum"),
}
"""Its method and what is wanted of it, by the name of the row."""


def is_there() -> bool:
    """Whether mergekit can be imported."""
    try:
        import mergekit.merge  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def merged_by_mergekit(
    base: Path, parts: Sequence[Products], weights: Sequence[float], density: float, folder: Path
) -> dict[str, tuple[Products, float, int]]:
    """Return what each method adds to the base's weights, the seconds it took, and 0, for it has no rank.

    Args:
        base: Folder of the base, in fp32.
        parts: The updates, by layer and projection.
        weights: Of the parts.
        density: For the methods that trim or drop.
        folder: A new one, for some checkpoints.
    """
    folder.mkdir()
    plain = load_file(base / "model.safetensors")
    for number, products in enumerate(parts):
        _write(base, folder / str(number), plain | {_name(p): plain[_name(p)] + products[p] for p in products})
    found = {}
    for row, (method, _) in METHODS.items():
        began = time.perf_counter()
        _run(method, base, [folder / str(number) for number in range(len(parts))], weights, density, folder / row)
        seconds = time.perf_counter() - began
        merged = _read(folder / row)
        found[row] = ({place: merged[_name(place)] - plain[_name(place)] for place in parts[0]}, seconds, 0)
    return found


def _run(
    method: str, base: Path, parts: Sequence[Path], weights: Sequence[float], density: float, target: Path
) -> None:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    more = {} if method == "linear" else {"density": density}
    said: dict[str, Any] = {
        "merge_method": method,
        "dtype": "float32",
        "models": [
            {"model": str(part), "parameters": {"weight": weight, **more}}
            for part, weight in zip(parts, weights, strict=True)
        ],
    }
    if method != "linear":
        said["base_model"] = str(base)
    how = MergeOptions(copy_tokenizer=False, write_model_card=False, random_seed=0, quiet=True)
    run_merge(MergeConfiguration.model_validate(said), str(target), how)


def _write(base: Path, folder: Path, tensors: dict[str, Tensor]) -> None:
    folder.mkdir()
    for file in base.iterdir():
        if file.suffix == ".json" and "index" not in file.name:
            (folder / file.name).symlink_to(file.resolve())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _read(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


def _name(place: tuple[int, str]) -> str:
    return f"model.layers.{place[0]}.{place[1]}.weight"
