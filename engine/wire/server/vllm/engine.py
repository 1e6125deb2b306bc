"""vLLM as it is asked: token ids in, rows and the tokens that it would say out.

It listens on this machine alone, with a key that is made for each start.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from .....schemas.errors import BadFrame
from .....schemas.hsp import Code
from ..refused import Refused
from .mailbox import Mailbox

if TYPE_CHECKING:
    from torch import Tensor

MODEL = "base"
"""What vLLM calls the base."""

_HANDED_OVER = 30.0  # seconds in which rows must come after vLLM has answered
_AT_ONCE = 256


@dataclass(frozen=True)
class Burst:
    """What came of one request.

    Attributes:
        rows: ``(n, width)`` float32, from the position that was asked for on: of the tokens given, and of all but the
            last of ``said``.
        said: The tokens that vLLM went on with.
    """

    rows: Tensor
    said: list[int]


class VllmEngine:
    """Asks one vLLM. Used in one event loop."""

    def __init__(
        self,
        url: str,
        key: str,
        mailbox: Mailbox,
        *,
        width: int,
        layers: Sequence[int],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            url: Where it listens.
            key: That it was started with.
            mailbox: Where its rows come.
            width: Of a row.
            layers: The blocks whose inputs it keeps.
            transport: Carries the requests, for tests; None: the network.
        """
        self._url, self._key, self.mailbox = url, key, mailbox
        self._width, self._layers = width, sorted(layers)  # vLLM keeps them in the order in which it computes them
        self._transport = transport
        self._http: httpx2.AsyncClient | None = None

    async def open(self) -> None:
        """Begin to take rows."""
        await self.mailbox.open()
        self._http = httpx2.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=httpx2.Timeout(600.0, connect=10.0),
            limits=httpx2.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE),
            transport=self._transport,
            trust_env=False,
        )

    async def close(self) -> None:
        """Ask no more."""
        if self._http is not None:
            await self._http.aclose()
        await self.mailbox.close()

    async def ask(
        self, tokens: Sequence[int], *, first: int, layer: int, more: int = 0, ends: Sequence[int] = (), salt: str = ""
    ) -> Burst:
        """Read a sequence and go on with it greedily.

        Args:
            tokens: From the start; what vLLM has read before it does not read again.
            first: Position of the first row that is wanted, at most the last of ``tokens``.
            layer: The block whose input is wanted.
            more: Tokens whose rows are wanted beyond those given; one token more is said.
            ends: Tokens after which nothing is said.
            salt: Who shares what was read: only those of the same one.

        Raises:
            Refused: If vLLM has no room, or cannot answer.
        """
        name = secrets.token_urlsafe(24)
        came = self.mailbox.expect(name, self._width, len(tokens) + more - first)
        asked = {
            "model": MODEL,
            "prompt": list(tokens),
            "max_tokens": more + 1,
            "temperature": 0,
            "stop_token_ids": list(ends),
            "return_token_ids": True,
            "add_special_tokens": False,
            "kv_transfer_params": {"name": name, "first": first, "layer": self._layers.index(layer)},
            **({"cache_salt": salt} if salt else {}),
        }
        try:
            said = await self._said(asked)
            async with asyncio.timeout(_HANDED_OVER):
                rows = await came
        except BadFrame as error:
            raise Refused(Code.INTERNAL, str(error)) from error
        except TimeoutError as error:
            raise Refused(Code.INTERNAL, "vLLM answered, but its rows did not come; its log says why.") from error
        finally:
            came.cancel()
        if len(rows) != len(tokens) - first + len(said) - 1:
            raise Refused(Code.INTERNAL, f"vLLM handed over {len(rows)} rows, not those that it read.")
        return Burst(rows, said)

    async def _said(self, asked: dict[str, object]) -> list[int]:
        """Return the tokens that vLLM answers a request with; at least one."""
        assert self._http is not None
        try:
            response = await self._http.post("/v1/completions", json=asked)
        except httpx2.HTTPError as error:
            raise Refused(Code.SHUTTING_DOWN, "vLLM does not answer; its log says why.", retry_after=5.0) from error
        if response.status_code in (429, 503):
            raise Refused(Code.CACHE_FULL, "vLLM has no room for this now; wait.", retry_after=2.0)
        if not response.is_success:
            raise Refused(Code.INTERNAL, f"vLLM refuses with status {response.status_code}; its log says why.")
        return said_in(response.content)


def said_in(body: bytes) -> list[int]:
    """Return the token ids of an answer of ``/v1/completions`` with ``return_token_ids``.

    Raises:
        BadFrame: If there are none.
    """
    try:
        found = json.loads(body)["choices"][0]["token_ids"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadFrame("vLLM's answer has no token ids; is it 0.32 or later?") from error
    if not isinstance(found, list) or not found or not all(type(token) is int and token >= 0 for token in found):
        raise BadFrame("vLLM's answer has no token ids; is it 0.32 or later?")
    return found
