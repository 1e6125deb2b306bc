"""What the learning benchmark measures beside the engine: replies of the plain base, and distances to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nightschool.bench.checks import Case, holds, rewrite
from nightschool.engine.base.device import CPU, find_device
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import find_speed
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.prompt import encode, prompt_tokens, render, reply_tokens
from nightschool.engine.paths import find_home
from nightschool.engine.slots.adapter import Adapter, attach
from nightschool.engine.study.generate import write_greedily
from nightschool.engine.study.prompts import neutral_halves
from nightschool.engine.threads import use_all_cores
from nightschool.schemas.records import Role

SURPRISE = 2.0
"""Nats; tokens that surprise the base more are what a rule asked for, not what it should have kept."""
NEUTRAL_TOKENS = 2400


class Scale:
    """The plain base in this process, and the same with an adapter. Distances in fp32, replies in what is quick."""

    def __init__(self, model: str, cut: int = 0, device: str = CPU) -> None:
        """Load a base; ``cut`` is the blocks in the tail, 0: as many as in a chat."""
        use_all_cores()
        home = find_home()
        folder = prepare(model, home, lambda stage, fraction: None)
        self.models = home.models
        place = find_device(device)
        self.base = load(folder).on(place.name)
        self.numbers = find_speed(home.models, place).many
        cut = cut or default_cut(self.base.card.layers)
        self.trunk, self.tail = open_trunk(self.base, cut), open_tail(self.base, cut)
        quick = self.base.computing_in(self.numbers)
        self._trunk, self._voice = open_trunk(quick, cut), open_tail(quick, cut)

    def measure(self, case: Case, filler: Sequence[str], limit: int) -> dict[str, Any]:
        """Return the shares of probes that follow the rule: without it, with it as system prompt, long after it."""
        plain = [prompt_tokens(self.base, probe) for probe in case.probes]
        ruled = [prompt_tokens(self.base, probe, case.rule) for probe in case.probes]
        long_ago = [encode(self.base, render(self.base, turns)) for turns in self._decayed(case, filler)]
        opposite = [prompt_tokens(self.base, item.prompt) for item in case.opposites]
        obeyed = [
            holds(item.check, reply)
            for item, reply in zip(case.opposites, self.write(opposite, case.max_tokens), strict=True)
        ]
        return {
            "before": self._followed(case, plain, limit),
            "oracle": self._followed(case, ruled, limit),
            "decayed": self._followed(case, long_ago, limit),
            "opposite_base": sum(obeyed) / len(obeyed) if obeyed else None,
        }

    def distances(self, case: Case, adapter: Path | None) -> dict[str, float]:
        """Return ``kl_kept``, ``kl_neutral`` and ``neutral_loss_rise`` of an adapter, nats a token."""
        replies = self.write([prompt_tokens(self.base, probe) for probe in case.probes], case.max_tokens)
        texts = [
            (prompt_tokens(self.base, probe), reply_tokens(self.base, rewrite(case.rewrite, reply)))
            for probe, reply in zip(case.probes, replies, strict=True)
        ]
        prose = [(tokens[:1], tokens[1:]) for tokens in self._prose()]
        kept, _ = self._compare(texts, adapter, unsurprising=True)
        neutral, rise = self._compare(prose, adapter, unsurprising=False)
        return {"kl_kept": kept, "kl_neutral": neutral, "neutral_loss_rise": rise}

    def _prose(self) -> list[list[int]]:
        passages = [encode(self.base, passage) for passage in neutral_halves()[1]]
        count = 0
        for number, tokens in enumerate(passages, start=1):
            count += len(tokens) - 1
            if count >= NEUTRAL_TOKENS:
                return passages[:number]
        return passages

    def _decayed(self, case: Case, filler: Sequence[str]) -> list[list[Turn]]:
        """Return for each probe a chat in which the rule was said, then unrelated turns, then the probe is asked."""
        turns = [Turn(Role.USER, case.say or case.rule)]
        for question in [*filler, None]:
            (reply,) = self.write([encode(self.base, render(self.base, turns))], 48)
            turns.append(Turn(Role.ASSISTANT, reply))
            if question is not None:
                turns.append(Turn(Role.USER, question))
        return [[*turns, Turn(Role.USER, probe)] for probe in case.probes]

    def _followed(self, case: Case, prompts: Sequence[list[int]], limit: int) -> float:
        return sum(holds(case.check, reply) for reply in self.write(prompts, limit)) / len(prompts)

    def write(self, prompts: Sequence[list[int]], limit: int, adapter: Path | None = None) -> list[str]:
        """Return the greedy replies to prompts: the base's, or those of an adapter."""
        attach(self._voice, Adapter.load(adapter) if adapter is not None else None)
        ends = self.base.card.end_of_turn
        written = write_greedily(self._trunk, self._voice, prompts, ends, limit=limit) if prompts else []
        tokenizer: Any = self.base.tokenizer
        return [tokenizer.decode(reply.tokens, skip_special_tokens=True) for reply in written]

    def _compare(
        self, texts: Sequence[tuple[list[int], list[int]]], adapter: Path | None, *, unsurprising: bool
    ) -> tuple[float, float]:
        """Return mean KL(base||tuned) and mean rise of the loss over the targets of (context, target) texts."""
        plain = [self._logs(context, target) for context, target in texts]
        attach(self.tail, Adapter.load(adapter) if adapter is not None else None)
        tuned = [self._logs(context, target) for context, target in texts]
        attach(self.tail, None)
        distances, rises = [], []
        for (_, target), base, now in zip(texts, plain, tuned, strict=True):
            wanted = torch.tensor(target, device=base.device)[:, None]
            surprise = -base.gather(1, wanted)[:, 0]
            mask = surprise < SURPRISE if unsurprising else torch.ones_like(surprise, dtype=torch.bool)
            distances.append((base.exp() * (base - now)).sum(dim=-1)[mask])
            rises.append((base - now).gather(1, wanted)[:, 0][mask])
        return float(torch.cat(distances).mean()), float(torch.cat(rises).mean())

    def _logs(self, context: list[int], target: list[int]) -> Tensor:
        """Return log-probabilities ``(n, V)`` of the target's tokens."""
        with torch.inference_mode():
            (states,) = self.trunk.sequences([context + target[:-1]])
            hidden = self.tail.sequences([states])[0][len(context) - 1 :]
            return torch.log_softmax(self.tail.ranked(hidden), dim=-1)
