"""What a chat takes of memory, over a process that only has imported what a chat needs.

    python bench/memory.py --json

``chat_memory_ratio`` is the peak of the resident memory while a base is loaded and two questions of 1,000 tokens are
answered, less what the imports took, over what such a chat cannot do without: the frozen matrices in the numbers it
computes in, and for each token it holds keys, values and the trunk's state.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from typing import Any

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import tell, text_of, timed_reply, wake
from nightschool.engine.base import library, provider, speed  # noqa: F401 (imported now, to be in the baseline)
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.prompt import encode, render
from nightschool.engine.heap import keep_few_kernels, return_large_blocks
from nightschool.engine.host.model_thread import Model
from nightschool.schemas.records import Role

REPLY_TOKENS = 32


async def main() -> int:
    """Load, chat, and print how much it took."""
    options = _options()
    keep_few_kernels()  # as the engine does
    return_large_blocks()
    baseline = _peak()
    with fresh_home() as home:
        thread = await wake(home, options.model)
        loaded = _peak() - baseline
        held = await thread.do(lambda model: _chat(model, options.tokens))
        peak = _peak() - baseline
        model = await thread.model()
        parts: tuple[Any, ...] = (open_trunk(model.base, model.cut), open_tail(model.base, model.cut))
        weights = sum(int(part.nbytes) for part in parts)
        caches = held * _bytes_a_token(model)
    row = {"name": "chat_memory_ratio", "value": peak / (weights + caches), "numbers": model.base.numbers}
    sizes = {"peak": peak, "loaded": loaded, "imports": baseline, "weights": weights, "caches": caches}
    tell(row | {f"{name}_mb": round(size / 1e6, 1) for name, size in sizes.items()}, options.json)
    return 0


async def _chat(model: Model, tokens: int) -> int:
    """Hold one conversation and return how many tokens its caches cover."""
    turns: list[Turn] = []
    for number in range(2):
        turns.append(Turn(Role.USER, text_of(model.base, tokens // 2, number)))
        answer = await timed_reply(model, 0, turns, tokens=REPLY_TOKENS)
        turns.append(Turn(Role.ASSISTANT, answer.reply.text))
    return len(encode(model.base, render(model.base, turns)))


def _bytes_a_token(model: Model) -> int:
    """Return the bytes of keys, values and state that a chat keeps for each token."""
    config = json.loads((model.base.folder / "config.json").read_bytes())
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    number = 4 if model.base.numbers is Numbers.FP32 else 2
    return (
        2 * model.base.card.layers * config.get("num_key_value_heads", heads) * width * number
        + 4 * model.base.card.width
    )


def _peak() -> int:
    """Return the most bytes that were resident at once so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--tokens", type=int, default=2000, help="of both questions together")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
