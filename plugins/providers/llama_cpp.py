"""llama.cpp as a provider of final states: ``POST /embeddings`` of ``llama-server --embedding --pooling none``.

The rows are the last block's after the final norm, one a token, as JSON numbers, never made unit length under that
pooling. The server reads the whole prompt at every call. Formats as measured on b11434.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.base.supply import FinalKind
from ...engine.host.hooks import hookimpl
from ...engine.wire.final.dialect import Asked, Dialect
from ...engine.wire.final.numbers import json_bytes, parsed, rows_of_lists, within
from ...engine.wire.final.supply import final_kind

if TYPE_CHECKING:
    from torch import Tensor


@hookimpl
def nightschool_providers() -> list[FinalKind]:
    """Supply final states by llama.cpp."""
    return [final_kind(LLAMA_CPP)]


def _body(asked: Asked) -> dict[str, object]:
    return {"input": list(asked.tokens)}


def _read(body: bytes, asked: Asked) -> Tensor:
    return rows_of_lists(within(parsed(body), 0, "embedding"), asked)


LLAMA_CPP = Dialect(
    name="llama.cpp",
    title="llama.cpp",
    path="/embeddings",
    body=_body,
    most=json_bytes,
    read=_read,
    start="Start llama-server with --embedding --pooling none and -ub and -b of at least the longest chat's tokens.",
    cannot=(
        "It reads the whole prompt again for every request, and sends the rows of all of it, as JSON.",
        "It reads no more tokens at once than its -ub says.",
    ),
)
