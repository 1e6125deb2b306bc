"""From the turns of a conversation to the tokens the model reads: the base's own chat template, and what fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...schemas.errors import ModelError, PromptTooLong
from ...schemas.records import Role
from ..base.library import LoadedBase


@dataclass(frozen=True)
class Turn:
    """What one side said."""

    role: Role
    text: str


def render(base: LoadedBase, turns: Sequence[Turn], system: str = "") -> str:
    """Return the text the model reads, up to where its reply begins.

    Raises:
        ModelError: If the base has no chat template, or its template refuses these turns.
    """
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": turn.role.value, "content": turn.text} for turn in turns]
    tokenizer: Any = base.tokenizer
    if not tokenizer.chat_template:
        raise ModelError(f"{base.card.name} has no chat template; use a base that was made for chats.")
    from jinja2 import TemplateError

    try:
        return cast("str", tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        raise ModelError(f"The chat template of {base.card.name} refuses this chat: {error}.") from error


def encode(base: LoadedBase, text: str) -> list[int]:
    """Return the tokens of a rendered text; its turn markers become the special tokens they are."""
    tokenizer: Any = base.tokenizer
    return cast("list[int]", tokenizer(text, add_special_tokens=False)["input_ids"])


def prompt_tokens(base: LoadedBase, prompt: str, system: str = "") -> list[int]:
    """Return the tokens of a fresh conversation with one question."""
    return encode(base, render(base, [Turn(Role.USER, prompt)], system))


def reply_tokens(base: LoadedBase, text: str) -> list[int]:
    """Return the tokens of a reply's text alone, without an end of turn."""
    return encode(base, text)


def check_all_fits(base: LoadedBase, turns: Sequence[Turn], system: str, room: int) -> None:
    """Refuse turns that can only be read without the oldest of them; arguments as of :func:`fit`.

    Raises:
        PromptTooLong: If they do not all fit.
    """
    limit = base.card.context - room
    whole = render(base, turns, system)
    if len(whole.encode()) > limit and (needed := len(encode(base, whole))) > limit:
        raise PromptTooLong(
            f"The messages take {needed} tokens and {base.card.name} reads {limit} at once beside its reply; "
            "leave out the oldest, or shorten them."
        )


def fit(base: LoadedBase, turns: Sequence[Turn], system: str, room: int) -> str:
    """Return the rendered turns, without the oldest ones where the base's context is too short for all.

    When turns must go, enough go at once to leave half the context free, so that the next few turns find their past
    where it was, in the key-value cache.

    Args:
        base: Whose template and context count.
        turns: The whole history; the last one is the user's.
        system: The slot's system prompt; never dropped.
        room: Tokens to leave for the reply.

    Raises:
        PromptTooLong: If the last message alone does not fit.
    """
    limit = base.card.context - room
    whole = render(base, turns, system)
    # A token is at least a byte of text, and seldom more than a dozen: the cheap test spares encoding most chats twice.
    if len(whole.encode()) <= limit or len(encode(base, whole)) <= limit:
        return whole
    for first in range(2, len(turns), 2):
        shorter = render(base, turns[first:], system)
        if len(encode(base, shorter)) <= limit - base.card.context // 2:
            return shorter
    last = render(base, turns[-1:], system)
    needed = len(encode(base, last))
    if needed > limit:
        raise PromptTooLong(
            f"The message takes {needed} tokens and {base.card.name} reads {limit} at once beside its reply; "
            "shorten it or send it in parts."
        )
    return last
