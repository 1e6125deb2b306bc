"""Where the connector in vLLM leaves rows: a Unix socket, and whoever waits for a name.

What comes is measured against what was asked for before any memory is set aside for it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .....schemas.errors import BadFrame

if TYPE_CHECKING:
    from torch import Tensor

_LINE = 4096
_SECONDS = 30.0  # in which rows that were announced must come
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass
class _Wanted:
    """Rows that somebody waits for: ``width`` numbers each, at most ``most``."""

    width: int
    most: int
    came: asyncio.Future[Tensor]


class Mailbox:
    """Takes rows by name. Used in one event loop."""

    def __init__(self, path: Path) -> None:
        """Prepare; ``path``: of the socket, in a folder that nobody else can enter."""
        self._path = path
        self._wanted: dict[str, _Wanted] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_unix_server(self._take, path=str(self._path), limit=_LINE)

    def expect(self, name: str, width: int, most: int) -> asyncio.Future[Tensor]:
        """Return what will hold the rows of a name, ``(n, width)`` float32; cancel it where they are not wanted."""
        came: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        self._wanted[name] = _Wanted(width, most, came)
        came.add_done_callback(lambda _: self._wanted.pop(name, None))
        return came

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        with suppress(OSError):
            self._path.unlink()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted: _Wanted | None = None
        try:
            async with asyncio.timeout(_SECONDS):
                said = json.loads(await reader.readline())
                wanted = self._wanted.get(str(said["name"]))
                if wanted is not None and not wanted.came.done():
                    rows = await _rows(reader, said, wanted)
                    if not wanted.came.done():
                        wanted.came.set_result(rows)
        except (ValueError, KeyError, TypeError, OSError, EOFError, TimeoutError, BadFrame) as error:
            if wanted is not None and not wanted.came.done():
                wanted.came.set_exception(
                    BadFrame(f"vLLM did not hand over rows as it should ({type(error).__name__}).")
                )
        finally:
            writer.close()


async def _rows(reader: asyncio.StreamReader, said: dict[str, object], wanted: _Wanted) -> Tensor:
    """Return the rows that follow what was said of them.

    Raises:
        BadFrame: If they are not what was asked for.
    """
    import torch

    count, width, dtype, size = (said.get(name) for name in ("rows", "width", "dtype", "bytes"))
    if not isinstance(count, int) or not isinstance(dtype, str) or dtype not in _BYTES:
        raise BadFrame("vLLM hands over numbers of a kind that is not known here.")
    if width != wanted.width or not 0 < count <= wanted.most or size != count * wanted.width * _BYTES[dtype]:
        raise BadFrame(
            f"vLLM hands over {count} rows of {width} numbers where {wanted.most} of {wanted.width} may come."
        )
    data = bytearray(await reader.readexactly(count * wanted.width * _BYTES[dtype]))
    kind: torch.dtype = getattr(torch, dtype)
    return torch.frombuffer(data, dtype=kind).view(count, wanted.width).float()
