"""What is lost of an adapter that reaches below the tail, where only its upper blocks are kept.

The whole adapter speaks in a tail that begins low enough, the kept part in the usual one, on the same questions with
the base's own replies; how far apart what they say lies is told beside how far the plain base is. So it is seen whether
the upper blocks carry what the adapter does, or the lower ones did.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from ...schemas.errors import UsageError
from ...schemas.records import Projection
from ..base.halves import Tail, Trunk, open_tail, open_trunk
from ..chat.prompt import prompt_tokens, reply_tokens
from ..slots.adapter import Adapter, attach
from .cut_base import CutBase
from .replies import Replies

QUESTIONS = 8
REPLY_TOKENS = 48


def upper_part(adapter: Adapter, lowest: int) -> Adapter:
    """Return what an adapter changes from a block on.

    Raises:
        UsageError: If that is nothing.
    """
    kept = {place: factors for place, factors in adapter.factors.items() if place[0] >= lowest}
    if not kept:
        raise UsageError(
            f"The adapter changes nothing from block {lowest} on, where the tail begins; give the tail more blocks "
            "(`cut` in config.toml)."
        )
    return Adapter(kept)


def energy(adapter: Adapter) -> float:
    """Return the sum of squares of all its updates."""
    return sum(float(((f.up.T @ f.up).double() * (f.down @ f.down.T).double()).sum()) for f in adapter.factors.values())


def projection_of(whole: CutBase, adapter: Adapter, prompts: Sequence[str], replies: Replies) -> Projection:
    """Return what is lost of an adapter; the tail of ``whole`` speaks with the part of it that was kept.

    Args:
        whole: The base; all its blocks must be here.
        adapter: The whole adapter.
        prompts: Questions to which the base's replies are known; a few of them are asked.
        replies: Those.

    Raises:
        TailOnly: If its lower blocks are not here.
    """
    base, first = whole.base, min(block for block, _ in adapter.factors)
    lowest, reach = base.card.layers - whole.cut, base.card.layers - first
    asked = [prompt_tokens(base, prompt, whole.system) for prompt in prompts[:QUESTIONS]]
    said = [reply_tokens(base, replies.reply(prompt).text)[:REPLY_TOKENS] for prompt in prompts[:QUESTIONS]]
    batch = [question + reply for question, reply in zip(asked, said, strict=True)]
    starts = [len(question) - 1 for question in asked]
    with torch.inference_mode():
        low, tail = open_trunk(base, reach), open_tail(base, reach)
        attach(tail, adapter)
        all_of_it = _spoken(low, tail, batch, starts)
        attach(tail, None)
        plain = _distance(all_of_it, _spoken(low, tail, batch, starts))
        kept = _distance(all_of_it, _spoken(open_trunk(base, whole.cut), whole.tail, batch, starts))
    share = 1.0 - energy(upper_part(adapter, lowest)) / max(energy(adapter), 1e-30)
    return Projection(first=first, lowest=lowest, left_out=max(0.0, share), kept_nats=kept, plain_nats=plain)


def _spoken(trunk: Trunk, tail: Tail, batch: Sequence[Sequence[int]], starts: Sequence[int]) -> Tensor:
    """Return log-probabilities ``(n, V)`` in fp32 at the tokens of the replies."""
    rows = tail.sequences(trunk.sequences(batch))
    return torch.cat(
        [log_softmax(tail.head(row[start:]).float(), dim=-1) for row, start in zip(rows, starts, strict=True)]
    )


def _distance(one: Tensor, other: Tensor) -> float:
    """Return the mean KL(one||other) in nats."""
    return float((one.exp() * (one - other)).sum(dim=-1).mean())
