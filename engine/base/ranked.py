"""The order of the likeliest words, which half numbers and 8 bits do not keep.

Logits in bf16 lie 0.125 apart where they matter, so that two words that are close come out the same, and greedy
decoding takes the wrong one. The ranking below the first few does not matter so much; those few rows cost next to
nothing: to find them takes as long as to find the first.
"""

from __future__ import annotations

import torch
from torch import Tensor

REFINED = 24
"""Words of each row that are computed again."""


def ranked(logits: Tensor, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``logits`` ``(..., V)`` in fp32, the likeliest computed again from ``rows`` ``(..., d)``.

    Args:
        logits: What a head of coarse numbers gave, none of them fp32.
        rows: What went into it, as fine as it is there.
        weight: The head's own ``(V, d)``, as stored.
        bias: The head's own ``(V,)``.
    """
    flat, fine = logits.reshape(-1, logits.shape[-1]).float(), rows.reshape(-1, rows.shape[-1]).float()
    best = flat.topk(min(REFINED, flat.shape[1]), dim=1).indices
    exact = torch.bmm(weight[best].float(), fine[:, :, None])[:, :, 0]
    if bias is not None:
        exact += bias[best]
    return flat.scatter_(1, best, exact).view(logits.shape)
