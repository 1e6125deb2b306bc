"""A network between a client and what answers it: delay, jitter, bandwidth, losses; the same ones for the same seed.

It wraps a transport of the client, so that tests and benchmarks need no network. With ``VirtualTime`` nobody waits: the
seconds that the network would have taken are counted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx2


@dataclass(frozen=True)
class Conditions:
    """What a network is like.

    Attributes:
        delay: Seconds one way; a round trip takes twice that.
        jitter: Seconds that each way may take longer, drawn evenly.
        bandwidth: Bytes a second each way; 0: without limit.
        loss: Share of requests that are lost on the way there; nothing is done.
        lost_answers: Share of answers of which nothing comes back, after all was done.
        cut: Share of answers that end somewhere in the middle.
    """

    delay: float = 0.0
    jitter: float = 0.0
    bandwidth: float = 0.0
    loss: float = 0.0
    lost_answers: float = 0.0
    cut: float = 0.0


class VirtualTime:
    """Counts the seconds that would have been waited. Right for one request at a time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


@dataclass
class Traffic:
    """What went over the network. Bytes are those of bodies; headers are not simulated."""

    requests: int = 0
    sent: int = 0
    received: int = 0
    broken: int = 0


class Network(httpx2.AsyncBaseTransport):
    """Carries requests to another transport as a network would that is like this."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        conditions: Conditions,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.conditions = conditions  # may be changed while it is in use
        self.traffic = Traffic()
        self._inner = inner
        self._random = random.Random(seed)
        self._sleep = sleep

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry one request there and the beginning of its answer back.

        Raises:
            httpx2.NetworkError: Where it is lost.
        """
        body = await request.aread()
        self.traffic.requests += 1
        self.traffic.sent += len(body)
        await self._way(len(body))
        if self._happens(self.conditions.loss):
            raise self._broken(httpx2.ConnectError("lost on the way there", request=request))
        response = await self._inner.handle_async_request(request)
        pieces = [piece async for piece in response.stream if piece]  # type: ignore[union-attr]
        await self._way(0)
        if self._happens(self.conditions.lost_answers):
            raise self._broken(httpx2.ReadError("lost on the way back", request=request))
        stop = self._random.randrange(len(pieces)) if pieces and self._happens(self.conditions.cut) else None
        stream = _Answer(self._pieces(request, pieces, stop))
        return httpx2.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Close what is behind it."""
        await self._inner.aclose()

    async def _pieces(self, request: httpx2.Request, pieces: list[bytes], stop: int | None) -> AsyncIterator[bytes]:
        for number, piece in enumerate(pieces):
            part = piece[: len(piece) // 2] if number == stop else piece
            await self._send(len(part))
            self.traffic.received += len(part)
            yield part
            if number == stop:
                raise self._broken(httpx2.ReadError("cut off", request=request))

    async def _way(self, size: int) -> None:
        await self._sleep(self.conditions.delay + self._random.uniform(0, self.conditions.jitter))
        await self._send(size)

    async def _send(self, size: int) -> None:
        if self.conditions.bandwidth:
            await self._sleep(size / self.conditions.bandwidth)

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def _broken(self, error: httpx2.NetworkError) -> httpx2.NetworkError:
        self.traffic.broken += 1
        return error


class _Answer(httpx2.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces
