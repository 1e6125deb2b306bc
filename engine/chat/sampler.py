"""Choosing the next token: transformers' own logits processors, and noise that any other machine can draw again."""

from __future__ import annotations

import secrets
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
from .noise import gumbel

_SEED_BITS = 53  # of a seed of our own: every language's JSON keeps such a number
_SEEDS = 1 << 63  # what HSP/1 can name


class Sampler:
    """Draws tokens as a ``Sampling`` asks. The same seed, position and logits give the same token.

    The order is transformers' own: penalty, temperature, top-k, top-p, min-p. Of what they leave, the token is taken
    whose value is the largest after noise (``noise.py``) was added: a draw from what is left, which a guesser with the
    same seed mostly makes alike. Nothing is remembered from draw to draw.

    Attributes:
        seed: Of the noise; drawn by the system if the sampling names none.
    """

    def __init__(self, sampling: Sampling) -> None:
        temperature = sampling.temperature or 0.0
        self._greedy = temperature == 0.0
        self.seed = secrets.randbits(_SEED_BITS) if sampling.seed is None else sampling.seed % _SEEDS
        self._last: Tensor | None = None
        self._penalty: Any = None
        if sampling.repetition_penalty != 1.0:
            self._penalty = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)
        filters = _filters(sampling)
        self._filtered = bool(filters)
        self._warpers: Any = LogitsProcessorList()
        if not self._greedy:
            self._warpers += [TemperatureLogitsWarper(temperature), *filters]

    def choose(self, logits: Tensor, history: list[int]) -> int:
        """Return the next token.

        Args:
            logits: ``(V,)`` of the last position, on any device; it is chosen on the CPU.
            history: Prompt and reply so far, all of it: its length is the position of the token. The repetition
                penalty looks at it, too.
        """
        row = logits[None].cpu()
        if self._penalty is not None:
            row = self._penalty(torch.tensor([history]), row.float())
        if self._greedy:
            return self._largest(row[0])
        row = self._warpers(None, row.float())[0]
        tokens = (row > -torch.inf).nonzero()[:, 0] if self._filtered else torch.arange(len(row))
        noisy = gumbel(self.seed, len(history), tokens).add_(row[tokens] if self._filtered else row)
        return int(tokens[self._largest(noisy)])

    @property
    def margin(self) -> float:
        """By how much the last choice leads over the next best, in units of logits over temperature.

        Whoever computes these within half of that chooses the same.
        """
        if self._last is None or len(self._last) < 2:
            return float("inf")
        first, second = self._last.topk(2).values.tolist()
        return float(first - second)

    def _largest(self, values: Tensor) -> int:
        self._last = values
        return int(values.argmax())


def _filters(sampling: Sampling) -> list[Any]:
    wanted: list[Any] = []
    if sampling.top_k > 0:
        wanted.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        wanted.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0.0:
        wanted.append(MinPLogitsWarper(sampling.min_p))
    return wanted
