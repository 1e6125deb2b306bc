"""Chat: what is said, and what several slots say."""

from __future__ import annotations

from pydantic import Field

from ..records import (
    Answered,
    Compared,
    GivenTurn,
    Message,
    Record,
)
from .request import Request


class Sampling(Record):
    """How tokens are chosen. Temperature 0 takes the likeliest token. None: the slot's own temperature."""

    temperature: float | None = Field(default=None, ge=0.0, le=5.0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    seed: int | None = None
    max_tokens: int = Field(default=512, ge=1, le=100_000)


class SendMessage(Request[Message]):
    """Say something; told: ``message.added`` (the user's), ``signal.noted``, ``reply.delta``. Returns the reply.

    ``blend``: slots and their weights that this one reply is spoken with; None: as the slot is set.
    """

    method = "chat.send"
    conversation: int
    text: str
    sampling: Sampling = Sampling()
    blend: dict[str, float] | None = None


class Regenerate(Request[Message]):
    """Answer again in place of the last reply of the conversation. Told: ``reply.delta``. Returns the new reply.

    ``blend`` as of ``chat.send``.
    """

    method = "chat.regenerate"
    conversation: int
    sampling: Sampling = Sampling()
    blend: dict[str, float] | None = None


class CancelReply(Request[bool]):
    """Stop the reply that is being written in a conversation; what was said stays. False: nothing was running."""

    method = "chat.cancel"
    conversation: int


class AnswerTurns(Request[Answered]):
    """Answer a chat whose history the caller brings, with the voice of a slot. Told: ``reply.delta``.

    Nothing is stored. ``conversation`` is a number below 0 that the caller chooses: events carry it, and
    ``chat.cancel`` stops the reply by it. ``slot`` empty: the plain base. ``system`` stands after the system prompt of
    the slot; ``memory`` False leaves out what is known of the user. The reply ends before the first of ``stop`` that it
    would say.
    """

    method = "chat.answer"
    conversation: int = Field(lt=0)
    slot: str
    turns: list[GivenTurn] = Field(min_length=1)
    system: str = ""
    memory: bool = True
    sampling: Sampling = Sampling()
    stop: list[str] = Field(default_factory=list)


class KeepAnswer(Request[Message]):
    """Store a chat that ``chat.answer`` answered as a conversation of a slot, so that it can be corrected.

    Returns the reply. It does not count in the quality of a generation: only what is corrected is ever kept.
    """

    method = "chat.keep"
    slot: str
    turns: list[GivenTurn] = Field(min_length=1)
    reply: Answered


class NoteWords(Request[Message]):
    """Say something that asks for no answer, and is read for what it teaches. Told: ``signal.noted``."""

    method = "chat.note"
    conversation: int
    text: str


class CompareSlots(Request[list[Compared]]):
    """Ask several slots the same at once, with the system prompt of the first. Nothing is stored.

    Told: ``compare.delta``.
    """

    method = "slots.compare"
    text: str
    slots: list[str]
    sampling: Sampling = Sampling()


class CancelCompare(Request[bool]):
    """Stop what several slots, or generations, are saying; what was said is returned. False: nothing was running."""

    method = "slots.compare.cancel"


class EditReply(Request[Message]):
    """Replace the model's reply by the user's own wording: a correction. Told: ``signal.noted``."""

    method = "chat.edit"
    message: int
    text: str


class Thumb(Request[Message]):
    """Rate a reply: 1 up, -1 down, 0 takes it back. Told: ``signal.noted``."""

    method = "chat.thumb"
    message: int
    value: int = Field(ge=-1, le=1)


class Copied(Request[Message]):
    """Note that the user took a reply to use it elsewhere. Told: ``signal.noted``, the first time."""

    method = "chat.copied"
    message: int
