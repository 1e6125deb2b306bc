"""The base's own replies, greedy and without any rule: what is rewritten, held and compared with. Kept on disk.

They depend on the base, the system prompt, the prompt and the limit of tokens alone, so one study's work serves all
later ones of the same base. Those of the default model to the prompt bank ship with the project, so that a first study
need not write them either (``bench/replies.py`` makes the file).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from ..base.library import LoadedBase
from ..files import storage_errors, write_atomic
from .cut_base import CutBase
from .generate import Text

SHIPPED_LIMIT = 144
"""Most tokens of a reply that ships; a study with a smaller limit takes their beginnings."""


class Replies:
    """Replies of a plain base, computed when first asked for in bulk.

    Args:
        whole: The base, and the slot's system prompt.
        folder: Where they are kept; None: nowhere.
        limit: Most tokens of a reply.
    """

    def __init__(self, whole: CutBase, folder: Path | None, limit: int) -> None:
        self._whole, self._limit = whole, limit
        base, system = whole.base, whole.system
        key = hashlib.sha256(json.dumps([base.card.fingerprint, system, limit]).encode()).hexdigest()[:16]
        self._file = folder / f"replies-{key}.json" if folder is not None else None
        self._shipped = _shipped(base, limit) if not system else {}
        self._known: dict[str, Text] = self._read()

    def reply(self, prompt: str) -> Text:
        """Return the reply to a prompt that was given to :meth:`compute` before."""
        return self._known[prompt] if prompt in self._known else self._shipped[prompt]

    def ships(self, prompt: str) -> bool:
        """Whether the reply to a prompt ships with the project, so that asking for it takes no time."""
        return prompt in self._shipped

    def compute(self, prompts: Iterable[str], tell: Callable[[float], None]) -> None:
        """Make sure of the replies to these prompts; the tail must be plain. ``tell`` gets the share done.

        Raises:
            StorageError: If they cannot be kept.
        """
        known = self._known.keys() | self._shipped.keys()
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if not missing:
            return
        said = self._whole.say(missing, limit=self._limit, tell=tell)
        self._known.update(zip(missing, said, strict=True))
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


def shipped_file(fingerprint: str) -> str:
    """Return the name of the data file with the replies of a base, whether or not there is one."""
    return f"{fingerprint[:16]}.json"


def _shipped(base: LoadedBase, limit: int) -> dict[str, Text]:
    """Return what ships of a base's replies, none of most bases, each cut where it would have been at the limit."""
    file = resources.files(__package__).joinpath("data", "replies", shipped_file(base.card.fingerprint))
    if limit > SHIPPED_LIMIT or not file.is_file():
        return {}
    rows: dict[str, tuple[str, bool]] = json.loads(file.read_text(encoding="utf-8"))
    return {prompt: _cut(base, Text(text, finished), limit) for prompt, (text, finished) in rows.items()}


def _cut(base: LoadedBase, reply: Text, limit: int) -> Text:
    tokenizer: Any = base.tokenizer
    tokens = tokenizer(reply.text, add_special_tokens=False)["input_ids"]
    if len(tokens) < limit:
        return reply
    return Text(tokenizer.decode(tokens[:limit], clean_up_tokenization_spaces=False).strip(), finished=False)
