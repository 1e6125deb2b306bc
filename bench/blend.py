"""Merging adapters: ours against PEFT's ``add_weighted_adapter`` and mergekit, all measured on the true products.

    python bench/blend.py --json

Adapters of a real base's shapes, random unless folders are named (the slots of a profile will do). What is wanted is
what each method says of the weights' own changes, computed on full matrices; an error is the distance from that in the
Frobenius norm, over all projections. PEFT's ``linear``, ``ties`` and ``dare_linear`` work on A and B apart; ``svd`` and
``ties_svd`` are its ways through the product. mergekit, where it is installed, is given whole checkpoints, the base
with each adapter merged into it, and what it adds to the base is read from the checkpoint that it writes. DARE drops
by chance, so that all are compared with the plain sum, which they mean.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nightschool.bench import mergekit_peer
from nightschool.bench.timed import tell
from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import find_home
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.threads import use_all_cores
from nightschool.schemas.records import MergeOptions

Products = Mapping[tuple[int, str], Tensor]

DENSITY = 0.5
OURS: dict[str, tuple[str, dict[str, Any], str]] = {
    "exact": ("exact", {}, "sum"),
    "compact_half_rank": ("compact", {"rank": 0.5}, "sum"),
    "slerp": ("slerp", {}, "slerp"),
    "ties": ("ties", {"density": DENSITY}, "ties"),
    "ties_four_times_rank": ("ties", {"density": DENSITY, "rank": 4.0}, "ties"),
    "dare": ("dare", {"density": DENSITY}, "sum"),
}
"""Strategy, options (rank: times the ranks of the parents together) and what is wanted, by the name of the row."""
THEIRS: dict[str, tuple[dict[str, Any], str]] = {
    "linear": ({}, "sum"),
    "cat": ({}, "sum"),
    "svd": ({}, "sum"),
    "ties": ({"density": DENSITY}, "ties"),
    "ties_svd": ({"density": DENSITY}, "ties"),
    "dare_linear": ({"density": DENSITY}, "sum"),
}


def main() -> int:
    """Merge in every way and print one line for each."""
    options = _options()
    use_all_cores()
    base = load(prepare(options.model, find_home(), lambda stage, fraction: None))
    weights = [float(weight) for weight in options.weights.split(",")]
    with tempfile.TemporaryDirectory(prefix="nightschool-blend-") as name:
        folders = [Path(folder) for folder in options.adapters] or _random(base, Path(name), options.rank, options.cut)
        adapters = [Adapter.load(folder) for folder in folders]
        wanted = _wanted(adapters, weights)
        ours = {name: _ours(adapters, weights, *OURS[name][:2]) for name in OURS}
        sides: list[tuple[str, Any, Mapping[str, tuple[Any, ...]]]] = [("blend", ours, OURS)]
        if mergekit_peer.is_there():
            parts = [_products(adapter) for adapter in adapters]
            whole = mergekit_peer.merged_by_mergekit(base.folder, parts, weights, DENSITY, Path(name) / "whole")
            sides.append(("mergekit", whole, mergekit_peer.METHODS))
        else:
            print(mergekit_peer.HOW, file=sys.stderr)
        sides.append(("peft", _theirs(base.model, folders, weights), THEIRS))
        for side, found, rows in sides:
            for name, (products, seconds, rank) in found.items():
                error = _distance(products, wanted[rows[name][-1]])
                row = {"name": f"{side}_error_{name}", "value": error, "seconds": seconds, "wanted": rows[name][-1]}
                tell({**row, "rank": rank} if rank else row, options.json)
    return 0


def _random(base: Any, folder: Path, rank: int, cut: int) -> list[Path]:
    tail = open_tail(base, cut or default_cut(base.card.layers))
    found = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        made = {
            place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.02)
            for place, f in new_adapter(tail, rank, seed=seed).factors.items()
        }
        (folder / str(seed)).mkdir()
        Adapter(made).save(folder / str(seed), base.card.name)
        found.append(folder / str(seed))
    return found


def _ours(
    adapters: list[Adapter], weights: list[float], strategy: str, options: dict[str, Any]
) -> tuple[Products, float, int]:
    merge = next(one for one in PluginHost.load(False).collect("nightschool_merges") if one.name == strategy)
    together = sum(adapter.rank for adapter in adapters)
    given = {**options, "rank": max(1, round(options["rank"] * together))} if "rank" in options else options
    began = time.perf_counter()
    merged = merge.merge(list(zip(adapters, weights, strict=True)), MergeOptions(**given))
    seconds = time.perf_counter() - began
    return _products(merged.adapter), seconds, merged.adapter.rank


def _theirs(model: Any, folders: list[Path], weights: list[float]) -> dict[str, tuple[Products, float, int]]:
    from peft import PeftModel

    names = [str(number) for number in range(len(folders))]
    tuned: Any = PeftModel.from_pretrained(model, folders[0], adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        tuned.load_adapter(folder, adapter_name=name)
    found = {}
    for method, (options, _) in THEIRS.items():
        torch.manual_seed(0)
        given = {**options, "svd_rank": 2 * tuned.peft_config["0"].r} if "svd" in method else options
        began = time.perf_counter()
        tuned.add_weighted_adapter(names, weights, method, combination_type=method, **given)
        found[method] = (*_read(tuned, method, time.perf_counter() - began),)
        tuned.delete_adapter(method)
    return found


def _read(tuned: Any, name: str, seconds: float) -> tuple[Products, float, int]:
    """Return what an adapter of PEFT adds to the weights."""
    found = {}
    rank = 0
    for path, module in tuned.named_modules():
        if hasattr(module, "lora_A") and name in module.lora_A:
            layer, _, place = path.partition("model.layers.")[2].partition(".")
            down, up = module.lora_A[name].weight.detach(), module.lora_B[name].weight.detach()
            found[(int(layer), place)] = module.scaling[name] * (up @ down)
            rank = len(down)
    return found, seconds, rank


def _products(adapter: Adapter) -> Products:
    return {place: f.up @ f.down for place, f in adapter.factors.items()}


def _wanted(adapters: list[Adapter], weights: list[float]) -> dict[str, Products]:
    """Return what each method says, on full matrices, written down once more and without our own merges."""
    parts = [_products(adapter) for adapter in adapters]
    ways: dict[str, Callable[[list[Tensor]], Tensor]] = {
        "sum": lambda updates: sum(w * u for w, u in zip(weights, updates, strict=True)),  # type: ignore[return-value]
        "slerp": lambda updates: _slerp(updates, weights),
        "ties": lambda updates: _ties(updates, weights),
    }
    places = sorted(set().union(*parts))
    return {
        name: {place: way([part.get(place, torch.zeros(1)) for part in parts]) for place in places}
        for name, way in ways.items()
    }


def _slerp(updates: list[Tensor], weights: list[float]) -> Tensor:
    one, other = updates
    share = weights[1] / sum(weights)
    angle = math.acos(float((one * other).sum() / (one.norm() * other.norm())))
    return sum(weights) * (math.sin((1 - share) * angle) * one + math.sin(share * angle) * other) / math.sin(angle)


def _ties(updates: list[Tensor], weights: list[float]) -> Tensor:
    """Trim to ``DENSITY``, elect by the weighted sum, weighted mean of those that agree."""
    kept = []
    for update in updates:
        limit = update.abs().flatten().topk(round(DENSITY * update.numel())).values[-1]
        kept.append(torch.where(update.abs() >= limit, update, 0))
    weighted = torch.stack([w * u for w, u in zip(weights, kept, strict=True)])
    agrees = weighted.sign() == weighted.sum(dim=0).sign()
    votes = (torch.tensor(weights)[:, None, None] * (agrees & (weighted != 0))).sum(dim=0)
    return sum(weights) * (weighted * agrees).sum(dim=0) / votes.clamp_min(1e-12)


def _distance(found: Products, wanted: Products) -> float:
    lost = sum(float((found[place] - wanted[place]).square().sum()) for place in wanted)
    return math.sqrt(lost / sum(float(update.square().sum()) for update in wanted.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--adapters", nargs="*", default=[], metavar="FOLDER", help="two PEFT folders; random if none")
    parser.add_argument("--weights", default="0.7,0.3")
    parser.add_argument("--rank", type=int, default=16, help="of random adapters")
    parser.add_argument("--cut", type=int, default=0, help="blocks that random adapters change; 0: a chat's own")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
