"""What can be asked of a catalog: every word of the text, and every condition, must fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """What is looked for; what is empty or None fits everything.

    Attributes:
        text: Words, each of which stands somewhere in name, title, summary, tags or publisher.
        base: Fingerprint of a base, its beginning, or a part of its id.
        tags: All of them.
        licence: SPDX, its beginning.
        largest: Bytes of the file.
        publisher: Its name.
    """

    text: str = ""
    base: str = ""
    tags: Sequence[str] = ()
    licence: str = ""
    largest: int | None = None
    publisher: str = ""
