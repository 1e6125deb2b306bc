"""Which tokens the rules exchange wherever they would be said: for a word that is replaced, for a case of letters.

What a reply shows of such a rule is little: the few places where the old word stands. Where it only was likely, the
base's expectation with the old word's share given to the new one is what the rule asks for (see ``losses``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...schemas.records import Step
from ..base.library import LoadedBase
from ..chat.prompt import encode
from . import compose
from .contracts import Rewriter


class Exchanges:
    """The exchanges of compositions of steps, each worked out once."""

    def __init__(self, base: LoadedBase, rewriters: Sequence[Rewriter]) -> None:
        self._base, self._rewriters = base, rewriters
        self._known: dict[str, Tensor | None] = {}
        self._vocabulary: dict[int, str] = {}

    def of(self, steps: Sequence[Step]) -> Tensor | None:
        """Return pairs ``(k, 2)`` of old and new tokens, -1: any other; equal steps give the very same tensor.

        It lies where the base computes.
        """
        key = "\n".join(step.model_dump_json() for step in steps)
        if key not in self._known:
            pairs = {**self._respelled(steps), **self._replaced(steps)}
            self._known[key] = torch.tensor(list(pairs.items()), device=self._base.device) if pairs else None
        return self._known[key]

    def _replaced(self, steps: Sequence[Step]) -> dict[int, int]:
        """Return the pairs of words that are one token, with and without a capital."""
        found: dict[int, int] = {}
        for old, new in compose.exchanges(self._rewriters, steps):
            capital = (old[:1].upper() + old[1:], new[:1].upper() + new[1:])
            for space, (before, after) in ((" ", (old, new)), (" ", capital), ("", capital)):
                tokens = encode(self._base, space + before)
                after = compose.respell(self._rewriters, steps, after)
                instead = encode(self._base, space + after)[0] if after else -1
                if len(tokens) == 1 and tokens[0] != instead:
                    found[tokens[0]] = instead
        return found

    def _respelled(self, steps: Sequence[Step]) -> dict[int, int]:
        """Return, for every token that the steps spell otherwise, the first token of its other spelling."""
        if not compose.respells(self._rewriters, steps):
            return {}
        tokenizer: Any = self._base.tokenizer
        if not self._vocabulary:
            special = set(tokenizer.all_special_ids)
            texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer)) if token not in special])
            plain = [token for token in range(len(tokenizer)) if token not in special]
            # Half of a character, or a word whose space the decoder drops, does not come back as itself.
            encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
            self._vocabulary = {
                token: text for token, text, back in zip(plain, texts, encoded, strict=True) if back == [token]
            }
        others = {
            token: other
            for token, text in self._vocabulary.items()
            if (other := compose.respell(self._rewriters, steps, text)) != text
        }
        encoded = tokenizer(list(others.values()), add_special_tokens=False)["input_ids"] if others else []
        return {token: tokens[0] for token, tokens in zip(others, encoded, strict=True)}
