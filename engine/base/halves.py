"""The two halves of a base as the rest of the engine sees them, and which kind of halves a base gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .checkpoint import FromBlock, copied
from .device import CPU
from .lean.halves import LeanTail, LeanTrunk
from .lean.halves import step_together as lean_step_together
from .lean.model import FAMILIES as LEAN
from .lean.model import LeanModel, LeanUpper, Upper
from .lean.packed import packed_path, read_packed, write_packed
from .numbers import QUANTISED, Numbers
from .size import check_cut
from .tail_alone import lean_upper, packed_upper, stock_tail
from .weights import Tensors, read_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .library import LoadedBase
    from .lora import Lora, Place

Cache = Any
"""What one stream has seen, as keys and values; crop it with ``cache.crop``."""


class ManyRows(Protocol):
    """What many streams of different lengths have seen."""

    def move(self, source: int, target: int) -> None:
        """Let one row take the place of another, which stays as it is."""
        ...


class Trunk(Protocol):
    """Embeddings and the lower blocks: from token ids to states. Never differentiated.

    Attributes:
        device: Where ids that are tensors must be, and states are.
    """

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def sequences(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the states ``(T, d)`` of whole sequences, none of them empty."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache for :meth:`extend`."""
        ...

    def extend(self, ids: Tensor, cache: Cache) -> Tensor:
        """Append tokens ``(1, T)`` to what ``cache`` holds and return their states ``(1, T, d)``."""
        ...

    def extend_together(self, batch: Sequence[Sequence[int]], caches: Sequence[Cache]) -> list[Tensor]:
        """Append tokens, of each at least one, to what each cache holds, and return their states ``(T, d)``.

        The caches are distinct. Lean halves compute all in one pass, stock ones a stream at a time.
        """
        ...

    def new_rows(self, count: int, room: int) -> Any:
        """Return empty streams of at most ``room`` tokens for :meth:`fill` and :meth:`step`."""
        ...

    def fill(self, rows: Any, numbers: Sequence[int], batch: Sequence[Sequence[int]]) -> list[Tensor]:
        """Begin the rows of these numbers anew with whole sequences and return their states ``(T, d)``."""
        ...

    def step(self, rows: Any, tokens: Tensor) -> Tensor:
        """Append one token to each of the first ``(n,)`` rows and return their states ``(n, d)``."""
        ...


