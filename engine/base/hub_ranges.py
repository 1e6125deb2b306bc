"""Single tensors of a model on the Hugging Face hub: of its shards the headers are read, then only the bytes needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...schemas.errors import ModelDamaged, ModelNotFound, Unreachable
from ...schemas.hsp import TensorEntry
from .download import hub_errors
from .hub import Found
from .safetensors_file import LENGTH, Place, header_length, parse_header

Read = Callable[[str, int, int], Iterator[bytes]]
"""Gives the bytes ``begin`` to ``end`` of a file of the model, in pieces.

Raises Unreachable where the connection is lost.
"""

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MOST_INDEX = 64 << 20
_SECONDS = 30.0


@dataclass(frozen=True)
class Span:
    """Bytes ``begin`` to ``end`` of a file."""

    file: str
    begin: int
    end: int


class HubTensors:
    """Where some tensors of a base lie on the hub."""

    def __init__(self, read: Read, spans: Mapping[str, Span]) -> None:
        self._read, self._spans = read, spans

    async def fetch(self, entries: Sequence[TensorEntry], start: int, take: Callable[[bytes], None]) -> None:
        """Take the bytes of tensors one after another, those of the first from ``start`` on.

        It blocks; whoever calls it has a process of its own.

        Raises:
            Unreachable: If the connection is lost.
            ModelNotFound: If the hub refuses.
        """
        for span in spans_of([self._spans[entry.name] for entry in entries], start):
            for piece in self._read(span.file, span.begin, span.end):
                take(piece)


def spans_of(spans: Sequence[Span], start: int) -> list[Span]:
    """Return what to ask for, one after another: neighbours in a file at once, the first from byte ``start`` on."""
    found: list[Span] = []
    for number, span in enumerate(spans):
        begin = span.begin + (0 if number else start)
        if begin == span.end:
            continue
        if found and (found[-1].file, found[-1].end) == (span.file, begin):
            found[-1] = Span(span.file, found[-1].begin, span.end)
        else:
            found.append(Span(span.file, begin, span.end))
    return found


def locate(entries: Sequence[TensorEntry], read: Read, index: Mapping[str, str] | None) -> HubTensors:
    """Read the headers of the shards that hold some tensors.

    Args:
        entries: What is looked for.
        read: Gives bytes of the model's files.
        index: In which file each tensor lies; None: all in one.

    Raises:
        ModelDamaged: If one is not there, or has another type or shape.
        Unreachable, ModelNotFound: As of ``read``.
    """
    shards: dict[str, dict[str, Place]] = {}
    spans = {}
    for entry in entries:
        file = _SINGLE if index is None else index.get(entry.name, "")
        if file and file not in shards:
            shards[file] = _header(file, read)
        place = shards[file].get(entry.name) if file else None
        if place is None or (place.dtype, list(place.shape)) != (entry.dtype, list(entry.shape)):
            raise ModelDamaged(
                f"The model on the hub has not the tensor {entry.name} of the server's base; name the revision that "
                "the server has, or fetch from the server."
            )
        spans[entry.name] = Span(file, place.begin, place.end)
    return HubTensors(read, spans)


def hub_reader(found: Found) -> Read:
    """Return what reads parts of the files of a model on the hub."""

    def read(file: str, begin: int, end: int) -> Iterator[bytes]:
        from httpx2 import TransportError
        from huggingface_hub import HfApi, get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        url = hf_hub_url(found.name, file, revision=found.commit, endpoint=HfApi().endpoint)
        wanted = {"Accept-Encoding": "identity", "Range": f"bytes={begin}-{end - 1}"}
        left = end - begin
        with hub_errors(found.name):
            try:
                with get_session().stream(
                    "GET", url, headers={**build_hf_headers(), **wanted}, timeout=_SECONDS
                ) as response:
                    hf_raise_for_status(response)
                    if response.status_code != 206:
                        raise ModelNotFound("The hub gives no parts of its files just now; fetch from the server.")
                    for piece in response.iter_bytes():
                        left -= len(piece)
                        if left < 0:
                            raise ModelDamaged(f"The hub sent more of {file} than was asked for; fetch it elsewhere.")
                        yield piece
            except TransportError as error:
                raise Unreachable(f"The hub was lost while {file} came ({error}); pull again, it goes on.") from error
        if left:
            raise Unreachable(f"The hub stopped in the middle of {file}; pull again, it goes on.")

    return read


def read_index(found: Found, read: Read) -> Mapping[str, str] | None:
    """Return in which file of a model each tensor lies, None where all lie in one.

    Raises:
        ModelDamaged: If that does not read.
        Unreachable, ModelNotFound: As of ``read``.
    """
    files = {file.name: file for file in found.files}
    if _INDEX not in files:
        return None
    size = files[_INDEX].size
    if not 0 < size <= _MOST_INDEX:
        raise ModelDamaged(f"The index of {found.name} is {size} bytes long, which is none; name another model.")
    try:
        named = json.loads(b"".join(read(_INDEX, 0, size)))["weight_map"]
        if not all(isinstance(file, str) and file in files for file in named.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelDamaged(f"The index of {found.name} does not read; name another model.") from error
    index: Mapping[str, str] = named
    return index


def _header(file: str, read: Read) -> dict[str, Place]:
    length = header_length(b"".join(read(file, 0, LENGTH)), file)
    return parse_header(b"".join(read(file, LENGTH, LENGTH + length)), file)
