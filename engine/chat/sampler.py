"""Choosing the next token: transformers' own logits processors, a generator of its own, nothing else random."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ...schemas.messages import Sampling


class Sampler:
    """Draws tokens as a ``Sampling`` asks. The same seed and logits give the same tokens.

    The order is transformers' own: penalty, temperature, top-k, top-p, min-p.
    """

    def __init__(self, sampling: Sampling) -> None:
        temperature = sampling.temperature or 0.0
        self._greedy = temperature == 0.0
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        self._processors = LogitsProcessorList()
        make: Any = self._processors.append
        if sampling.repetition_penalty != 1.0:
            make(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
        if self._greedy:
            return
        make(TemperatureLogitsWarper(temperature))
        if sampling.top_k > 0:
            make(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            make(TopPLogitsWarper(sampling.top_p))
        if sampling.min_p > 0.0:
            make(MinPLogitsWarper(sampling.min_p))

    def choose(self, logits: Tensor, history: list[int]) -> int:
        """Return the next token.

        Args:
            logits: ``(V,)`` of the last position, on any device; chosen is on the CPU, whose generator repeats itself.
            history: Prompt and reply so far; the repetition penalty looks at it.
        """
        row = logits[None].cpu()
        if len(self._processors):
            row = self._processors(torch.tensor([history]), row.float())  # type: ignore[arg-type]
        if self._greedy:
            return int(row.argmax())
        chances = torch.softmax(row.float(), dim=-1)
        return int(torch.multinomial(chances, 1, generator=self._generator))
