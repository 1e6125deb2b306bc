"""Noise that two machines agree on without a word: Gumbel noise of a seed, a position and a token.

``argmax(logits + noise)`` is a draw from ``softmax(logits)`` (the Gumbel-max trick). Whoever knows seed and position
draws with the same noise, so that two who have nearly the same logits nearly always draw the same token (Gumbel
coupling without communication: Daliri, Musco and Suresh, arXiv 2408.07978). The noise is counter-based: any token's is
had without those before.

The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), all sums and products modulo 2**64::

    output(seed, n):  z = seed + (n + 1) * 0x9E3779B97F4A7C15
                      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
                      z = (z ^ z >> 27) * 0x94D049BB133111EB
                      z ^ z >> 31
    noise(seed, position, token):
                      x = output(output(seed, position), token)
                      u = ((x >> 11) + 0.5) * 2**-53          # inside (0, 1), in doubles
                      -log(-log(u))

``position`` is where the drawn token will stand in the conversation, the first one at 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64 - 1


def gumbel(seed: int, position: int, tokens: Tensor) -> Tensor:
    """Return the noise of some tokens at a position.

    Args:
        seed: Any integer; what counts is its value modulo 2**64.
        position: Of the token that is drawn.
        tokens: ``(n,)`` int64, on the CPU.

    Returns:
        ``(n,)`` float64, between -3.7 and 36.8.
    """
    numbers = tokens.numpy().astype(np.uint64)
    numbers += np.uint64(1)
    numbers *= np.uint64(_STEP)
    numbers += np.uint64(output(seed, position))
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(_FIRST)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(_SECOND)
    numbers ^= numbers >> np.uint64(31)
    numbers >>= np.uint64(11)
    chance = torch.from_numpy(numbers.view(np.int64)).double()  # torch's logarithms are those of the vector units
    return chance.add_(0.5).mul_(2**-53).log_().neg_().log_().neg_()


def output(seed: int, number: int) -> int:
    """Return an output of SplitMix64, counted from 0."""
    z = (seed + (number + 1) * _STEP) & _WORD
    z = (z ^ z >> 30) * _FIRST & _WORD
    z = (z ^ z >> 27) * _SECOND & _WORD
    return z ^ z >> 31
