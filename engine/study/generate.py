"""Many greedy replies at once, through trunk and tail in this process: base replies to rewrite, candidates to check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.cut import Tail, Trunk

_BATCH = 16


@dataclass(frozen=True)
class Written:
    """The tokens of one reply, without the end of turn; ``finished`` if the model ended it by itself."""

    tokens: list[int]
    finished: bool


def write_greedily(
    trunk: Trunk,
    tail: Tail,
    prompts: Sequence[list[int]],
    ends: Collection[int],
    *,
    limit: int,
    tell: Callable[[float], None] = lambda share: None,
) -> list[Written]:
    """Return the likeliest reply to each prompt, token by token, as the tail speaks now.

    Args:
        trunk: Gives the states.
        tail: With or without an adapter.
        prompts: Token ids, each ending where the reply begins.
        ends: Tokens that end a reply.
        limit: Most tokens of a reply.
        tell: Called with the share done.
    """
    found: dict[int, Written] = {}
    with torch.inference_mode():
        for group in _groups(prompts):

            def share(part: float, done: int = len(found), size: int = len(group)) -> None:
                tell((done + part * size) / len(prompts))

            batch = [prompts[index] for index in group]
            replies = _write_batch(trunk, tail, batch, frozenset(ends), limit=limit, tell=share)
            found.update(zip(group, replies, strict=True))
    return [found[index] for index in range(len(prompts))]


def _write_batch(
    trunk: Trunk,
    tail: Tail,
    prompts: Sequence[list[int]],
    ends: frozenset[int],
    *,
    limit: int,
    tell: Callable[[float], None],
) -> list[Written]:
    ids, mask = _pad_left(prompts)
    lower, upper = trunk.new_cache(), tail.new_cache()
    replies: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    even = bool(mask.all())  # without padding the stock code needs no mask
    for count in range(limit):
        states = trunk.extend(ids, lower, None if even else mask)
        hidden = tail.hidden(states, None if even else mask, upper)[:, -1]
        chosen: list[int] = tail.head(hidden).argmax(dim=-1).tolist()
        for row in list(open_rows):
            if chosen[row] in ends:
                open_rows.discard(row)
            else:
                replies[row].append(chosen[row])
        if not open_rows:
            break
        ids = torch.tensor(chosen, device=ids.device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        tell((count + 1) / limit)
    return [Written(reply, row not in open_rows) for row, reply in enumerate(replies)]


def _groups(prompts: Sequence[list[int]]) -> Iterator[list[int]]:
    """Give the numbers of the prompts in batches of like length."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


def _pad_left(sequences: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, sequences))
    ids = torch.tensor([[0] * (width - len(tokens)) + tokens for tokens in sequences])
    mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in sequences])
    return ids, mask
