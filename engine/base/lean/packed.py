"""A quantised model on disk, as this processor wants it: made once, mapped into memory at every start after.

Rounding a model takes seconds and needs its full weights; a file of the rounded ones is read a page at a time as they
are first used, and processes share those pages. The file lies beside the model that it was made of, and is made anew
where it does not fit any more: by another processor, another release of torch, other weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ....schemas.records import Record
from ...files import replacing
from ..numbers import Numbers
from .attention import Layer, Rotary, Shape
from .blocks import FUSED, Block, Blocks, Fused
from .matrices import Head, restored
from .model import EMBEDDINGS, HEAD_BIAS, LeanModel, LeanUpper, Upper, head_weight
from .norm import Norm

FORMAT = 2


class _Header(Record):
    """What the file's tensors are, and when they may be used."""

    format: int = FORMAT
    fingerprint: str
    machine: str
    layers: int | None = Field(default=None, description="Of the whole model, where only its upper blocks are here.")
    heads: int
    key_heads: int
    width: int
    eps: float
    scaling: float
    windows: list[int | None]
    sizes: dict[str, dict[str, tuple[int, int]]]


def packed_path(folder: Path, numbers: Numbers) -> Path:
    """Return where the packed weights of a model lie."""
    return folder / f"packed-{numbers}.safetensors"


def write_packed(model: Upper, path: Path, fingerprint: str) -> None:
    """Write the quantised matrices of a model, or of its upper blocks; embeddings stay in its checkpoint.

    Raises:
        StorageError: If they cannot be written.
    """
    blocks, shape = model.blocks.blocks, model.blocks.shape
    tensors = {"norm": model.norm.weight, "rotary": model.blocks.rotary.frequencies}
    tensors |= {f"head.{name}": tensor for name, tensor in model.head.tensors().items()}
    for number, block in enumerate(blocks):
        small = {"before_attention": block.before_attention.weight, "before_mlp": block.before_mlp.weight}
        norms = {"query_norm": block.layer.query_norm, "key_norm": block.layer.key_norm}
        small |= {name: norm for name, norm in norms.items() if norm is not None}
        tensors |= {f"{number}.{name}": tensor for name, tensor in small.items()}
        for part in FUSED:
            held: Fused = getattr(block, part)
            tensors |= {f"{number}.{part}.{name}": tensor for name, tensor in held.matrix.tensors().items()}
    header = _Header(
        fingerprint=fingerprint,
        machine=_machine(),
        layers=model.layers if isinstance(model, LeanUpper) else None,
        heads=shape.heads,
        key_heads=shape.key_heads,
        width=shape.width,
        eps=shape.eps,
        scaling=model.blocks.rotary.scaling,
        windows=[block.layer.window for block in blocks],
        sizes={part: getattr(blocks[0], part).sizes for part in FUSED},
    )
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with replacing(path) as target:
        _save_aligned(contiguous, target, header.model_dump_json())


def read_packed(path: Path, fingerprint: str, checkpoint: Mapping[str, Tensor]) -> LeanModel | None:
    """Return the model of a packed file, or None if there is none that fits; what does not fit is made anew.

    Args:
        path: As of :func:`packed_path`.
        fingerprint: Of the base.
        checkpoint: Its own tensors, of which the embeddings and the exact rows of the head are used.
    """
    found = _read(path, fingerprint, checkpoint, None)
    return None if found is None else LeanModel(found.blocks, checkpoint[EMBEDDINGS], found.norm, found.head)


def read_packed_upper(
    path: Path, fingerprint: str, checkpoint: Mapping[str, Tensor], layers: int, upper: int
) -> LeanUpper | None:
    """Return the upper blocks of a model of so many ``layers``, from the packed file beside them.

    None and the other arguments are as of :func:`read_packed`.
    """
    found = _read(path, fingerprint, checkpoint, layers)
    if found is None or len(found.blocks.blocks) != upper:
        return None
    return LeanUpper(layers, found.blocks, found.norm, found.head)


@dataclass(frozen=True)
class _Held:
    """What a packed file holds."""

    blocks: Blocks
    norm: Norm
    head: Head


def _read(path: Path, fingerprint: str, checkpoint: Mapping[str, Tensor], layers: int | None) -> _Held | None:
    try:
        with safe_open(path, framework="pt") as file:
            header = _Header.model_validate_json(file.metadata()["header"])
            mine = (header.format, header.fingerprint, header.machine, header.layers)
            if mine != (FORMAT, fingerprint, _machine(), layers):
                return None
            tensors = {name: _aligned(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - a reader
            return _held(header, tensors, checkpoint)
    except (FileNotFoundError, SafetensorError, ValidationError, KeyError, json.JSONDecodeError):
        return None


def _held(header: _Header, tensors: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor]) -> _Held:
    def under(name: str) -> dict[str, Tensor]:
        return {key.removeprefix(name): tensor for key, tensor in tensors.items() if key.startswith(name)}

    blocks = []
    for number, window in enumerate(header.windows):
        held = under(f"{number}.")
        fused = {
            part: Fused(
                restored({k.removeprefix(f"{part}."): t for k, t in held.items() if k.startswith(f"{part}.")}),
                header.sizes[part],
            )
            for part in FUSED
        }
        blocks.append(
            Block(
                layer=Layer(number, window, held.get("query_norm"), held.get("key_norm")),
                before_attention=Norm(held["before_attention"], header.eps),
                before_mlp=Norm(held["before_mlp"], header.eps),
                **fused,
            )
        )
    shape = Shape(header.heads, header.key_heads, header.width, header.eps)
    head = Head(restored(under("head.")), head_weight(checkpoint), checkpoint.get(HEAD_BIAS))
    rotary = Rotary(tensors["rotary"], header.scaling)
    return _Held(Blocks(blocks, shape, rotary, torch.bfloat16), Norm(tensors["norm"], header.eps), head)


_ALIGNED = 64  # bytes; the kernels of some processors crash on less


def _save_aligned(tensors: dict[str, Tensor], path: Path, header: str) -> None:
    """Write a safetensors file whose data begins at a multiple of ``_ALIGNED``; the format itself promises 8."""
    save_file(tensors, path, metadata={"header": header, "pad": ""})
    with path.open("rb") as file:
        surplus = (8 + int.from_bytes(file.read(8), "little")) % _ALIGNED
    if surplus:
        save_file(tensors, path, metadata={"header": header, "pad": " " * (_ALIGNED - surplus)})


def _aligned(tensor: Tensor) -> Tensor:
    """Return a mapped tensor itself, or a copy where it lies askew."""
    return tensor if tensor.data_ptr() % _ALIGNED == 0 else tensor.clone()


def _machine() -> str:
    """Return what the layout of packed weights depends on."""
    return f"{torch.backends.cpu.get_cpu_capability()} torch {torch.__version__}"