class Tail(Protocol):
    """The upper blocks, final norm and head: from states to logits. Carries the LoRA.

    Attributes:
        first_layer: Number, in the whole model, of its lowest block.
        device: Where states and updates must be, and rows are.
    """

    first_layer: int

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def shapes(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of every projection that can carry an update."""
        ...

    def final(self) -> dict[Place, tuple[int, int]]:
        """Return ``(out, in)`` of the update of the final state, by its one place (``lora.HEAD``)."""
        ...

    def carry(self, loras: Mapping[Place, Lora]) -> None:
        """Speak with these updates, in place of those before."""
        ...

    def sequences(self, batch: Sequence[Tensor], tokens: Sequence[Sequence[int]] | None = None) -> list[Tensor]:
        """Return rows after the final norm, ``(T, d)``, for states ``(T, d)`` of whole sequences. Differentiable.

        ``tokens``: of the sequences, where they are known, so that what several begin with alike is computed once.
        """
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache for :meth:`extend`."""
        ...

    def extend(self, states: Tensor, cache: Cache) -> Tensor:
        """Append states ``(1, T, d)`` and return their rows after the final norm, ``(1, T, d)``."""
        ...

    def new_rows(self, count: int, room: int) -> Any:
        """Return empty streams of at most ``room`` tokens for :meth:`fill` and :meth:`step`."""
        ...

    def fill(
        self, rows: Any, numbers: Sequence[int], batch: Sequence[Tensor], tokens: Sequence[Sequence[int]] | None = None
    ) -> list[Tensor]:
        """Begin the rows of these numbers anew with the states of whole sequences; return rows as ``sequences``."""
        ...

    def step(self, rows: Any, states: Tensor) -> Tensor:
        """Append one state to each of the first rows, ``(n, d)``, and return their rows after the final norm."""
        ...

    def head(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., V)`` of rows ``(..., d)`` after the final norm. Differentiable."""
        ...

    def ranked(self, rows: Tensor) -> Tensor:
        """Return the logits in fp32, the likeliest computed again where the head is coarser: what chooses a word."""
        ...


def is_lean(base: LoadedBase) -> bool:
    """Whether the lean halves are for this base: a family they are proven on, with the activation they compute."""
    return base.card.family in LEAN and read_config(base.folder).get("hidden_act", "silu") == "silu"


def open_trunk(base: LoadedBase, cut: int) -> Trunk:
    """Return the trunk of a base, the same one for all who ask.

    Raises:
        UsageError: If the base has no such cut.
        TailOnly: If only its upper blocks are here.
    """
    check_cut(cut, base.card.layers)
    base.check_whole()
    name = f"trunk {cut}"
    if name not in base.kept:
        base.kept[name] = LeanTrunk(_lean(base), cut) if is_lean(base) else _split(base, cut)[0]
    trunk: Trunk = base.kept[name]
    return trunk


def open_tail(base: LoadedBase, cut: int) -> Tail:
    """Return a tail of a base, with a voice of its own; to be differentiated the base's numbers must be dense.

    Raises:
        UsageError: If the base has no such cut.
        TailOnly: If fewer blocks than that are here.
    """
    check_cut(cut, base.card.layers)
    base.check_here(cut)
    if is_lean(base):
        return LeanTail(_upper(base), cut)
    return _split(base, cut)[1] if base.upper is None else stock_tail(base, cut)


def step_together(tails: Sequence[Tail], rows: Sequence[Any], states: Tensor) -> Tensor:
    """Append a state of ``(n, d)`` to the first stream of each of ``rows``, one of each of ``n`` tails of one base.

    Returns:
        Rows after the final norm, ``(n, d)``. Lean tails read their frozen weights once for all of them.
    """
    import torch

    lean = [tail for tail in tails if isinstance(tail, LeanTail)]
    if len(lean) == len(tails) > 1:
        return lean_step_together(lean, rows, states)
    parts = zip(tails, rows, torch.split(states, 1), strict=True)
    return torch.cat([tail.step(own, state) for tail, own, state in parts])


def open_head(base: LoadedBase, *, normed: bool) -> Tail:
    """Return the tail of no blocks, for a provider that gives final states; it carries an update of them alone.

    Args:
        base: Whose head.
        normed: Whether states come after the final norm; else it is done here.
    """
    if is_lean(base):
        return LeanTail(_upper(base), 0, normed=normed)
    if base.upper is not None:
        return stock_tail(base, 0, normed=normed)
    from .cut import head_of

    return head_of(base.model, normed=normed)


def merged_tail(base: LoadedBase, cut: int, updates: Mapping[str, Tensor]) -> Tail | None:
    """Return a plain tail, in fp32, over weights of the checkpoint to which updates have been added.

    Its blocks are numbered from 0. None for a base without lean halves, whose stock model would have to be copied.

    Args:
        base: Whose tail.
        cut: Number of its blocks.
        updates: ``(out, in)`` by the name of the weight in the checkpoint.

    Raises:
        TailOnly: If fewer blocks than that are here.
    """
    from transformers import AutoConfig

    from .families import slice_config

    if not is_lean(base):
        return None
    base.check_here(cut)
    config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    layers = base.card.layers
    part = FromBlock(copied(base), layers - cut, updates)
    return LeanTail(LeanUpper.of(slice_config(config, layers - cut, layers), part, Numbers.FP32, cut), cut)


def is_packed(base: LoadedBase) -> bool:
    """Whether its quantised weights lie on disk, so that they need not be made."""
    if base.upper is not None:
        return is_lean(base) and packed_upper(base) is not None
    return _packed(base, Tensors(base.folder)) is not None


def pack(base: LoadedBase) -> None:
    """Keep the quantised weights of a prepared base on disk, for the next start. Nothing to do for dense ones.

    Raises:
        StorageError: If they cannot be written.
    """
    if base.numbers in QUANTISED and is_lean(base) and not is_packed(base):
        write_packed(_upper(base), packed_path(base.folder, base.numbers), base.card.fingerprint)


def _split(base: LoadedBase, cut: int) -> tuple[Trunk, Tail]:
    from .cut import split  # with the modelling code of transformers, which takes seconds to import

    return split(base.model, cut)


def _upper(base: LoadedBase) -> Upper:
    return _lean(base) if base.upper is None else lean_upper(base)


def _lean(base: LoadedBase) -> LeanModel:
    if "lean" not in base.kept:
        tensors = Tensors(base.folder, base.device)
        base.kept["lean"] = _packed(base, tensors) or _unpacked(base, tensors)
    model: LeanModel = base.kept["lean"]
    return model


def _packed(base: LoadedBase, tensors: Tensors) -> LeanModel | None:
    if base.numbers not in QUANTISED:
        return None
    return read_packed(packed_path(base.folder, base.numbers), base.card.fingerprint, tensors)


def _unpacked(base: LoadedBase, tensors: Tensors) -> LeanModel:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    model = LeanModel.of(config, copied(base), base.numbers)
    return model.over(tensors) if base.device == CPU else model
