"""ShareGPT's format: entries with ``conversations``, a list of turns ``{"from": "human", "value": "..."}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ...engine.exchange.contracts import Importer, Item
from ...engine.exchange.entries import entries, first_keys
from ...engine.exchange.turns import transcript, turn
from ...engine.host.hooks import hookimpl
from ...schemas.exchange import Skipped, Transcript
from ...schemas.records import Role

_ROLES = {
    "human": Role.USER, "user": Role.USER, "gpt": Role.ASSISTANT, "assistant": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT, "bing": Role.ASSISTANT, "bard": Role.ASSISTANT, "model": Role.ASSISTANT,
}  # fmt: skip
"""Names of both sides in what circulates; ``system``, ``tool``, ``observation``, ``function_call`` are left out."""
NO_TURNS = "damaged: it has no list of turns"


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the reader of ShareGPT's format."""
    return [ShareGPT()]


class ShareGPT:
    """Reads what both sides said."""

    name = "sharegpt"
    title = 'ShareGPT (.json or .jsonl with "conversations")'

    def recognises(self, head: bytes) -> bool:
        """Whether the first entry has turns with ``from`` and ``value``."""
        return "conversations" in first_keys(head) and b'"from"' in head and b'"value"' in head

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give the conversations."""
        for entry in entries(stream):
            yield entry if isinstance(entry, Skipped) else _conversation(entry)


def _conversation(entry: dict[str, Any]) -> Transcript | Skipped:
    turns = entry.get("conversations")
    if not isinstance(turns, list):
        return Skipped(reason=NO_TURNS)
    said = (
        turn(role, one.get("value"))
        for one in turns
        if isinstance(one, dict) and (role := _ROLES.get(str(one.get("from")).lower())) is not None
    )
    return transcript(said, id=entry.get("id"), title=entry.get("title"))
