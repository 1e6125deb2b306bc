"""An optimizer step on cached states against the same batch through PEFT's full-depth LoRA, timed in one run.

    python bench/step.py --json

Same sequences, same targets, same loss (cross-entropy on the replies' tokens), same rank and projections, AdamW on both
sides, in turns. Ours runs the tail on states that were computed once, with the head at target positions only, in the
numbers that a study here computes in. ``speedup_vs_peft_full`` is against PEFT as it is used: ids in, labels on the
replies, all blocks, fp32; ``..._bf16`` against the same in bf16, where the processor has it; ``..._head_at_targets``
gives PEFT the head at target positions too, which isolates what the cut saves; ``fp32_speedup_vs_peft_full`` computes
in fp32 on both sides.
``trainer_step_s`` is a step of the real trainer, whose loss looks at the base's expectation as well. ``--device cuda``
has all of them compute there.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from nightschool.bench.timed import tell
from nightschool.engine.base.device import find_device, wait_for
from nightschool.engine.base.halves import Tail, open_tail
from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import find_speed
from nightschool.engine.paths import find_home
from nightschool.engine.slots.adapter import PROJECTIONS, attach, new_adapter
from nightschool.engine.study.batch import batch_loss, choose_rows
from nightschool.engine.study.examples import Example, reply_example
from nightschool.engine.study.generate import Text
from nightschool.engine.study.losses import taught_loss
from nightschool.engine.study.prompts import bank, neutral
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.targets import Prepared, prepare_examples
from nightschool.engine.threads import use_all_cores
from nightschool.plugins.providers.local import LocalProvider

IGNORED = -100
_EMULATED = 5  # times as long as in fp32: a processor without bf16


def main() -> int:
    """Time every kind of step in turns and print one line for each figure."""
    options = _options()
    use_all_cores()
    home = find_home()
    device = find_device(options.device)
    base = load(prepare(options.model, home, lambda stage, fraction: None)).on(device.name)
    speed = find_speed(home.models, device)
    numbers = speed.many
    bf16 = speed.many_ms["bf16"] < _EMULATED * speed.many_ms["fp32"]  # else a step of the peer takes minutes
    cut = options.cut or default_cut(base.card.layers)
    recipe = Recipe()
    texts = [" ".join(passage.split()[:60]) for passage in neutral()[: options.batch]]
    examples = [
        reply_example(base, prompt.text, Text(text, finished=False), "", recipe)
        for prompt, text in zip(bank(), texts, strict=False)
    ]
    tokens = [example.tokens for example in examples]
    starts = [example.start for example in examples]
    rank = recipe.rank
    makers: dict[str, Callable[[], Callable[[], None]]] = {
        "ours": lambda: _our_step(*_prepared(base, numbers, cut, examples, recipe), rank),
        "ours_fp32": lambda: _our_step(*_prepared(base, Numbers.FP32, cut, examples, recipe), rank),
        "trainer": lambda: _trainer_step(*_prepared(base, numbers, cut, examples, recipe), recipe),
        "peft": lambda: _peft_step(base, tokens, starts, rank),
        "peft_bf16": lambda: _peft_step(base, tokens, starts, rank, dtype=torch.bfloat16),
        "peft_targets": lambda: _peft_step(base, tokens, starts, rank, targets_only=True),
    }
    steps = {name: make() for name, make in makers.items() if bf16 or name != "peft_bf16"}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):
        for name, step in steps.items():
            _time(step, times[name] if number else [], device.name)
    found = {name: statistics.median(values) for name, values in times.items()}
    shape = {"cut": cut, "sequences": len(tokens), "tokens": sum(map(len, tokens)), "numbers": numbers}
    tell({"name": "speedup_vs_peft_full", "value": found["peft"] / found["ours"], **shape}, options.json)
    if bf16:
        tell({"name": "speedup_vs_peft_full_bf16", "value": found["peft_bf16"] / found["ours"]}, options.json)
    for name, value in {
        "speedup_vs_peft_full_head_at_targets": found["peft_targets"] / found["ours"],
        "fp32_speedup_vs_peft_full": found["peft"] / found["ours_fp32"],
    }.items():
        tell({"name": name, "value": value}, options.json)
    for name, seconds in found.items():
        tell({"name": f"{name}_step_s", "value": seconds}, options.json)
    return 0


def _prepared(
    base: LoadedBase, numbers: Numbers, cut: int, examples: list[Example], recipe: Recipe
) -> tuple[Tail, list[Prepared]]:
    """Return a tail in these numbers, and the examples as it sees them."""
    kept = base.computing_in(numbers)
    tail = open_tail(kept, cut)
    return tail, asyncio.run(prepare_examples(examples, LocalProvider(kept), tail, cut, recipe.taught_above))


def _our_step(tail: Tail, prepared: list[Prepared], rank: int) -> Callable[[], None]:
    layers = attach(tail, new_adapter(tail, rank))
    parameters = [factor.requires_grad_(True) for layer in layers.values() for factor in (layer.down, layer.up)]
    targets = torch.cat([example.targets for example in prepared]).to(tail.device)
    mean = torch.full((len(targets),), 1 / len(targets), device=tail.device)

    def loss() -> Any:
        states = [example.states.to(tail.device) for example in prepared]  # a study keeps them in the machine's memory
        hidden = tail.sequences(states, [example.tokens for example in prepared])
        rows = [
            output[len(example.states) - len(example.targets) :]
            for output, example in zip(hidden, prepared, strict=True)
        ]
        return taught_loss(tail, torch.cat(rows), targets, mean, enough=1.0).total

    return _stepper(parameters, loss)


def _trainer_step(tail: Tail, prepared: list[Prepared], recipe: Recipe) -> Callable[[], None]:
    layers = attach(tail, new_adapter(tail, recipe.rank))
    parameters = [factor.requires_grad_(True) for layer in layers.values() for factor in (layer.down, layer.up)]
    generator = torch.Generator().manual_seed(0)

    def loss() -> Any:
        rows = [choose_rows(example, recipe, generator) for example in prepared]
        return batch_loss(tail, prepared, rows, recipe).total

    return _stepper(parameters, loss)


def _peft_step(
    base: LoadedBase,
    tokens: list[list[int]],
    starts: list[int],
    rank: int,
    *,
    dtype: torch.dtype = torch.float32,
    targets_only: bool = False,
) -> Callable[[], None]:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM")
    model: Any = get_peft_model(load(base.folder, dtype, device=base.device).model, config)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ids = pad_sequence([torch.tensor(row) for row in tokens], batch_first=True)
    mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in tokens], batch_first=True)
    labels = torch.full_like(ids, IGNORED)
    for row, (sequence, start) in enumerate(zip(tokens, starts, strict=True)):
        labels[row, start : len(sequence)] = ids[row, start : len(sequence)]
    ids, mask, labels = (part.to(base.device) for part in (ids, mask, labels))

    def usual() -> Any:
        return model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss

    def at_targets() -> Any:
        inner = model.base_model.model
        hidden = inner.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        return cross_entropy(inner.lm_head(hidden[wanted != IGNORED]).float(), wanted[wanted != IGNORED])

    return _stepper(parameters, at_targets if targets_only else usual)


def _stepper(parameters: list[Any], loss: Callable[[], Any]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def _time(step: Callable[[], None], times: list[float], device: str) -> None:
    wait_for(device)
    began = time.perf_counter()
    step()
    wait_for(device)
    times.append(time.perf_counter() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps")
    parser.add_argument("--cut", type=int, default=0, help="blocks in the tail; as a study has if not given")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
