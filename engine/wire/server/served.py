"""What a server serves, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....schemas.cards import BaseCard
from ....schemas.hsp import MOST_AHEAD, BaseIdentity, Compute, Description, Limits
from ..codecs import CODECS
from .keys import Key

BODY_BYTES = 4 << 20
"""The largest body of a request: a million tokens of up to four bytes."""


@dataclass(frozen=True)
class Served:
    """What is served, and how.

    Attributes:
        card: Of the base.
        compute: What computes it.
        cuts: That are offered.
        context: Tokens of a sequence at most; None: as many as the base can read.
    """

    card: BaseCard
    compute: Compute
    cuts: tuple[int, ...]
    context: int | None = None

    @property
    def longest(self) -> int:
        """Tokens of a sequence at most."""
        return self.card.context if self.context is None else self.context


def describe(
    served: Served,
    key: Key,
    *,
    idle_seconds: float,
    streams: bool,
    tail: bool,
    sockets: bool,
    notes: Sequence[str] = (),
) -> Description:
    """Say what is served and what a key may."""
    allowed, card = key.allowance, served.card
    identity = {name: getattr(card, name) for name in BaseIdentity.model_fields if hasattr(card, name)}
    return Description(
        base=BaseIdentity(**identity),
        compute=served.compute,
        cuts=list(served.cuts),
        codecs=[codec.info() for codec in CODECS],
        zstd=True,
        verbs=[
            "step",
            *(["capture"] if allowed.capture_tokens else []),
            *(["stream"] if streams else []),
            *(["tail"] if tail and allowed.tails else []),
            *(["socket"] if sockets else []),
        ],
        limits=Limits(
            step_tokens=allowed.step_tokens,
            capture_tokens=allowed.capture_tokens,
            capture_sequences=allowed.capture_sequences,
            body_bytes=BODY_BYTES,
            sessions=allowed.sessions,
            idle_seconds=idle_seconds,
            ahead=MOST_AHEAD if streams else 0,
        ),
        notes=list(notes),
    )
