"""Conversations as text that other programs read: Markdown for people, OpenAI-style JSON lines for tools.

Neither lets through what a terminal would take for a command: the text may hold anything a user or a model wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from ...schemas.records import Conversation, Message, Role

_NAMES = {Role.USER: "You", Role.ASSISTANT: "Night School"}
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LATE_COMMANDS = re.compile("[\x7f-\x9f]")


def to_markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    """Return a conversation as a Markdown document; control characters other than tab and newline are left out."""
    began = datetime.fromtimestamp(conversation.created, UTC)
    parts = [f"# {conversation.title or 'Untitled'}", f"{conversation.slot} · {began:%Y-%m-%d %H:%M} UTC"]
    for message in messages:
        edited = " (edited by you)" if message.original is not None else ""
        parts += [f"## {_NAMES[message.role]}{edited}", message.text.replace("\r\n", "\n").strip("\n")]
    return _COMMANDS.sub("", "\n\n".join(parts)) + "\n"


def to_openai_line(messages: Sequence[Message], system: str = "") -> str:
    """Return a conversation as one JSON line ``{"messages": [{"role": ..., "content": ...}, ...]}`` without newline."""
    turns = [{"role": "system", "content": system}] if system else []
    turns += [{"role": message.role.value, "content": message.text} for message in messages]
    line = json.dumps({"messages": turns}, ensure_ascii=False)
    # json escapes the controls below U+0020 itself; the others occur only inside strings, where an escape may stand.
    return _LATE_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
