"""vLLM as a provider of final states: ``POST /pooling`` with the task ``token_embed``.

The rows are the last block's after the final norm, one a token, float32 in base64. vLLM reads the whole prompt at every
call: this task does not use its prefix cache (``skip_reading_prefix_cache``). Formats as measured on vLLM 0.32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.base.supply import FinalKind
from ...engine.host.hooks import hookimpl
from ...engine.wire.final.dialect import Asked, Dialect
from ...engine.wire.final.numbers import base64_bytes, parsed, rows_of_base64, within
from ...engine.wire.final.supply import final_kind

if TYPE_CHECKING:
    from torch import Tensor


@hookimpl
def nightschool_providers() -> list[FinalKind]:
    """Supply final states by vLLM."""
    return [final_kind(VLLM)]


def _body(asked: Asked) -> dict[str, object]:
    return {
        "model": asked.model,
        "input": list(asked.tokens),
        "task": "token_embed",
        "use_activation": False,  # it would divide each row by its length
        "encoding_format": "base64",
        "embed_dtype": "float32",
        "endianness": "little",
    }


def _read(body: bytes, asked: Asked) -> Tensor:
    return rows_of_base64(within(parsed(body), "data", 0, "data"), asked)


VLLM = Dialect(
    name="vllm",
    title="vLLM",
    path="/pooling",
    body=_body,
    most=base64_bytes,
    read=_read,
    names_model=True,
    start=(
        "Start it with --runner pooling --convert embed and "
        """--pooler-config '{"task":"token_embed","use_activation":false}'."""
    ),
    cannot=("It reads the whole prompt again for every request, and sends the rows of all of it.",),
)
