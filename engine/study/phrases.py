"""What a candidate says to held-out prompts, for whoever must guess it: which words the plain base would not say.

A base elsewhere guesses as it speaks itself; the phrases of a slot are known from its first reply on (``chat/habits``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..chat.habits import Said
from ..chat.prompt import prompt_tokens, reply_tokens
from .cut_base import CutBase
from .prompts import bank

MOST = 16
"""Replies that are heard."""
_BEFORE = 2  # tokens of the prompt that are kept
_TOKENS = 160  # of a reply


async def hear(whole: CutBase, replies: Mapping[str, str]) -> list[Said]:
    """Return some replies by prompt as they are to be guessed; the tail must be plain.

    Of what is no prompt of the bank, as questions for the user's own facts, nothing is kept.
    """
    ours = {prompt.text for prompt in bank()}
    pairs = [(prompt, reply) for prompt, reply in replies.items() if reply and prompt in ours][:MOST]
    asked = [prompt_tokens(whole.base, prompt, whole.system) for prompt, _ in pairs]
    said = [reply_tokens(whole.base, reply)[:_TOKENS] for _, reply in pairs]
    if not pairs:
        return []
    inputs = [prompt + reply[:-1] for prompt, reply in zip(asked, said, strict=True)]
    states = await whole.provider.states(inputs, whole.cut)
    with torch.inference_mode():
        rows = whole.tail.sequences([given.rows.to(whole.tail.device) for given in states], inputs)
        guesses = [
            whole.tail.ranked(part[-len(reply) :]).argmax(dim=-1).tolist()
            for part, reply in zip(rows, said, strict=True)
        ]
    return [
        Said(
            after=prompt[-_BEFORE:],
            tokens=reply,
            surprising=[place for place, token in enumerate(reply) if token != guess[place]],
        )
        for prompt, reply, guess in zip(asked, said, guesses, strict=True)
    ]
