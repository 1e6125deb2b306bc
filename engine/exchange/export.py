"""Conversations as files: Markdown for people, JSON lines for other programs, and Night School's own, with everything.

None lets through what a terminal would take for a command: the text may hold anything a user or a model wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...schemas.errors import UsageError
from ...schemas.exchange import OWN_FORMAT, ExportForm, ExportResult
from ...schemas.records import Conversation, Message, Record, Role
from ..files import replacing
from ..records import Records
from ..slots.store import SlotStore
from .contracts import Exporter

PAGE = 1000
_NAMES = {Role.USER: "You", Role.ASSISTANT: "Night School"}
_SHAREGPT = {Role.USER: "human", Role.ASSISTANT: "gpt"}
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LATE_COMMANDS = re.compile("[\x7f-\x9f]")


@dataclass(frozen=True)
class Choice:
    """What is written: some conversations, or those of a slot, or all; with lessons of the same slots or without.

    ``form`` is one of ours, or what a plugin supplies.
    """

    form: ExportForm | Exporter
    numbers: Sequence[int] = ()
    slot: str | None = None
    lessons: bool = False


def export(
    path: Path, choice: Choice, records: Records, store: SlotStore, tell: Callable[[float], None] = lambda share: None
) -> ExportResult:
    """Write a file, as a whole or not at all; ``tell`` is told the share that is written, and may raise to stop it.

    Raises:
        NotFound: If a conversation does not exist.
        UsageError: If lessons are wanted in a form that has no place for them.
        StorageError: If the file cannot be written.
        PluginError: If a plugin's exporter fails.
    """
    if choice.lessons and choice.form is not ExportForm.NIGHTSCHOOL:
        raise UsageError("Only Night School's own form has a place for lessons; choose that, or leave them out.")
    chosen = [records.conversation(number) for number in dict.fromkeys(choice.numbers)]
    here = {slot.name for slot in store.list()}
    rows = chosen or [row for row in _all(records, choice.slot) if row.messages and row.slot in here]
    lessons = 0
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        if choice.form is ExportForm.NIGHTSCHOOL:
            for kind, record in _surroundings(rows, choice, records, store):
                stream.write(own_line(kind, record) + "\n")
                lessons += kind == "lesson"
        if not isinstance(choice.form, ExportForm):
            stream.write(choice.form.begin())
        systems = {slot.name: slot.system_prompt for slot in store.list()}
        for place, row in enumerate(rows):
            stream.write("\n" if place and choice.form is ExportForm.MARKDOWN else "")
            stream.write(_written(row, choice.form, records, systems.get(row.slot, "")))
            tell((place + 1) / len(rows))
        if not isinstance(choice.form, ExportForm):
            stream.write(choice.form.end())
    return ExportResult(file=str(path), conversations=len(rows), lessons=lessons)


def _all(records: Records, slot: str | None) -> list[Conversation]:
    """Return the conversations of a slot or all, the latest first."""
    rows: list[Conversation] = []
    while page := records.list_conversations(slot, PAGE, len(rows)):
        rows += page
    return rows


def _surroundings(
    rows: Sequence[Conversation], choice: Choice, records: Records, store: SlotStore
) -> Iterator[tuple[str, Record]]:
    """Give the slots that the conversations are of, and their lessons where these are wanted."""
    named, here = {row.slot for row in rows}, {slot.name for slot in store.list()}
    lessons = []
    if choice.lessons:
        among = {choice.slot} if choice.slot is not None else named if choice.numbers else None
        lessons = [one for one in reversed(records.lessons()) if one.slot in (here if among is None else among)]
    named |= {lesson.slot for lesson in lessons}
    yield from (("slot", slot) for slot in store.list() if slot.name in named)
    yield from (("lesson", lesson) for lesson in lessons)


def _written(row: Conversation, form: ExportForm | Exporter, records: Records, system: str) -> str:
    if not isinstance(form, ExportForm):
        return form.write(records.transcript(row.id))
    if form is ExportForm.NIGHTSCHOOL:
        return own_line("conversation", records.transcript(row.id)) + "\n"
    messages = records.messages(row.id, limit=max(row.messages, 1))
    if form is ExportForm.MARKDOWN:
        return to_markdown(row, messages)
    return (to_openai_line if form is ExportForm.JSONL else to_sharegpt_line)(messages, system) + "\n"


def to_markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    """Return a conversation as a Markdown document; control characters other than tab and newline are left out."""
    began = datetime.fromtimestamp(conversation.created, UTC)
    parts = [f"# {conversation.title or 'Untitled'}", f"{conversation.slot} · {began:%Y-%m-%d %H:%M} UTC"]
    for message in messages:
        edited = " (edited by you)" if message.original is not None else ""
        parts += [f"## {_speaker(conversation, message)}{edited}", message.text.replace("\r\n", "\n").strip("\n")]
    return _COMMANDS.sub("", "\n\n".join(parts)) + "\n"


def _speaker(conversation: Conversation, message: Message) -> str:
    """Return who said a message; a reply of another chat is not ours."""
    foreign = conversation.origin and message.role is Role.ASSISTANT and message.version is None
    return conversation.origin if foreign else _NAMES[message.role]


def to_openai_line(messages: Sequence[Message], system: str = "") -> str:
    """Return a conversation as one JSON line ``{"messages": [{"role": ..., "content": ...}, ...]}`` without newline."""
    turns = [{"role": "system", "content": system}] if system else []
    turns += [{"role": message.role.value, "content": message.text} for message in messages]
    return _line({"messages": turns})


def to_sharegpt_line(messages: Sequence[Message], system: str = "") -> str:
    """Return a conversation as one JSON line ``{"conversations": [{"from": ..., "value": ...}, ...]}``."""
    turns = [{"from": "system", "value": system}] if system else []
    turns += [{"from": _SHAREGPT[message.role], "value": message.text} for message in messages]
    return _line({"conversations": turns})


def own_line(kind: str, record: Record) -> str:
    """Return a slot, a lesson or a conversation as a line of Night School's own format, without newline."""
    return _line({"nightschool": OWN_FORMAT, kind: record.model_dump(mode="json", exclude_defaults=True)})


def _line(values: dict[str, Any]) -> str:
    line = json.dumps(values, ensure_ascii=False)
    # json escapes the controls below U+0020 itself; the others occur only inside strings, where an escape may stand.
    return _LATE_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
