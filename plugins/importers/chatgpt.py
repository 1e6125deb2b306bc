"""ChatGPT's export: ``conversations.json``, or in parts ``conversations-000.json``, a tree for every conversation.

Each entry has a ``mapping`` of nodes (``message``, ``parent``, ``children``) and the ``current_node``: the end of the
branch that the user sees. Other branches are replies that were asked again and questions that were edited.
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

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
_SPOKEN = ("text", "multimodal_text")
"""Kinds of content that are said; the others are code for tools, their output, thoughts, custom instructions."""
NO_TREE = "damaged: its messages are not a tree"


@hookimpl
def nightschool_importers() -> list[Importer]:
    """Supply the reader of ChatGPT's exports."""
    return [ChatGPT()]


class ChatGPT:
    """Reads the current branch of each conversation: what the user sees of it."""

    name = "chatgpt"
    title = "ChatGPT (conversations.json, or its zip)"

    def recognises(self, head: bytes) -> bool:
        """Whether the first entry has a tree of messages."""
        return "mapping" in first_keys(head)

    def read(self, stream: BinaryIO) -> Iterator[Item]:
        """Give the conversations."""
        for entry in entries(stream):
            yield entry if isinstance(entry, Skipped) else _conversation(entry)


def _conversation(entry: dict[str, Any]) -> Transcript | Skipped:
    mapping = entry.get("mapping")
    if not isinstance(mapping, dict):
        return Skipped(reason=NO_TREE, title=text_of(entry.get("title"))[:200])
    return transcript(
        _turns(mapping, entry.get("current_node")),
        id=entry.get("conversation_id") or entry.get("id"),
        title=entry.get("title"),
        created=entry.get("create_time"),
        updated=entry.get("update_time"),
    )


def _turns(mapping: dict[str, Any], end: object) -> Iterator[TranscriptTurn]:
    for node in _branch(mapping, end):
        message = node.get("message")
        if isinstance(message, dict) and (said := _turn(message)) is not None:
            yield said


def _branch(mapping: dict[str, Any], end: object) -> list[dict[str, Any]]:
    """Return the nodes from the first to the current one; without that, to the last leaf of the file."""
    if not isinstance(end, str) or end not in mapping:
        leaves = [name for name, node in mapping.items() if isinstance(node, dict) and not node.get("children")]
        end = leaves[-1] if leaves else None
    branch: list[dict[str, Any]] = []
    seen: set[str] = set()
    while isinstance(end, str) and end not in seen and isinstance(node := mapping.get(end), dict):
        seen.add(end)  # a tree that goes in circles is followed once around
        branch.append(node)
        end = node.get("parent")
    return branch[::-1]


def _turn(message: dict[str, Any]) -> TranscriptTurn | None:
    """Return what a message says to the other side; None where it says nothing to be seen."""
    author, content, metadata = (message.get(key) for key in ("author", "content", "metadata"))
    role = _ROLES.get(str(author.get("role"))) if isinstance(author, dict) else None
    if role is None or not isinstance(content, dict) or content.get("content_type") not in _SPOKEN:
        return None
    hidden = isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation")
    aside = message.get("recipient") not in (None, "", "all")  # to a tool
    if hidden or aside or message.get("weight") in (0, 0.0) or message.get("channel") in ("analysis", "commentary"):
        return None
    parts = content.get("parts")
    words = [_words(part) for part in parts] if isinstance(parts, list) else []
    text = "\n\n".join(part for part in words if part.strip())
    return turn(role, text, id=message.get("id"), created=message.get("create_time"))


def _words(part: object) -> str:
    """Return the words of a part: a text, or what was said aloud; of pictures and files nothing."""
    if isinstance(part, dict):
        return text_of(part.get("text"))
    return text_of(part)
