"""The tail without the trunk: of a base of which only the upper blocks are on this machine. See ``halves``.

Nothing of what is not here is ever set aside: a model is made of as many blocks as there are, numbered from 0, and
without embeddings, except as the head where they are tied to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...schemas.errors import ModelDamaged
from .checkpoint import FromBlock, copied
from .device import CPU, telling_when_full
from .families import slice_config
from .lean.model import EMBEDDINGS, HEAD, HEAD_BIAS, LeanUpper, head_weight
from .lean.packed import packed_path, read_packed_upper
from .numbers import QUANTISED
from .weights import Tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .cut import StockTail
    from .library import LoadedBase


def lean_upper(base: LoadedBase) -> LeanUpper:
    """Return the blocks that are here, final norm and head, the same ones for all who ask.

    Raises:
        ModelDamaged: If a tensor is missing.
    """
    if "lean" not in base.kept:
        base.kept["lean"] = packed_upper(base) or _read_lean(base)
    found: LeanUpper = base.kept["lean"]
    return found


def packed_upper(base: LoadedBase) -> LeanUpper | None:
    """Return the same as it lies packed on disk, None if it does not, or is to be dense."""
    if base.numbers not in QUANTISED:
        return None
    path, card, tensors = packed_path(base.folder, base.numbers), base.card, Tensors(base.folder, base.device)
    return read_packed_upper(path, card.fingerprint, tensors, card.layers, _held(base))


def stock_tail(base: LoadedBase, cut: int, *, normed: bool = False) -> StockTail:
    """Return a tail of stock modules. ``normed``: at cut 0, states come after the final norm already.

    Raises:
        ModelDamaged: If the tensors do not fit the configuration.
        DeviceFull: If they do not fit the device.
    """
    from .cut import upper

    if "stock upper" not in base.kept:
        with telling_when_full(base.device):
            base.kept["stock upper"] = _read_stock(base), _read_head(base)
    decoder, head = base.kept["stock upper"]
    return upper(decoder, head, cut, base.card.layers, normed=normed)


def _held(base: LoadedBase) -> int:
    return base.card.layers if base.upper is None else base.upper


def _config(base: LoadedBase) -> Any:
    """Return the configuration of the blocks that are here."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    return slice_config(config, base.card.layers - _held(base), base.card.layers)


def _read_lean(base: LoadedBase) -> LeanUpper:
    first = base.card.layers - _held(base)
    model = LeanUpper.of(_config(base), FromBlock(copied(base), first), base.numbers, base.card.layers)
    return model.over(Tensors(base.folder)) if base.device == CPU else model


def _read_stock(base: LoadedBase) -> Any:
    """Return a decoder of the blocks that are here and the final norm; its embeddings are of one token, for nothing."""
    from transformers import MODEL_MAPPING

    from .quiet import quiet_transformers

    config = _config(base)
    kind: Any = MODEL_MAPPING[type(config)]
    config.vocab_size, config.pad_token_id = 1, None
    tensors = FromBlock(Tensors(base.folder), base.card.layers - _held(base))
    with quiet_transformers():
        decoder, notes = kind.from_pretrained(
            None,
            config=config,
            state_dict={name: tensors[name] for name in tensors if name not in (EMBEDDINGS, HEAD, HEAD_BIAS)},
            dtype=_dtype(base),
            device_map=None if base.device == CPU else base.device,
            output_loading_info=True,
        )
    for name in sorted(map(str, [*notes.get("missing_keys", ()), *notes.get("mismatched_keys", ())])):
        if not name.endswith("embed_tokens.weight"):
            raise ModelDamaged(f"The model in {base.folder} lacks the tensor {name}; remove it and pull it again.")
    decoder.requires_grad_(False)
    return decoder.eval()


def _read_head(base: LoadedBase) -> torch.nn.Linear:
    from torch import nn

    tensors = Tensors(base.folder, base.device)
    try:
        weight, bias = head_weight(tensors).to(_dtype(base)), tensors.get(HEAD_BIAS)
    except KeyError as error:
        raise ModelDamaged(f"The model in {base.folder} lacks its head; remove it and pull it again.") from error
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    head.weight = _frozen(weight)
    if bias is not None:
        head.bias = _frozen(bias.to(_dtype(base)))
    return head.eval()


def _frozen(tensor: Tensor) -> torch.nn.Parameter:
    from torch import nn

    return nn.Parameter(tensor, requires_grad=False)


def _dtype(base: LoadedBase) -> torch.dtype:
    import torch

    from .lean.matrices import dense_dtype

    if base.dtype is not None:
        return base.dtype
    return torch.float32 if base.device == CPU else dense_dtype(base.numbers)
