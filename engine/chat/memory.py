"""What the model is told of the user, beside the slot's system prompt: notes in words, within a bound."""

from __future__ import annotations

from collections.abc import Sequence

MOST_CHARACTERS = 1200
"""Of all notes in a prompt: some 300 tokens that every reply pays for."""
HEADING = "What the user said about themselves:"


def with_memory(system: str, notes: Sequence[str]) -> str:
    """Return a system prompt with notes, the oldest first; where they are too many the newest are kept.

    Args:
        system: The slot's own; empty where it has none.
        notes: A line each, the oldest first.
    """
    kept: list[str] = []
    room = MOST_CHARACTERS
    for note in reversed(notes):
        line = f"- {' '.join(note.split())}"
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    if not kept:
        return system
    memory = "\n".join([HEADING, *reversed(kept)])
    return f"{system}\n\n{memory}" if system else memory
