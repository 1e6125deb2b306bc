"""How answers look: the objects of OpenAI's chat completions, as plain JSON values."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from ...schemas.cards import BaseCard
from ...schemas.events import SignalEvent
from ...schemas.records import Answered, Finish, Message, Slot

PLAIN = "plain_base"
"""Name of the model that nothing was taught; no slot can be called so."""
DONE = b"data: [DONE]\n\n"

_FINISHES = {Finish.STOP: "stop", Finish.LENGTH: "length"}


@dataclass(frozen=True)
class Head:
    """What all pieces of one completion begin with."""

    id: str
    created: int
    model: str

    def whole(self, answered: Answered) -> dict[str, Any]:
        """Return a whole completion."""
        message = {"role": "assistant", "content": answered.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISHES.get(answered.finish, "stop"),
        }
        return {**self._fields("chat.completion"), "choices": [choice], "usage": usage(answered)}

    def first(self, *, counted: bool) -> dict[str, Any]:
        """Return the piece that says who speaks. ``counted``: whether the last piece will count tokens."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None, counted=counted)

    def piece(self, text: str, *, counted: bool) -> dict[str, Any]:
        """Return the piece that adds some text."""
        return self._chunk({"content": text}, None, counted=counted)

    def last(self, answered: Answered, *, counted: bool) -> dict[str, Any]:
        """Return the piece that says why the reply ended."""
        return self._chunk({}, _FINISHES.get(answered.finish, "stop"), counted=counted)

    def count(self, answered: Answered) -> dict[str, Any]:
        """Return the piece that counts tokens."""
        return {**self._fields("chat.completion.chunk"), "choices": [], "usage": usage(answered)}

    def _chunk(self, delta: dict[str, Any], finish: str | None, *, counted: bool) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        fields = {**self._fields("chat.completion.chunk"), "choices": [choice]}
        return {**fields, "usage": None} if counted else fields

    def _fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def new_id() -> str:
    """Return a name for a completion, which nobody can guess."""
    return f"chatcmpl-{secrets.token_hex(12)}"


def usage(answered: Answered) -> dict[str, Any]:
    """Return how many tokens were read and said."""
    return {
        "prompt_tokens": answered.prompt_tokens,
        "completion_tokens": answered.tokens,
        "total_tokens": answered.prompt_tokens + answered.tokens,
        "prompt_tokens_details": {"cached_tokens": answered.held_tokens},
    }


def model(slot: Slot | None, created: float, base: BaseCard | None) -> dict[str, Any]:
    """Return what a slot is as a model; None: the plain base."""
    return {
        "id": slot.name if slot else PLAIN,
        "object": "model",
        "created": int(created),
        "owned_by": "nightschool",
        "name": slot.title if slot else "Plain base",
        "description": slot.description if slot else "The base that nothing was taught.",
        "generation": slot.current if slot else 0,
        "base": base.name if base else None,
        "context_length": base.context if base else None,
    }


def taught(completion: str, kept: Message, signals: list[SignalEvent]) -> dict[str, Any]:
    """Return what came of feedback."""
    return {
        "id": completion,
        "object": "nightschool.feedback",
        "conversation": kept.conversation,
        "message": kept.id,
        "signals": [
            {
                "kind": event.signal.kind.value,
                "lesson": event.lesson
                and {"id": event.lesson.id, "rule": event.lesson.rule, "state": event.lesson.state.value},
            }
            for event in signals
        ],
    }


def sse(values: dict[str, Any]) -> bytes:
    """Return one event of a stream."""
    return b"data: " + json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
