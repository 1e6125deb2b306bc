"""Slots at work: switching against PEFT, blends and pairs of voices against one, a store of many generations.

    python bench/slots.py --json

``switch_speedup_vs_peft`` is PEFT's ``load_adapter`` and ``set_adapter`` on the stock model over ours, each with the
same adapter files and timed with the first token's way through the tail, less a later token's: what is put off until
then counts. ``switch_speedup_cold`` is the same with adapters that ours reads from disk too. ``blend_cost`` is the
share of decode speed that four slots at once take, of that with one; ``side_by_side_ratio`` the time of two answers to
one prompt over that of one. ``store_*_ms`` are taken in a slot with so many generations; the first list of a process,
which reads them all, stands beside.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nightschool.bench.timed import tell
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import find_speed
from nightschool.engine.base.supply import ProviderKind
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.chat.side_by_side import SideBySide
from nightschool.engine.host.model_thread import quickest
from nightschool.engine.paths import find_home
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.slots.blend import Blend, Voice
from nightschool.engine.slots.store import SlotStore
from nightschool.engine.slots.voices import Voices
from nightschool.engine.threads import use_all_cores
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

PROMPT = "Write a long story about a lighthouse keeper and the sea."
SLOTS = 4


def main() -> int:
    """Time everything and print one line for each figure."""
    options = _options()
    threads = use_all_cores()
    home = find_home()
    stock = load(prepare(options.model, home, lambda stage, fraction: None))
    base = asyncio.run(quickest(stock, ProviderKind("local", LocalProvider), find_speed(home.models))).base
    cut = default_cut(base.card.layers)
    with tempfile.TemporaryDirectory(prefix="nightschool-slots-") as name:
        folders = [_adapter(base, cut, Path(name) / str(seed), options.rank, seed) for seed in range(SLOTS)]
        for row in (
            *_switching(stock, base, cut, folders, options.rounds),
            *_speaking(base, cut, folders, options.tokens, options.rounds),
            *_storing(Path(name) / "slots", folders[0], options.generations),
        ):
            tell({**row, "numbers": str(base.numbers), "threads": threads}, options.json)
    return 0


def _adapter(base: LoadedBase, cut: int, folder: Path, rank: int, seed: int) -> Path:
    """Write an adapter that changes a little, as a learned one does."""
    generator = torch.Generator().manual_seed(seed)
    made = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.002)
        for place, f in new_adapter(open_tail(base, cut), rank, seed=seed).factors.items()
    }
    folder.mkdir()
    Adapter(made).save(folder, base.card.name)
    return folder


# -- switching --------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def _switching(stock: LoadedBase, base: LoadedBase, cut: int, folders: list[Path], rounds: int) -> list[dict[str, Any]]:
    tail, trunk = open_tail(base, cut), open_trunk(base, cut)
    (states,) = trunk.sequences([prompt_tokens(base, PROMPT)])
    state, cache = states[None, -1:], tail.new_cache()

    def token() -> None:
        tail.extend(state, cache)

    warm, cold = Voices(tail), [Voices(tail) for _ in range(rounds * len(folders))]
    for folder in folders:
        warm.speak_with(folder)
        token()
    order = [folder for _ in range(rounds) for folder in folders]
    ours = _switched([lambda f=folder: warm.speak_with(f) for folder in order], token)
    first = _switched([lambda v=v, f=f: v.speak_with(f) for v, f in zip(cold, order, strict=True)], token)
    theirs = _peft(stock, folders, order)
    row = {"ours_ms": 1e3 * ours, "ours_cold_ms": 1e3 * first, "peft_ms": 1e3 * theirs}
    return [
        {"name": "switch_speedup_vs_peft", "value": theirs / ours, **row},
        {"name": "switch_speedup_cold", "value": theirs / first},
    ]


def _switched(switches: list[Callable[[], None]], token: Callable[[], None]) -> float:
    """Return the median seconds of a switch and the token after it, less a later token."""
    times = []
    for switch in switches:
        began = time.perf_counter()
        switch()
        switched = time.perf_counter()
        token()
        first = time.perf_counter()
        token()
        later = time.perf_counter() - first
        times.append(switched - began + max(0.0, first - switched - later))
    return statistics.median(times)


def _peft(stock: LoadedBase, folders: list[Path], order: list[Path]) -> float:
    from peft import PeftModel

    model: Any = PeftModel.from_pretrained(stock.model, folders[0], adapter_name="first")
    ids = torch.tensor([[1]])
    names = iter(range(len(order)))

    def switch(folder: Path) -> None:
        name = str(next(names))
        model.load_adapter(folder, adapter_name=name)
        model.set_adapter(name)

    seconds = _switched([lambda f=folder: switch(f) for folder in order], lambda: model(ids))
    model.unload()
    return seconds


# -- speaking ---------------------------------------------------------------------------------------------------------


def _speaking(base: LoadedBase, cut: int, folders: list[Path], tokens: int, rounds: int) -> list[dict[str, Any]]:
    chat, pair = Chat(base, LocalProvider(base), cut), SideBySide(base, cut)
    blend = Blend(tuple((folder, 1 / len(folders)) for folder in folders))
    racers: dict[str, Callable[[], float]] = {
        "plain": lambda: _reply(chat, None, tokens),
        "one": lambda: _reply(chat, folders[0], tokens),
        "blend": lambda: _reply(chat, blend, tokens),
        "alone": lambda: _beside(pair, base, folders[:1], tokens),
        "two": lambda: _beside(pair, base, folders[:2], tokens),
    }
    times: dict[str, list[float]] = {name: [] for name in racers}
    for number in range(rounds + 1):
        for name, run in racers.items():
            seconds = run()
            if number:
                times[name].append(seconds)
    found = {name: statistics.median(seconds) for name, seconds in times.items()}
    rates = {f"{name}_tokens_per_s": 1 / found[name] for name in ("plain", "one", "blend")}
    return [
        {"name": "blend_cost", "value": 1 - found["one"] / found["blend"], "slots": len(folders), **rates},
        {"name": "blend_cost_of_plain", "value": 1 - found["plain"] / found["blend"], "slots": len(folders)},
        {"name": "side_by_side_ratio", "value": found["two"] / found["alone"]},
        {"name": "side_by_side_ratio_to_chat", "value": found["two"] / found["one"]},
    ]


def _reply(chat: Chat, voice: Voice, tokens: int) -> float:
    """Return seconds a token between the first and the last one."""
    stamps: list[float] = []

    def stamp() -> bool:
        stamps.append(time.perf_counter())
        return False

    turns = [Turn(Role.USER, PROMPT)]
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    asyncio.run(
        chat.reply(0, turns, system="", adapter=voice, sampling=sampling, on_text=lambda text: None, cancelled=stamp)
    )
    asyncio.run(chat.forget(0))
    return (stamps[-1] - stamps[1]) / (len(stamps) - 2)


def _beside(pair: SideBySide, base: LoadedBase, voices: list[Path], tokens: int) -> float:
    stamps: list[float] = []

    def stamp() -> bool:
        stamps.append(time.perf_counter())
        return False

    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    pair.answer(prompt_tokens(base, PROMPT), voices, sampling, cancelled=stamp)
    return (stamps[-1] - stamps[0]) / (len(stamps) - 1)


# -- storing ----------------------------------------------------------------------------------------------------------


def _storing(folder: Path, adapter: Path, generations: int) -> list[dict[str, Any]]:
    store = SlotStore(folder)
    store.create("Science")
    store.add_version("science", adapter, base="f")
    before = _bytes(folder)
    store.add_version("science", adapter, base="f")
    grown = _bytes(folder) - before
    while store.current("science").number < generations:
        store.rollback("science", 1 + store.current("science").number % 2)
    fresh = SlotStore(folder)
    began = time.perf_counter()
    fresh.versions("science")
    first = time.perf_counter() - began
    rows: list[dict[str, Any]] = []
    for name, ask in (
        ("list", lambda number: fresh.versions("science")),
        ("switch", lambda number: fresh.adapter_folder("science")),
        ("rollback", lambda number: fresh.rollback("science", 1 + fresh.current("science").number % 2)),
    ):
        times = []
        for number in range(9):
            began = time.perf_counter()
            ask(number)
            times.append(time.perf_counter() - began)
        value = 1e3 * statistics.median(times)
        rows.append({"name": f"store_{name}_ms", "value": value, "generations": generations})
    rows[0]["first_ms"] = 1e3 * first
    size = (adapter / "adapter_model.safetensors").stat().st_size
    rows.append({"name": "store_growth", "value": grown / size, "adapter_bytes": size})
    return rows


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--rank", type=int, default=16, help="of the adapters")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
