"""The trunk without the tail: what a server loads of a base, embeddings and lower blocks, and nothing above them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...schemas.errors import ModelDamaged
from .device import CPU, telling_when_full
from .halves import Trunk, is_lean, open_trunk
from .numbers import QUANTISED
from .size import check_cut
from .weights import Tensors

if TYPE_CHECKING:
    from .library import LoadedBase


def load_trunks(base: LoadedBase, cuts: Iterable[int]) -> dict[int, Trunk]:
    """Return the trunk of a base at each of some cuts, over the same weights; of the base no more is read than that.

    Quantised weights are those of the whole model, packed and mapped: what lies above the trunk is not touched.

    Raises:
        UsageError: If the base has no such cut.
        TailOnly: If only its upper blocks are here.
        ModelDamaged: If its weights do not fit its configuration.
        DeviceFull: If they do not fit its device.
    """
    from transformers import AutoConfig

    wanted = sorted(set(cuts))
    for cut in wanted:
        check_cut(cut, base.card.layers)
    base.check_whole()
    if is_lean(base) and base.numbers in QUANTISED:
        return {cut: open_trunk(base, cut) for cut in wanted}
    config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    with telling_when_full(base.device):
        return _lean(base, config, wanted) if is_lean(base) else _stock(base, config, wanted)


def _lean(base: LoadedBase, config: Any, cuts: list[int]) -> dict[int, Trunk]:
    from .families import slice_config
    from .lean.halves import LeanTrunk
    from .lean.model import LeanLower

    blocks = base.card.layers - cuts[0]
    lower = LeanLower.of(slice_config(config, 0, blocks), Tensors(base.folder, base.device), base.numbers)
    return {cut: LeanTrunk(lower, cut - cuts[0]) for cut in cuts}


def _stock(base: LoadedBase, config: Any, cuts: list[int]) -> dict[int, Trunk]:
    import torch
    from transformers import AutoModel

    from .cut import lower
    from .families import slice_config
    from .lean.matrices import dense_dtype
    from .quiet import quiet_transformers

    with quiet_transformers():
        loaded: Any = AutoModel.from_pretrained(
            base.folder,
            config=slice_config(config, 0, base.card.layers - cuts[0]),
            dtype=torch.float32 if base.device == CPU else dense_dtype(base.numbers),
            device_map=None if base.device == CPU else base.device,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    decoder, notes = loaded
    for name in sorted(map(str, [*notes.get("missing_keys", ()), *notes.get("mismatched_keys", ())])):
        raise ModelDamaged(f"The model in {base.folder} lacks the tensor {name}; fetch or copy it again.")
    decoder.requires_grad_(False)
    decoder.eval()
    return {cut: lower(decoder, base.card.layers - cut) for cut in cuts}
