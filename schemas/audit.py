"""What a version of a slot could give away of the user who taught it."""

from __future__ import annotations

from pydantic import Field

from .records import Record


class Finding(Record):
    """A string out of the user's own words that a version tells more readily than its base.

    Attributes:
        name: Short and always the same for the same string: what an acceptance is noted under.
        kind: ``name``, ``mail``, ``number``, ``key`` or ``link``.
        text: The string itself.
        lesson: Of whose words.
        said: Replies that contained it, where the base's reply to the same question did not.
        asked: The first question that was answered so; empty: none was.
        gain: Nats; by how much likelier it became, as a whole, in the place where it became so most.
        likelihood: Its probability there now.
    """

    name: str
    kind: str
    text: str
    lesson: int
    said: int = 0
    asked: str = ""
    gain: float = 0.0
    likelihood: float = 0.0


class Audit(Record):
    """What was looked for, and found.

    Attributes:
        strings: How many were looked for.
        replies: How many replies were read.
        findings: The worst first.
    """

    slot: str
    number: int
    strings: int
    replies: int
    findings: list[Finding] = Field(default_factory=list)
    seconds: float = 0.0
