"""Decoding through trunk and tail against transformers' ``generate``, same model, same prompt, one run.

    python bench/decode.py --json

Both sides write greedily, in turns, after one warm-up each, and are timed from the first token to the last, so that
reading the prompt does not count. ``speedup_vs_generate_*`` is what a user gets, in the numbers that this machine was
found fastest in, over ``generate`` in fp32 and in bf16; ``same_dtype_speedup_*`` computes in that same dtype on both
sides; ``lora_cost`` is the share that an adapter of rank 8 on the tail takes; ``kl_to_fp32`` is what the chosen numbers
cost, KL(fp32||those) over the whole vocabulary in nats a token of prose. The bound is the measured reading speed of the
device's memory over the bytes of weights that a token must read. ``--device cuda`` has both sides compute there.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import StoppingCriteria

from nightschool.bench.timed import tell, text_of
from nightschool.engine.base.device import Device, find_device, wait_for
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import Speed, find_speed
from nightschool.engine.base.supply import ProviderKind
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.prompt import encode, prompt_tokens
from nightschool.engine.host.model_thread import quickest
from nightschool.engine.paths import find_home
from nightschool.engine.slots.adapter import new_adapter
from nightschool.engine.threads import use_all_cores
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

PROMPT = "Write a long story about a lighthouse keeper and the sea."
DTYPES = {Numbers.FP32: torch.float32, Numbers.BF16: torch.bfloat16}


def main() -> int:
    """Time all in turns and print one line for each figure."""
    options = _options()
    threads = use_all_cores()
    home = find_home()
    folder = prepare(options.model, home, lambda stage, fraction: None)
    device = find_device(options.device)
    bandwidth = _reading_speed(device)
    on = {"threads": threads} if device.is_cpu else {"device": device.title}
    tell({"name": "read_gb_per_s", "value": bandwidth / 1e9, **on}, options.json)
    stock = {numbers: load(folder, dtype, device=device.name) for numbers, dtype in DTYPES.items()}
    base = stock[Numbers.FP32]
    cut = default_cut(base.card.layers)
    chosen = Numbers(options.numbers) if options.numbers else _chosen(base, find_speed(home.models, device))
    ours = {numbers: base.computing_in(numbers) for numbers in (*DTYPES, chosen)}
    with tempfile.TemporaryDirectory(prefix="nightschool-decode-") as adapter:
        new_adapter(open_tail(base, cut), 8).save(Path(adapter), base.card.name)
        racers = {f"ours {numbers}": _runner(one, cut, options.tokens, None) for numbers, one in ours.items()}
        racers["with lora"] = _runner(ours[chosen], cut, options.tokens, Path(adapter))
        racers |= {f"generate {n}": lambda one=one: _generate(one, options.tokens) for n, one in stock.items()}
        rates: dict[str, list[float]] = {name: [] for name in racers}
        for number in range(options.rounds + 1):
            for name, run in racers.items():
                rate = run()
                if number:
                    rates[name].append(rate)
    found = {name: statistics.median(values) for name, values in rates.items()}
    best = found[f"ours {chosen}"]
    for numbers in DTYPES:
        peer = found[f"generate {numbers}"]
        row = {"name": f"speedup_vs_generate_{numbers}", "value": best / peer, "numbers": chosen}
        tell({**row, "tokens_per_s": best, "generate_tokens_per_s": peer}, options.json)
        same = found[f"ours {numbers}"]
        tell({"name": f"same_dtype_speedup_{numbers}", "value": same / peer, "tokens_per_s": same}, options.json)
    tell({"name": "lora_cost", "value": 1 - found["with lora"] / best, "rank": 8}, options.json)
    texts = [encode(base, text_of(base, 256, number)) for number in range(8)]
    tell({"name": "kl_to_fp32", "value": _kl(base, ours[chosen], cut, texts), "numbers": chosen}, options.json)
    for numbers, one in ours.items():
        bound = bandwidth / _bytes_a_token(one, cut)
        rate = found[f"ours {numbers}"]
        tell({"name": f"bound_tokens_per_s_{numbers}", "value": bound, "reached": rate / bound}, options.json)
    return 0


def _chosen(base: LoadedBase, speed: Speed) -> Numbers:
    """Return the numbers that a chat on this machine computes in."""
    return asyncio.run(quickest(base, ProviderKind("local", LocalProvider), speed)).base.numbers


def _runner(base: LoadedBase, cut: int, tokens: int, adapter: Path | None) -> Callable[[], float]:
    chat = Chat(base, LocalProvider(base), cut)
    return lambda: _ours(chat, tokens, adapter)


def _ours(chat: Chat, tokens: int, adapter: Path | None) -> float:
    stamps: list[float] = []

    def stamp() -> bool:
        stamps.append(time.perf_counter())
        return False

    asyncio.run(
        chat.reply(
            0,
            [Turn(Role.USER, PROMPT)],
            system="",
            adapter=adapter,
            sampling=Sampling(temperature=0.0, max_tokens=tokens),
            on_text=lambda text: None,
            cancelled=stamp,
        )
    )
    asyncio.run(chat.forget(0))
    return _rate(stamps[1:])  # the first look is before the prompt is read


class _Stamps(StoppingCriteria):
    """Notes when each token of ``generate`` is there."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _generate(base: LoadedBase, tokens: int) -> float:
    ids = torch.tensor([prompt_tokens(base, PROMPT)], device=base.device)
    stamps = _Stamps()
    model: Any = base.model
    with torch.inference_mode():
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, stopping_criteria=[stamps]
        )
    return _rate(stamps.times)


def _rate(stamps: list[float]) -> float:
    """Return tokens a second between the first stamp and the last."""
    return (len(stamps) - 1) / (stamps[-1] - stamps[0])


@torch.inference_mode()
def _kl(fine: LoadedBase, coarse: LoadedBase, cut: int, texts: Sequence[list[int]]) -> float:
    """Return the mean KL(fine||coarse) in nats a token."""
    distances = []
    for text in texts:
        wanted, found = (_logs(base, cut, text) for base in (fine, coarse))
        distances.append((wanted.exp() * (wanted - found)).sum(dim=-1))
    return float(torch.cat(distances).mean())


def _logs(base: LoadedBase, cut: int, text: list[int]) -> torch.Tensor:
    """Return log-probabilities ``(tokens, vocabulary)`` in fp32."""
    tail = open_tail(base, cut)
    (states,) = open_trunk(base, cut).sequences([text])
    return torch.log_softmax(tail.ranked(tail.sequences([states])[0]), dim=-1)


def _reading_speed(device: Device) -> float:
    """Return bytes a second of reading a gigabyte that no cache holds; the best of several."""
    data = torch.ones(2**28, device=device.name)
    best = 0.0
    for _ in range(5):
        wait_for(device.name)
        began = time.perf_counter()
        data.sum()
        wait_for(device.name)
        best = max(best, data.nbytes / (time.perf_counter() - began))
    return best


def _bytes_a_token(base: LoadedBase, cut: int) -> int:
    """Return the bytes of weights that a token's forward pass reads; of the embedding it reads one row."""
    trunk: Any = open_trunk(base, cut)
    tail: Any = open_tail(base, cut)
    return int(trunk.nbytes + tail.nbytes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--numbers", choices=list(Numbers), help="what to compute in; what a chat here does if not given"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
