"""The base's own replies, greedy and without any rule: what is rewritten, held and compared with. Kept on disk.

They depend on the base, the system prompt, the prompt and the limit of tokens alone, so one study's work serves all
later ones of the same base.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.halves import Tail, Trunk
from ..base.library import LoadedBase
from ..chat.prompt import prompt_tokens
from ..files import storage_errors, write_atomic
from .generate import write_greedily


@dataclass(frozen=True)
class Text:
    """A reply; not ``finished`` if it was cut at the limit of tokens."""

    text: str
    finished: bool


class Replies:
    """Replies of a plain base, computed when first asked for in bulk.

    Args:
        base: Whose replies.
        folder: Where they are kept; None: nowhere.
        system: The slot's system prompt.
        limit: Most tokens of a reply.
    """

    def __init__(self, base: LoadedBase, folder: Path | None, system: str, limit: int) -> None:
        self._base = base
        self._system = system
        self._limit = limit
        key = hashlib.sha256(json.dumps([base.card.fingerprint, system, limit]).encode()).hexdigest()[:16]
        self._file = folder / f"replies-{key}.json" if folder is not None else None
        self._known: dict[str, Text] = self._read()

    def reply(self, prompt: str) -> Text:
        """Return the reply to a prompt that was given to :meth:`compute` before."""
        return self._known[prompt]

    def compute(self, prompts: Iterable[str], trunk: Trunk, tail: Tail, tell: Callable[[float], None]) -> None:
        """Make sure of the replies to these prompts; ``tail`` must be plain. ``tell`` gets the share done.

        Raises:
            StorageError: If they cannot be kept.
        """
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if not missing:
            return
        tokens = [prompt_tokens(self._base, prompt, self._system) for prompt in missing]
        written = write_greedily(trunk, tail, tokens, self._base.card.end_of_turn, limit=self._limit, tell=tell)
        tokenizer: Any = self._base.tokenizer
        for prompt, reply in zip(missing, written, strict=True):
            text = tokenizer.decode(reply.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            self._known[prompt] = Text(text.strip(), reply.finished)
        self._write()

    def _read(self) -> dict[str, Text]:
        if self._file is None or not self._file.is_file():
            return {}
        with storage_errors(self._file):
            data = self._file.read_bytes()
        try:
            return {prompt: Text(str(text), bool(finished)) for prompt, (text, finished) in json.loads(data).items()}
        except (ValueError, TypeError, AttributeError):
            return {}  # a cache that does not read back is computed again

    def _write(self) -> None:
        if self._file is not None:
            with storage_errors(self._file):
                self._file.parent.mkdir(parents=True, exist_ok=True)
            rows = {prompt: [reply.text, reply.finished] for prompt, reply in self._known.items()}
            write_atomic(self._file, json.dumps(rows, ensure_ascii=False))
