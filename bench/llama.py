"""A chat against llama.cpp through ``llama-cpp-python``: same GGUF file, threads and prompts, in turns in one run.

    pip install -e ".[bench]"        compiles llama.cpp, which takes some minutes
    python bench/llama.py --json

Both sides are greedy and keep their defaults otherwise. ``ratio_vs_llama_cpp`` is tokens a second once the first is
there, ours over llama.cpp's; ``prefill_ratio_vs_llama_cpp`` is tokens of a prompt a second, from the text of the prompt
to the first token of the reply. Each prompt to be read is a new one, so that no side finds any of it in a cache.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import tell, text_of, timed_reply, wake
from nightschool.engine.base.default_model import find_gguf
from nightschool.engine.base.library import LoadedBase
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.prompt import encode, render
from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.threads import use_all_cores
from nightschool.schemas.records import Role

STORY = "Write a long story about a lighthouse keeper and the sea."
PROMPTS = (512, 2000)  # tokens
NOT_INSTALLED = 2
HOW = (
    "This bench needs llama-cpp-python, which compiles llama.cpp for some minutes; "
    "install it with `pip install -e '.[bench]'`."
)


@dataclass(frozen=True)
class Run:
    """One reply: tokens of the prompt, tokens a second read, tokens a second written."""

    tokens: int
    prefill: float
    decode: float


async def main() -> int:
    """Let both sides answer the same prompts and print one line for each figure."""
    options = _options()
    try:
        import llama_cpp
    except ModuleNotFoundError as error:
        if error.name != "llama_cpp":
            raise
        print(HOW, file=sys.stderr)
        return NOT_INSTALLED
    threads, room = use_all_cores(), max(PROMPTS) + options.tokens + 256
    llama = llama_cpp.Llama(
        str(options.gguf or find_gguf()), n_ctx=room, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    with fresh_home() as home:
        thread = await wake(home, options.model)
        base = (await thread.model()).base
        shape = {"threads": threads, "numbers": base.numbers, "llama_cpp_python": llama_cpp.__version__}
        found = await _race(thread, llama, [STORY] * (options.rounds + 1), options.tokens)
        tell({"name": "ratio_vs_llama_cpp", **_ratio(found, "decode"), **shape}, options.json)
        for length in PROMPTS:
            room = length - len(_tokens(base, ""))
            found = await _race(thread, llama, [text_of(base, room, n) for n in range(options.rounds + 1)], 1)
            row = {"name": "prefill_ratio_vs_llama_cpp", "prompt": length, **_ratio(found, "prefill")}
            tell({**row, "tokens": found[-1][0].tokens, **shape}, options.json)
    return 0


async def _race(thread: ModelThread, llama: Any, texts: list[str], tokens: int) -> list[tuple[Run, Run]]:
    """Let both sides answer each text in turn; the first one is for warming up and does not count."""
    base = (await thread.model()).base
    return [(await _ours(thread, text, tokens), _theirs(llama, base, text, tokens)) for text in texts][1:]


def _ratio(found: list[tuple[Run, Run]], figure: str) -> dict[str, float]:
    ours, theirs = (statistics.median(getattr(run, figure) for run in side) for side in zip(*found, strict=True))
    return {"value": ours / theirs, "tokens_per_s": ours, "llama_cpp_tokens_per_s": theirs}


async def _ours(thread: ModelThread, text: str, tokens: int) -> Run:
    timed = await thread.do(lambda model: timed_reply(model, 0, [Turn(Role.USER, text)], tokens=tokens))
    await thread.forget(0)
    return Run(timed.read, timed.read / timed.first_s, timed.rate)


def _theirs(llama: Any, base: LoadedBase, text: str, tokens: int) -> Run:
    """Write one token more than asked, so that as many are read back as ours reads back.

    Raises:
        RuntimeError: If llama.cpp reads the text as other tokens than we do.
    """
    llama.reset()
    began = time.perf_counter()
    prompt = llama.tokenize(render(base, [Turn(Role.USER, text)]).encode(), add_bos=False, special=True)
    writing = llama.generate(prompt, temp=0.0)
    next(writing)
    first = time.perf_counter()
    for _ in range(tokens):
        next(writing)
    rest = time.perf_counter() - first
    if prompt != _tokens(base, text):
        raise RuntimeError(
            f"llama.cpp reads the prompt as {len(prompt)} tokens of its own; the two cannot be compared."
        )
    return Run(len(prompt), len(prompt) / (first - began), tokens / rest)


def _tokens(base: LoadedBase, text: str) -> list[int]:
    return encode(base, render(base, [Turn(Role.USER, text)]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--gguf", type=Path, help="the file of the same base for llama.cpp")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
