"""The safetensors format as far as parts of a file need it: where each tensor lies, and a header for other tensors.

Eight bytes say how long the header is, the header says where each tensor lies in the bytes behind it. Imports no torch.
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...schemas.errors import ModelDamaged

LENGTH = 8
"""Bytes before the header, that say how long it is."""
MOST_HEADER = 100_000_000
"""Bytes; what the library itself takes."""

_ALIGNED = 64
"""Bytes at a multiple of which the tensors begin; the format itself wants 8, and processors like more."""

_DTYPES = {
    **{"F64": ("float64", 8), "I64": ("int64", 8), "U64": ("uint64", 8)},
    **{"F32": ("float32", 4), "I32": ("int32", 4), "U32": ("uint32", 4)},
    **{"F16": ("float16", 2), "BF16": ("bfloat16", 2), "I16": ("int16", 2), "U16": ("uint16", 2)},
    **{"I8": ("int8", 1), "U8": ("uint8", 1), "BOOL": ("bool", 1)},
    **{"F8_E4M3": ("float8_e4m3fn", 1), "F8_E5M2": ("float8_e5m2", 1)},
}
"""What the format calls a kind of numbers, what PyTorch does, and the bytes of one."""
_CODES = {f"torch.{name}": code for code, (name, _) in _DTYPES.items()}


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: ``begin`` to ``end``, bytes of the whole file. ``dtype`` is as PyTorch writes it."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def header_length(first: bytes, name: str) -> int:
    """Return how long a header is, from the first eight bytes of its file.

    Raises:
        ModelDamaged: If no header is so long.
    """
    length = int(struct.unpack("<Q", first)[0]) if len(first) == LENGTH else 0
    if not 2 <= length <= MOST_HEADER:
        raise ModelDamaged(f"{name} is no safetensors file; fetch it again.")
    return length


def parse_header(header: bytes, name: str) -> dict[str, Place]:
    """Return where each tensor of a file lies.

    Raises:
        ModelDamaged: If the header is none, or places overlap or do not fit their shapes.
    """
    try:
        said = json.loads(header)
        said.pop("__metadata__", None)
        places = {key: _place(entry, LENGTH + len(header)) for key, entry in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelDamaged(f"The header of {name} does not read ({type(error).__name__}); fetch it again.") from error
    reached = LENGTH + len(header)
    for place in sorted(places.values(), key=lambda place: (place.begin, place.end)):
        if place.begin != reached:
            raise ModelDamaged(f"The tensors of {name} do not lie one behind the other; fetch it again.")
        reached = place.end
    return places


def read_places(path: Path) -> dict[str, Place]:
    """Return where each tensor of a file on this machine lies.

    Raises:
        ModelDamaged: As of :func:`parse_header`.
    """
    with path.open("rb") as file:
        return parse_header(file.read(header_length(file.read(LENGTH), path.name)), path.name)


def header_of(tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """Return the beginning of a file that holds tensors in this order: name, dtype as PyTorch writes it, shape.

    Raises:
        ModelDamaged: If the format has no such dtype.
    """
    said: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    reached = 0
    for name, dtype, shape in tensors:
        end = reached + size_of(dtype, shape)
        said[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [reached, end]}
        reached = end
    header = json.dumps(said, separators=(",", ":")).encode()
    header += b" " * (-(LENGTH + len(header)) % _ALIGNED)
    return struct.pack("<Q", len(header)) + header


def size_of(dtype: str, shape: Iterable[int]) -> int:
    """Return the bytes of a tensor.

    Raises:
        ModelDamaged: If the format has no such dtype.
    """
    return width_of(dtype) * math.prod(shape)


def width_of(dtype: str) -> int:
    """Return the bytes of one number; errors as of :func:`size_of`."""
    if dtype not in _CODES:
        raise ModelDamaged(f"{dtype!r} is no kind of numbers that a model is kept in; choose another model.")
    return _DTYPES[_CODES[dtype]][1]


def _place(entry: dict[str, Any], data: int) -> Place:
    name, width = _DTYPES[entry["dtype"]]
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError
    if end - begin != width * math.prod(shape):
        raise ValueError
    return Place(f"torch.{name}", shape, data + begin, data + end)
