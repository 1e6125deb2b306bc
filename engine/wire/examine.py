"""What a server is worth to this machine: how far away it is, whether it is the base, what its codecs cost here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...schemas.hsp import Description
from ...schemas.providers import CodecFound, Examined
from ..base.provider import Provider, Session
from .client import Client
from .codecs import codec_named

if TYPE_CHECKING:
    from torch import Tensor

    from ..base.halves import Tail
    from ..base.library import LoadedBase

_ROUND_TRIPS = 5
_STEPS = 16

Connect = Callable[[str], Provider]
"""From the name of a codec to a provider that asks the server in it."""


async def look(client: Client) -> Examined:
    """Ask a server what it is, and how far away.

    Raises:
        RemoteError: If it does not answer, or does not speak HSP/1.
    """
    description = await client.describe()
    return Examined(
        url=client.address,
        description=description,
        round_trip_ms=await _median_ms(client.describe, _ROUND_TRIPS),
    )


async def prove(found: Examined, base: LoadedBase, cut: int, connect: Connect) -> Examined:
    """Add what a base of this machine tells about the server.

    Raises:
        BaseMismatch: If it is another base, by its words or by what it computes.
        RemoteError: If it cannot be asked.
        UsageError: If it does not offer the cut.
    """
    import torch

    from ..base.card import check_probe
    from ..base.halves import open_tail

    widest = _widest(found.description)
    with torch.inference_mode():
        distance = await check_probe(base.card, connect(widest), open_tail(base, cut))
        codecs = await measure_codecs(base, found.description, cut, connect)
        step_ms = await _step_ms(connect(widest).open(cut), base.card.probe.tokens)
    more = {"cut": cut, "distance": distance, "step_ms": step_ms, "codecs": codecs}
    return found.model_copy(update=more)


async def measure_codecs(
    base: LoadedBase, description: Description, cut: int, connect: Connect
) -> tuple[CodecFound, ...]:
    """Return what each codec of a server costs on the states of the probe, beside the widest, through the tail here.

    Raises:
        RemoteError: If the server cannot be asked.
        UsageError: If it does not offer the cut.
    """
    import torch

    from ..base.halves import open_tail

    tail = open_tail(base, cut)
    with torch.inference_mode():
        plain = await _logs(connect(_widest(description)), base, cut, tail)
        found = [
            _compared(codec.name, base, plain, await _logs(connect(codec.name), base, cut, tail))
            for codec in description.codecs
        ]
    return tuple(found)


def _widest(description: Description) -> str:
    names = [codec.name for codec in description.codecs]
    return next(name for name in ("f32", "f16s", "bf16", *names) if name in names)


async def _logs(provider: Provider, base: LoadedBase, cut: int, tail: Tail) -> Tensor:
    (states,) = await provider.states([base.card.probe.tokens], cut)
    return tail.ranked(tail.sequences([states.rows.to(tail.device)])[0]).log_softmax(dim=-1)


def _compared(name: str, base: LoadedBase, plain: Tensor, logs: Tensor) -> CodecFound:
    return CodecFound(
        name=name,
        bits=codec_named(name).bits,
        bytes_a_token=codec_named(name).size(1, base.card.width),
        kl=max(0.0, (plain.exp() * (plain - logs)).sum(dim=-1).mean().item()),
        same_top=(plain.argmax(dim=-1) == logs.argmax(dim=-1)).float().mean().item(),
    )


async def _step_ms(session: Session, tokens: list[int]) -> float:
    await session.extend(0, tokens)

    async def step() -> object:
        return await session.extend(session.length, tokens[:1])

    try:
        return await _median_ms(step, _STEPS)
    finally:
        await session.close()


async def _median_ms(ask: Callable[[], Awaitable[object]], count: int) -> float:
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken) * 1000, 3)
