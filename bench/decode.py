"""Decoding through trunk and tail against transformers' ``generate``, same model, same dtype, same prompt, one run.

    python bench/decode.py --json

Both sides write the same greedy tokens, in turns, after one warm-up each, and are timed from the first token to the
last, so that reading the prompt does not count. ``speedup_vs_generate_*`` is the ratio of tokens a second. The bound is
the machine's measured reading speed over the bytes of weights that a token must read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from typing import Any

import torch
from transformers import StoppingCriteria

from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.paths import find_home
from nightschool.engine.threads import use_all_cores
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

PROMPT = "Write a long story about a lighthouse keeper and the sea."
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> int:
    """Time both sides in each dtype and print one line for each figure."""
    options = _options()
    threads = use_all_cores()
    folder = prepare(options.model, find_home(), lambda stage, fraction: None)
    bandwidth = _reading_speed()
    _print({"name": "read_gb_per_s", "value": bandwidth / 1e9, "threads": threads}, options.json)
    for name in options.dtype:
        base = load(folder, DTYPES[name])
        ours, stock = _race(base, options.tokens, options.rounds)
        bound = bandwidth / _bytes_a_token(base)
        ratio = {"name": f"speedup_vs_generate_{name}", "value": ours / stock}
        _print({**ratio, "tokens_per_s": ours, "generate_tokens_per_s": stock}, options.json)
        _print({"name": f"bound_tokens_per_s_{name}", "value": bound, "reached": ours / bound}, options.json)
    return 0


def _race(base: LoadedBase, tokens: int, rounds: int) -> tuple[float, float]:
    """Return the median tokens a second of our decoding and of ``generate``, timed in turns."""
    chat = Chat(base, LocalProvider(base), default_cut(base.card.layers))
    ours, stock = [], []
    for number in range(rounds + 1):
        pair = _ours(chat, number, tokens), _generate(base, tokens)
        if number:
            ours.append(pair[0])
            stock.append(pair[1])
    return statistics.median(ours), statistics.median(stock)


def _ours(chat: Chat, conversation: int, tokens: int) -> float:
    stamps: list[float] = []

    def stamp() -> bool:
        stamps.append(time.perf_counter())
        return False

    asyncio.run(
        chat.reply(
            conversation,
            [Turn(Role.USER, PROMPT)],
            system="",
            adapter=None,
            sampling=Sampling(temperature=0.0, max_tokens=tokens),
            on_text=lambda text: None,
            cancelled=stamp,
        )
    )
    chat.forget(conversation)
    return _rate(stamps[1:])  # the first look is before the prompt is read


class _Stamps(StoppingCriteria):
    """Notes when each token of ``generate`` is there."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool)


def _generate(base: LoadedBase, tokens: int) -> float:
    ids = torch.tensor([prompt_tokens(base, PROMPT)])
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


def _reading_speed() -> float:
    """Return bytes a second of reading a gigabyte that no cache holds; the best of several."""
    data = torch.ones(2**28)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        data.sum()
        best = max(best, data.nbytes / (time.perf_counter() - began))
    return best


def _bytes_a_token(base: LoadedBase) -> int:
    """Return the bytes of weights that a token's forward pass reads: all but the rows of the embedding it skips."""
    model: Any = base.model
    seen: dict[int, int] = {p.data_ptr(): p.nbytes for p in model.parameters()}
    embedding = model.get_input_embeddings().weight
    tied = embedding.data_ptr() == model.get_output_embeddings().weight.data_ptr()
    return sum(seen.values()) - (0 if tied else embedding.nbytes)


def _print(row: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(row) if as_json else "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", action="append", choices=sorted(DTYPES), help="both if not given")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    options.dtype = options.dtype or list(DTYPES)
    return options


if __name__ == "__main__":
    sys.exit(main())
