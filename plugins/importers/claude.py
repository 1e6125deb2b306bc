"""Claude's export: ``conversations.json`` with a list of ``chat_messages`` for every conversation.

Each message has a ``sender``, ``content`` blocks (``text``, ``thinking``, ``tool_use``, ``tool_result``) and a ``text``
that repeats the blocks as one, with a placeholder for each tool; older exports have the text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ...engine.exchange.contracts import Importer, Item
from ...engine.exchange.entries import entries, first_keys
from ...engine.exchange.turns import text_of, transcript, turn
from ...engine.host.hooks import hookimpl
from ...schemas.exchange import Skipped, Transcript, TranscriptTurn
from ...schemas.records import Role

_ROLES = {"human": Role.USER, "assistant": Role.ASSISTANT}
NO_MESSAGES = "damaged: it has no list of messages"


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the reader of Claude's exports."""
    return [Claude()]


class Claude:
    """Reads what both sides said; thoughts, tools and attached files are left out."""

    name = "claude"
    title = "Claude (conversations.json, or its zip)"

    def recognises(self, head: bytes) -> bool:
        """Whether the first entry has chat messages."""
        return "chat_messages" in first_keys(head)

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give the conversations."""
        for entry in entries(stream):
            yield entry if isinstance(entry, Skipped) else _conversation(entry)


def _conversation(entry: dict[str, Any]) -> Transcript | Skipped:
    messages = entry.get("chat_messages")
    if not isinstance(messages, list):
        return Skipped(reason=NO_MESSAGES, title=text_of(entry.get("name"))[:200])
    return transcript(
        _turns(_branch([message for message in messages if isinstance(message, dict)])),
        id=entry.get("uuid"),
        title=entry.get("name"),
        created=entry.get("created_at"),
        updated=entry.get("updated_at"),
    )


def _branch(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages that lead to the last one; all of them where they do not say what they follow."""
    by_id = {message["uuid"]: message for message in messages if isinstance(message.get("uuid"), str)}
    if not any(_follows(message) in by_id for message in messages):
        return messages
    branch: list[dict[str, Any]] = []
    seen: set[int] = set()
    message: dict[str, Any] | None = messages[-1]
    while message is not None and id(message) not in seen:
        seen.add(id(message))
        branch.append(message)
        message = by_id.get(_follows(message))
    return branch[::-1]


def _follows(message: dict[str, Any]) -> str:
    return text_of(message.get("parent_message_uuid"))


def _turns(messages: list[dict[str, Any]]) -> Iterator[TranscriptTurn]:
    for message in messages:
        role = _ROLES.get(str(message.get("sender")))
        if role is not None:
            yield turn(role, _text(message), id=message.get("uuid"), created=message.get("created_at"))


def _text(message: dict[str, Any]) -> str:
    blocks = message.get("content")
    if isinstance(blocks, list):
        words = [text_of(one.get("text")) for one in blocks if isinstance(one, dict) and one.get("type") == "text"]
        text = "\n\n".join(part for part in words if part.strip())
        if text or blocks:
            return text
    return text_of(message.get("text"))
