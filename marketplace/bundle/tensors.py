"""The header of a safetensors file, read by our own rules before any library sees the file.

The library takes duplicate keys, 50 MB of padding, names like ``../../x`` and 200,000 empty tensors. Here a file holds
pairs of LoRA factors of one dtype, side by side from the first byte to the last, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...schemas.errors import MarketError
from .. import strict_json
from ..refusals import refuse
from . import limits
from .span import Span

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number, by dtype."""

_NAME = re.compile(rf"[A-Za-z0-9_.]{{1,{limits.NAME}}}")
_LORA = re.compile(r"base_model\.model\.model\.layers\.([0-9]{1,4})\.([a-z_]+(?:\.[a-z_]+)*)\.lora_([AB])\.weight")
_METADATA: tuple[dict[str, str], ...] = ({}, {"format": "pt"})
_LONGEST_PADDING = 8

Place = tuple[int, str]
"""A projection: number of its block, path in the block, as ``(22, "self_attn.q_proj")``."""


@dataclass(frozen=True)
class Tensor:
    """Where the numbers of one tensor lie, in bytes from the beginning of the file."""

    shape: tuple[int, int]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file of weights holds.

    Attributes:
        data: Where the numbers begin.
        size: Of the whole file.
        pairs: The factors ``A``, ``(r, in)``, and ``B``, ``(out, r)``, by place.
    """

    dtype: str
    data: int
    size: int
    rank: int
    pairs: Mapping[Place, tuple[Tensor, Tensor]]

    @property
    def width(self) -> int:
        """Bytes of a number."""
        return WIDTHS[self.dtype]

    @property
    def tensors(self) -> int:
        """How many there are."""
        return 2 * len(self.pairs)

    @property
    def numbers(self) -> int:
        """How many numbers there are."""
        return (self.size - self.data) // self.width

    @property
    def targets(self) -> list[str]:
        """The last names of the projections, in order."""
        return sorted({path.rpartition(".")[2] for _, path in self.pairs})

    @property
    def layers(self) -> list[int]:
        """The blocks, in order."""
        return sorted({layer for layer, _ in self.pairs})


def read_header(file: Span) -> Header:
    """Read the header of a whole file.

    Raises:
        Refused: One of the codes that begin with ``weights-`` or ``json``.
    """
    length = int.from_bytes(file.at(0, 8).ljust(8, b"\xff"), "little")
    if file.size < 8 or length > limits.HEADER or 8 + length > file.size:
        raise refuse("weights-header")
    return parse_header(file.whole(8, length), file.size)


def parse_header(text: bytes, size: int) -> Header:
    """Read the JSON of a header, of a file of ``size`` bytes.

    Raises:
        Refused: As :func:`read_header`.
    """
    body = text.rstrip(b" ")
    if not body.startswith(b"{") or len(text) - len(body) > _LONGEST_PADDING:
        raise refuse("weights-header")
    try:
        rows = strict_json.loads(body, max_bytes=limits.HEADER)
    except MarketError as error:
        if error.code == "json-duplicate":
            raise refuse("weights-key") from error
        raise
    metadata = rows.pop("__metadata__", {})
    if metadata not in _METADATA:
        raise refuse("weights-header", "it carries metadata")
    if not 2 <= len(rows) <= limits.TENSORS:
        raise refuse("weights-layout", f"{len(rows)} tensors")
    dtype = _dtype(rows)
    data = 8 + len(text)
    tensors = {name: _tensor(name, row, WIDTHS[dtype], data) for name, row in rows.items()}
    _check_layout(tensors, data, size)
    pairs = _pairs(tensors)
    ranks = {tensor.shape[half] for pair in pairs.values() for half, tensor in enumerate(pair)}
    if len(ranks) != 1:
        raise refuse("weights-pair", "several ranks")
    if max(ranks) > limits.RANK:
        raise refuse("config-rank", f"{max(ranks)} in the weights")
    return Header(dtype=dtype, data=data, size=size, rank=ranks.pop(), pairs=pairs)


def _dtype(rows: Mapping[str, Any]) -> str:
    """Return the one dtype of all tensors."""
    found = [row.get("dtype") if isinstance(row, dict) else None for row in rows.values()]
    if any(dtype != found[0] for dtype in found) or found[0] not in list(WIDTHS):
        raise refuse("weights-header", "all numbers must be F32, or F16, or BF16")
    return str(found[0])


def _tensor(name: str, row: Any, width: int, data: int) -> Tensor:
    if not _NAME.fullmatch(name) or ".." in name:
        raise refuse("weights-name")
    match row:
        case {"dtype": str(), "shape": [int(rows), int(columns)], "data_offsets": [int(begin), int(end)], **rest}:
            if rest or bool in {type(value) for value in (rows, columns, begin, end)}:
                raise refuse("weights-header", "a tensor has an unknown field")
        case {"dtype": str(), "shape": list(), "data_offsets": [int(), int()]}:
            raise refuse("weights-lora", "a tensor is no matrix")
        case _:
            raise refuse("weights-header", "a tensor is not described as it must be")
    if rows < 1 or columns < 1 or begin < 0 or end - begin != rows * columns * width:
        raise refuse("weights-layout")
    return Tensor((rows, columns), data + begin, data + end)


def _check_layout(tensors: Mapping[str, Tensor], data: int, size: int) -> None:
    """Every byte belongs to exactly one tensor."""
    place = data
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.start):
        if tensor.start != place:
            raise refuse("weights-layout")
        place = tensor.end
    if place != size:
        raise refuse("weights-layout")


def _pairs(tensors: Mapping[str, Tensor]) -> dict[Place, tuple[Tensor, Tensor]]:
    halves: dict[Place, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LORA.fullmatch(name)
        if match is None or str(int(match[1])) != match[1]:
            raise refuse("weights-lora")
        halves.setdefault((int(match[1]), match[2]), {})[match[3]] = tensor
    if any(pair.keys() != {"A", "B"} for pair in halves.values()):
        raise refuse("weights-pair", "half of one is missing")
    pairs = {place: (pair["A"], pair["B"]) for place, pair in sorted(halves.items())}
    layers, paths = {layer for layer, _ in pairs}, {path for _, path in pairs}
    if len(pairs) != len(layers) * len(paths):
        raise refuse("weights-pair", "not every projection in every block")
    names = {path.rpartition(".")[2] for path in paths}
    if len(names) > limits.TARGETS or max(map(len, names)) > limits.TARGET:
        raise refuse("weights-name", "too many projections, or one whose name is too long")
    return pairs
