"""What the benchmarks of a chat share: the model as the engine wakes it, texts of a length, a reply and its times."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightschool.engine.base.library import LoadedBase
from nightschool.engine.chat.chat import Reply, Turn
from nightschool.engine.chat.prompt import encode
from nightschool.engine.host.model_thread import Model, ModelThread
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.paths import Home
from nightschool.engine.study.prompts import neutral
from nightschool.schemas.messages import Sampling


@dataclass(frozen=True)
class Timed:
    """A reply and how it came.

    Attributes:
        first_s: Seconds from the call to the first piece of text.
        rest_s: Seconds from there to the end.
        read: Tokens that went through the trunk before the first piece.
    """

    reply: Reply
    first_s: float
    rest_s: float
    read: int

    @property
    def rate(self) -> float:
        """Tokens a second once the first was there; 0 where none came."""
        return self.reply.tokens / self.rest_s if self.rest_s else 0.0


async def wake(home: Home, spec: str) -> ModelThread:
    """Load a base as the engine does, in the numbers that are quickest here.

    Raises:
        NightSchoolError: If it cannot be loaded.
    """
    thread = ModelThread(home, spec, PluginHost.load(), lambda status: None)
    thread.start()
    await thread.model()
    return thread


async def timed_reply(
    model: Model, conversation: int, turns: Sequence[Turn], *, tokens: int, adapter: Path | None = None
) -> Timed:
    """Have the last turn answered greedily, in at most so many tokens."""
    before = model.chat.computed
    first: list[tuple[float, int]] = []

    def on_text(text: str) -> None:
        if not first:
            first.append((time.perf_counter(), model.chat.computed - before))

    began = time.perf_counter()
    reply = await model.chat.reply(
        conversation,
        turns,
        system="",
        adapter=adapter,
        sampling=Sampling(temperature=0.0, max_tokens=tokens),
        on_text=on_text,
        cancelled=lambda: False,
    )
    ended = time.perf_counter()
    at, read = first[0] if first else (ended, model.chat.computed - before)  # nothing to say is said at the end
    return Timed(reply, at - began, ended - at, read)


def text_of(base: LoadedBase, tokens: int, number: int) -> str:
    """Return prose of as many whole words as fit ``tokens``; another one for each ``number``."""
    words = " ".join(neutral()).split()
    start = number * 397 % len(words)  # a prime, so that many numbers begin at many places
    words = (words[start:] + words[:start]) * (1 + tokens // len(words))
    fits, too_many = 0, len(words) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(encode(base, " ".join(words[:middle]))) <= tokens:
            fits = middle
        else:
            too_many = middle
    return " ".join(words[:fits])


def tell(row: dict[str, Any], as_json: bool) -> None:
    """Print one figure."""
    print(json.dumps(row) if as_json else "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
