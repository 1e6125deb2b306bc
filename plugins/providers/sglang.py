"""SGLang as a provider of final states: ``POST /generate`` with ``return_hidden_states``.

``meta_info.hidden_states[0]`` has the rows of the prompt, without those that its radix cache knew already: never
without the last one. Format as its sources and issues describe it for 0.5; it was not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...engine.base.supply import FinalKind
from ...engine.host.hooks import hookimpl
from ...engine.wire.final.dialect import Asked, Dialect
from ...engine.wire.final.numbers import json_bytes, parsed, rows_of_lists, within
from ...engine.wire.final.supply import final_kind

if TYPE_CHECKING:
    from torch import Tensor


@hookimpl
def nightschool_providers() -> list[FinalKind]:
    """Supply final states by SGLang."""
    return [final_kind(SGLANG)]


def _body(asked: Asked) -> dict[str, object]:
    return {
        "input_ids": list(asked.tokens),
        "sampling_params": {"max_new_tokens": 1, "temperature": 0},
        "return_hidden_states": "last" if asked.last else True,
    }


def _read(body: bytes, asked: Asked) -> Tensor:
    found = within(parsed(body), "meta_info", "hidden_states", 0)
    return rows_of_lists(_rows(found), asked)


def _rows(found: Any) -> Any:
    """Return a list of rows; where the last one alone came it may stand by itself."""
    return [found] if isinstance(found, list) and found and not isinstance(found[0], list) else found


SGLANG = Dialect(
    name="sglang",
    title="SGLang",
    path="/generate",
    body=_body,
    most=json_bytes,
    read=_read,
    gives_last=True,
    start="Start it with --enable-return-hidden-states, and with --disable-radix-cache where it holds back rows.",
    cannot=(
        "It writes a token of its own with every request, which is thrown away.",
        "It holds back the rows of what its cache knows, so that those are asked for one by one where they are wanted.",
    ),
)
