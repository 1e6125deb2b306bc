"""An engine of others as a kind of provider: opened from the settings, and measured against a base."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from ....schemas.cards import BaseCard
from ....schemas.errors import BaseMismatch, UsageError
from ....schemas.hsp import BaseIdentity, CodecInfo, Compute, Description, Limits, Norm
from ....schemas.providers import Examined
from ...base.supply import FinalKind
from ..named import client_of
from ..patience import Patience
from .dialect import CANNOT, Dialect
from .provider import FinalProvider

if TYPE_CHECKING:
    from ...base.library import LoadedBase
    from ...base.provider import Provider
    from ...settings import ServerSettings

_STEPS = 5
_TRIES = 11  # about half a minute, in which an engine may be started again


def final_kind(dialect: Dialect) -> FinalKind:
    """Return the kind of provider that speaks a dialect."""

    def open_at(base: LoadedBase, server: ServerSettings) -> Provider:
        return FinalProvider(base.card, client_of(server), dialect, Patience(tries=_TRIES))

    async def examine(base: LoadedBase, server: ServerSettings, cut: int | None) -> Examined:
        return await examined(base, FinalProvider(base.card, client_of(server), dialect), cut)

    return FinalKind(dialect.name, open_at, examine, dialect.normed)


async def fitting_head(base: LoadedBase, provider: Provider, expected: bool) -> tuple[bool, float]:
    """Return whether a provider's rows come after the final norm, as the probe shows, and the distance in nats.

    Args:
        base: Which it must be.
        provider: Of final states.
        expected: What is tried first.

    Raises:
        BaseMismatch: If it is another base, either way.
        RemoteError: If it cannot be asked.
    """
    from ...base.card import check_probe
    from ...base.halves import open_head

    try:
        return expected, await check_probe(base.card, provider, open_head(base, normed=expected))
    except BaseMismatch as error:
        try:
            return not expected, await check_probe(base.card, provider, open_head(base, normed=not expected))
        except BaseMismatch:
            raise error from None


async def examined(base: LoadedBase, provider: FinalProvider, cut: int | None) -> Examined:
    """Measure an engine against a base.

    Raises:
        UsageError: If another cut than 0 is wanted.
        BaseMismatch: If it is another base.
        RemoteError: If it cannot be asked.
    """
    import torch

    if cut:
        raise UsageError(f"{provider.dialect.title} gives final states alone; leave --cut out.")
    try:
        took = []
        for _ in range(_STEPS):
            began = time.perf_counter()
            model = await provider.model()
            took.append(time.perf_counter() - began)
        with torch.inference_mode():
            normed, distance = await fitting_head(base, provider, provider.dialect.normed)
        step = await _step(provider, base.card.probe.tokens)
    finally:
        await provider.client.aclose()
    return Examined(
        url=provider.client.address,
        description=describe(base.card, provider.dialect, model, normed=normed),
        round_trip_ms=_ms(took),
        cut=0,
        distance=distance,
        step_ms=step,
    )


def describe(card: BaseCard, dialect: Dialect, model: str, *, normed: bool) -> Description:
    """Return what can be said of an engine, in the words of HSP/1; ``notes``: what it cannot do."""
    return Description(
        base=BaseIdentity(**{name: getattr(card, name) for name in _NAMED}),
        compute=Compute(engine=f"{dialect.title} ({model[:100]})", numbers=""),
        cuts=[0],
        norm=Norm.AFTER if normed else Norm.BEFORE,
        codecs=[CodecInfo(name="f32", bits=32)],
        verbs=[],
        limits=Limits(step_tokens=card.context, body_bytes=1 << 31, sessions=1, idle_seconds=1),
        notes=[*dialect.cannot, *CANNOT],
    )


_NAMED = (
    *("name", "family", "layers", "width", "vocabulary", "context", "fingerprint"),
    *("config_hash", "tokenizer_hash", "template_hash", "tensors_hash"),
)


async def _step(provider: FinalProvider, tokens: list[int]) -> float:
    took = []
    for more in range(_STEPS):
        began = time.perf_counter()
        await provider.rows(tokens + tokens[: more + 1], 1)
        took.append(time.perf_counter() - began)
    return _ms(took)


def _ms(took: list[float]) -> float:
    return round(statistics.median(took) * 1000, 3)
