"""OpenAI's chat format, as fine-tuning takes it: a line ``{"messages": [{"role": "user", "content": "..."}]}`` each.

``content`` is a text or a list of parts ``{"type": "text", "text": "..."}``; ``weight`` 0 marks a reply that is not to
be learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ...engine.exchange.contracts import Importer, Item
from ...engine.exchange.entries import entries, first_keys
from ...engine.exchange.turns import text_of, transcript, turn
from ...engine.host.hooks import hookimpl
from ...schemas.exchange import Skipped, Transcript
from ...schemas.records import Role

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
NO_MESSAGES = "damaged: it has no list of messages"


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the reader of OpenAI's format."""
    return [OpenAI()]


class OpenAI:
    """Reads what both sides said; system prompts, tool calls and their results are left out."""

    name = "openai"
    title = 'OpenAI-style chats (.jsonl with "messages")'

    def recognises(self, head: bytes) -> bool:
        """Whether the first entry has messages with roles."""
        return "messages" in first_keys(head) and b'"role"' in head

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give the conversations."""
        for entry in entries(stream):
            yield entry if isinstance(entry, Skipped) else _conversation(entry)


def _conversation(entry: dict[str, Any]) -> Transcript | Skipped:
    messages = entry.get("messages")
    if not isinstance(messages, list):
        return Skipped(reason=NO_MESSAGES)
    said = (
        turn(role, _words(message.get("content")))
        for message in messages
        if isinstance(message, dict)
        and (role := _ROLES.get(str(message.get("role")))) is not None
        and message.get("weight") not in (0, 0.0)
    )
    return transcript(said, id=entry.get("id"), title=entry.get("title"), created=entry.get("created"))


def _words(content: object) -> str:
    if not isinstance(content, list):
        return text_of(content)
    words = (text_of(part.get("text")) for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "\n\n".join(part for part in words if part.strip())
