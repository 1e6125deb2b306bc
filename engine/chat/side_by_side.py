"""Several voices answer the same prompt at once: it is read once, and a step is taken for all of them together.

The trunk is the same whoever speaks, and so is the tail but for its updates; reading their weights is what a token
costs, so that a second answer costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...schemas.messages import Sampling
from ...schemas.records import Finish
from ..base.halves import Tail, open_tail, open_trunk, step_together
from ..base.library import LoadedBase
from ..slots.blend import Voice
from ..slots.voices import Voices
from .chat import Reply
from .detokenize import Detokenizer
from .sampler import Sampler


class SideBySide:
    """Answers with several voices of one base, whose trunk is in this process. One caller at a time."""

    def __init__(self, base: LoadedBase, cut: int) -> None:
        self._base, self._cut = base, cut
        self._trunk = open_trunk(base, cut)
        self._tails: list[tuple[Tail, Voices]] = []

    @torch.inference_mode()
    def answer(
        self,
        prompt: Sequence[int],
        voices: Sequence[Voice],
        sampling: Sampling,
        on_text: Callable[[int, str], None] = lambda number, piece: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Reply]:
        """Return what each voice says to a prompt.

        Args:
            prompt: Token ids, up to where the reply begins.
            voices: Who answers.
            sampling: Alike for all; temperature None counts as 0.
            on_text: Called with the number of the voice and each piece of text, whole characters only.
            cancelled: Asked before each token.

        Raises:
            Damaged, BaseMismatch: If an adapter cannot be used.
        """
        room = min(len(prompt) + sampling.max_tokens, self._base.card.context)
        limit = room - len(prompt)
        while len(self._tails) < len(voices):
            tail = open_tail(self._base, self._cut)
            self._tails.append((tail, Voices(tail)))
        lower = self._trunk.new_rows(len(voices), room)
        (states,) = self._trunk.fill(lower, [0], [prompt])
        speakers = []
        for number, voice in enumerate(voices):
            if number:
                lower.move(0, number)
            tail, known = self._tails[number]
            known.speak_with(voice)
            upper = tail.new_rows(1, room)
            (rows,) = tail.fill(upper, [0], [states.to(tail.device)])
            detokenizer = Detokenizer(self._base.tokenizer)
            speakers.append(_Speaker(number, tail, upper, rows[-1:], prompt, Sampler(sampling), detokenizer))
        self._write(lower, speakers, limit, on_text, cancelled)
        return [speaker.reply() for speaker in speakers]

    def _write(
        self,
        lower: Any,
        speakers: list[_Speaker],
        limit: int,
        on_text: Callable[[int, str], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Take tokens until every speaker has ended; those that still speak have the first rows."""
        ends = frozenset(self._base.card.end_of_turn)
        speaking = list(speakers)
        while True:
            if cancelled():
                for speaker in speaking:
                    speaker.finish = Finish.CANCELLED
            else:
                heads = self._tails[0][0].ranked(torch.cat([speaker.row for speaker in speaking]))
                for speaker, logits in zip(speaking, heads, strict=True):
                    piece = speaker.take(logits, ends, limit)
                    if piece:
                        on_text(speaker.number, piece)
            for place in reversed(range(len(speaking))):
                if speaking[place].finish is not None:
                    rest = speaking[place].detokenizer.flush()
                    if rest:
                        on_text(speaking[place].number, rest)
                    last = len(speaking) - 1
                    if place != last:
                        lower.move(last, place)
                        speaking[place] = speaking[last]
                    speaking.pop()
            if not speaking:
                return
            tokens = torch.tensor([speaker.said[-1] for speaker in speaking], device=self._trunk.device)
            states = self._trunk.step(lower, tokens).to(self._tails[0][0].device)
            uppers = [speaker.upper for speaker in speaking]
            rows = step_together([speaker.tail for speaker in speaking], uppers, states)
            for speaker, row in zip(speaking, torch.split(rows, 1), strict=True):
                speaker.row = row


@dataclass
class _Speaker:
    """One voice on its way through its answer; ``row`` is what the head makes its next token of, ``(1, d)``."""

    number: int
    tail: Tail
    upper: Any
    row: Tensor
    prompt: Sequence[int]
    sampler: Sampler
    detokenizer: Detokenizer
    said: list[int] = field(default_factory=list)
    finish: Finish | None = None

    def take(self, logits: Tensor, ends: frozenset[int], limit: int) -> str:
        """Choose the next token and return the text that is certain with it."""
        token = self.sampler.choose(logits, [*self.prompt, *self.said])
        if token in ends:
            self.finish = Finish.STOP
            return ""
        self.said.append(token)
        if len(self.said) >= limit:
            self.finish = Finish.LENGTH
        return self.detokenizer.feed(token)

    def reply(self) -> Reply:
        return Reply(self.detokenizer.text, self.finish or Finish.CANCELLED, len(self.said))
