"""Conversations, and those from and for elsewhere."""

from __future__ import annotations

from pydantic import Field

from ..exchange import ExportResult, ImportPreview, ImportReading, ImportResult
from ..records import (
    Conversation,
    Message,
    SearchHit,
)
from .request import Request


class ListConversations(Request[list[Conversation]]):
    """Conversations, the latest first; of one slot or of all."""

    method = "conversations.list"
    slot: str | None = None
    limit: int = Field(default=100, ge=1, le=10_000)
    offset: int = Field(default=0, ge=0)


class CreateConversation(Request[Conversation]):
    """Begin an empty conversation in a slot. The title follows from the first message where it is empty."""

    method = "conversations.create"
    slot: str
    title: str = ""


class RenameConversation(Request[Conversation]):
    """Give a conversation another title."""

    method = "conversations.rename"
    conversation: int
    title: str


class DeleteConversation(Request[None]):
    """Put a conversation away; ``conversations.restore`` brings it back."""

    method = "conversations.delete"
    conversation: int


class RestoreConversation(Request[Conversation]):
    """Bring a deleted conversation back."""

    method = "conversations.restore"
    conversation: int


class ListMessages(Request[list[Message]]):
    """The messages of a conversation in order; the last ``limit`` before message ``before``, where given."""

    method = "conversations.messages"
    conversation: int
    before: int | None = None
    limit: int = Field(default=1000, ge=1, le=100_000)


class SearchConversations(Request[list[SearchHit]]):
    """Full-text search over all messages; words are prefixes, all of them must occur."""

    method = "conversations.search"
    query: str
    limit: int = Field(default=50, ge=1, le=1000)


# -- conversations from and for elsewhere: answered without a base -----------------------------------------------------


class PreviewImport(Request[ImportPreview]):
    """Look what importing a file, a folder or an archive would bring; ``file`` is a whole path.

    Told: ``import.progress``.
    """

    method = "imports.preview"
    file: str


class RunImport(Request[ImportResult]):
    """Import what is new in a file. Told: ``import.progress``.

    ``slot`` None: each conversation into the slot that the file names for it, else into the first.
    """

    method = "imports.run"
    file: str
    slot: str | None = None


class ReadImported(Request[ImportReading]):
    """Read what was imported, and not read yet, for what it teaches. Told: ``import.progress``.

    Lessons from it wait to be confirmed, but those that the user said to be for good. ``conversation`` None: all.
    """

    method = "imports.read"
    conversation: int | None = None


class CancelImport(Request[bool]):
    """Stop the preview, the import or the reading; what is stored stays, and the next one goes on. False: none."""

    method = "imports.cancel"


class ExportConversations(Request[ExportResult]):
    """Write conversations to a file: those named, or of a slot, or all. Told: ``import.progress``.

    ``form`` is one of ``ExportForm``, or the name of an exporter that a plugin supplies.
    """

    method = "exports.run"
    file: str
    form: str
    conversations: list[int] = Field(default_factory=list)
    slot: str | None = None
    lessons: bool = False
