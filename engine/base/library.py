"""The bases of a profile: make one ready, and load it.

``prepare`` turns what the user named into a folder under the profile's ``models``: the files of the model (for a local
folder, links to them), its card, and a manifest that is written last. The folder is built under another name and
renamed, so that whatever is found under its final name was once complete. ``load`` checks it and reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ...schemas.cards import BaseCard
from ...schemas.errors import DeviceFull, ModelDamaged, TailOnly
from ..files import storage_errors, write_atomic
from ..paths import Home
from . import default_model, hub
from .catalog import DEFAULT, source_of
from .device import CPU, telling_when_full
from .families import check_family
from .gguf_file import is_gguf, unpack
from .installed import HUB, find_installed, whole_spec
from .numbers import Numbers
from .quiet import quiet_transformers
from .size import cut_of
from .staging import Tell, one_at_a_time, staged
from .weights import (
    CARD,
    INDEX,
    check_shards,
    file_sha256,
    read_config,
    read_manifest,
    shard_files,
    verify,
    write_manifest,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_STOCK = ("stock", "stock upper")

SIDE_FILES = (
    *("config.json", "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja", "chat_template.json"),
)
"""What there may be beside the weights of a base, and their index."""


@dataclass(frozen=True)
class LoadedBase:
    """A base that can be used; what is large is read when it is first needed, and once.

    Attributes:
        tokenizer: With the chat template.
        card: What it is.
        folder: Where it is read from.
        numbers: What the lean halves keep their matrices in.
        dtype: Of the stock model; None: float32, and on a device what the numbers say.
        device: Where it computes, as torch names it.
        upper: How many of its blocks are on this machine, counted from the top, with final norm and head; None: all.
        kept: What was opened: the stock model, and what ``halves`` makes.
    """

    tokenizer: PreTrainedTokenizerBase
    card: BaseCard
    folder: Path
    numbers: Numbers = Numbers.FP32
    dtype: torch.dtype | None = None
    device: str = CPU
    upper: int | None = None
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def model(self) -> PreTrainedModel:
        """The whole stock model of transformers, frozen, in evaluation mode.

        Raises:
            ModelDamaged: If it does not load.
            TailOnly: If only its upper blocks are here.
        """
        self.check_whole()
        if "stock" not in self.kept:
            self.kept["stock"] = _read_model(self.folder, self._stock_dtype(), self.device)
        stock: PreTrainedModel = self.kept["stock"]
        return stock

    @property
    def cut(self) -> int:
        """Number of blocks of the tail where nobody chooses: the usual one; of a base that is a tail, all of them."""
        return cut_of(self.card.layers, self.upper, None)

    def check_here(self, cut: int) -> None:
        """Refuse a tail of which not all is on this machine.

        Raises:
            TailOnly: With the ways out.
        """
        if self.upper is not None and cut > self.upper:
            raise self._tail_only()

    def check_whole(self) -> None:
        """Refuse what needs lower blocks that are not on this machine.

        Raises:
            TailOnly: With the ways out.
        """
        if self.upper is not None:
            raise self._tail_only()

    def _tail_only(self) -> TailOnly:
        return TailOnly(
            f"Only the last {self.upper} blocks of {self.card.name} are here: choose a server that computes the rest "
            f"(`nightschool providers use NAME`), or fetch the whole model with `nightschool models pull "
            f"{whole_spec(self.card)}`."
        )

    def computing_in(self, numbers: Numbers) -> LoadedBase:
        """Return the same base with halves in other numbers; on the CPU those of stock modules stay as they are."""
        same = {name: kept for name, kept in self.kept.items() if name in _STOCK and self.device == CPU}
        return replace(self, numbers=numbers, kept=same)

    def on(self, device: str) -> LoadedBase:
        """Return the same base where it computes on a device, as torch names it."""
        return self if device == self.device else replace(self, device=device, kept={})

    def _stock_dtype(self) -> torch.dtype | None:
        if self.dtype is not None or self.device == CPU:
            return self.dtype
        from .lean.matrices import dense_dtype

        return dense_dtype(self.numbers)


def prepare(spec: str, home: Home, tell: Tell) -> Path:
    """Make a base ready for :func:`load` and return its folder. Blocks; quick when it is ready already.

    Args:
        spec: Empty or ``default`` for the default model, else a name of the catalogue, else a local folder or GGUF
            file, else ``owner/name`` or ``owner/name@revision`` on the Hugging Face hub.
        home: The profile.
        tell: Called with a stage in words and the fraction done, None where it is not known.

    Raises:
        ModelNotFound: If there is no such model.
        ModelDamaged: If its files are not whole, or not those that were used before.
        UnsupportedFamily: If it cannot be cut.
        StorageError: If the profile cannot be written.
    """
    with one_at_a_time(home, tell):
        source = source_of(spec)
        if source == DEFAULT:
            return _prepare_default(home, tell)
        ready = _checked(source, home)
        if ready is not None:
            return ready
        path = Path(source).expanduser().resolve()
        if path.is_dir():
            return _prepare_folder(path, home, tell)
        if is_gguf(path):
            return _prepare_gguf(path, home, tell)
        return _prepare_from_hub(source, home, tell)


def load(
    folder: Path, dtype: torch.dtype | None = None, numbers: Numbers = Numbers.FP32, device: str = CPU
) -> LoadedBase:
    """Read a base from a prepared folder, or from any folder with a model in Hugging Face's format.

    Args:
        folder: What :func:`prepare` returned. In a folder without a card one is computed, which takes a moment.
        dtype: Of the stock model's weights in memory; None: float32.
        numbers: What the lean halves of it will keep their matrices in.
        device: Where it will compute, as torch names it; see :func:`device.find_device`.

    Raises:
        ModelNotFound: If the folder holds no model.
        ModelDamaged: If a file is truncated, changed, or does not fit the configuration.
        UnsupportedFamily: If the model cannot be cut.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        verify(folder, manifest)
    else:
        check_shards(folder)
    check_family(read_config(folder))
    card = _read_card(folder) if manifest is not None else None
    if card is not None:
        upper = manifest.upper if manifest is not None else None
        return LoadedBase(_known_tokenizer(folder, card), card, folder, numbers, dtype, device, upper)
    from .card import make_card

    model, tokenizer = _read_model(folder, dtype), read_tokenizer(folder)
    card = make_card(folder, model, tokenizer, name=folder.name, source=str(folder))
    kept = {"stock": model} if device == CPU else {}
    return LoadedBase(tokenizer, card, folder, numbers, dtype, device, kept=kept)


def _checked(source: str, home: Home) -> Path | None:
    """Return the folder of a base that is prepared already, after checking it; None if it is not.

    Raises:
        ModelDamaged: If it is not what it was.
    """
    found = find_installed(source, home)
    if found is None or found.manifest is None:
        return None
    verify(found.folder, found.manifest)
    return found.folder


# -- the kinds of source ----------------------------------------------------------------------------------------------


def _prepare_default(home: Home, tell: Tell) -> Path:
    final = home.models / default_model.FOLDER
    try:
        if _is_ready(final):
            return final
        tell("Preparing the default model, this once", 0.0)
    except ModelDamaged:
        tell("Repairing the default model", 0.0)
    with staged(final) as part:
        default_model.convert(part, tell)
        _finish(
            part, default_model.NAME, tell, source=default_model.SOURCE, licence=default_model.LICENCE, key="default"
        )
    return final


def _prepare_folder(folder: Path, home: Home, tell: Tell) -> Path:
    check_family(read_config(folder))
    check_shards(folder)
    tell(f"Looking at {folder.name}", None)
    beside = [name for name in (*SIDE_FILES, INDEX) if (folder / name).is_file()]
    names = [path.name for path in shard_files(folder)] + beside
    final = home.models / f"{folder.name}-{file_sha256(shard_files(folder)[0])[:8]}"
    with staged(final) as part:
        for name in names:
            (part / name).symlink_to(folder / name)
        _finish(part, folder.name, tell, source=str(folder), key=str(folder))
    return final


def _prepare_gguf(file: Path, home: Home, tell: Tell) -> Path:
    tell(f"Looking at {file.name}", None)
    with storage_errors(file):
        final = home.models / f"{file.stem}-{file_sha256(file)[:8]}"
    with staged(final) as part:
        unpack(file, part, tell)
        _finish(part, file.stem, tell, source=str(file), key=str(file))
    return final


def _prepare_from_hub(spec: str, home: Home, tell: Tell) -> Path:
    address = hub.parse(spec)
    tell(f"Asking the hub for {spec}", None)
    found = hub.resolve(address)
    pinned = f"{address.name}@{found.commit}"
    same = _checked(pinned, home)
    if same is not None:
        return same
    final = home.models / f"{address.name.rpartition('/')[2]}-{found.commit[:8]}"
    with staged(final, resume=True) as part:
        hub.fetch(found, part, tell)
        check_shards(part)
        _finish(part, address.name, tell, source=f"{HUB}{pinned}", key=spec, licence=found.licence)
    return final


# -- building a prepared folder ---------------------------------------------------------------------------------------


def _finish(part: Path, name: str, tell: Tell, *, source: str, key: str, licence: str = "") -> None:
    """Add card and manifest to the files of a model: the proof that it loads comes before its name."""
    from .card import make_card
    from .tensor_list import keep_list, list_tensors
    from .widened import stored_dtype, widened

    tell("Taking its fingerprint", 0.9)
    model, tokenizer = _read_model(part, stored_dtype(part)), read_tokenizer(part)
    entries = list_tensors(part, tied=bool(model.config.tie_word_embeddings))
    with widened(model):
        card = make_card(part, model, tokenizer, name=name, source=source, licence=licence, entries=entries)
    keep_list(part, entries)
    write_atomic(part / CARD, card.model_dump_json())
    write_manifest(part, key)
    tell("Ready", 1.0)


def _is_ready(folder: Path) -> bool:
    """Return whether a folder is a prepared base, after checking it.

    Raises:
        ModelDamaged: If it was one.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    verify(folder, manifest)
    return True


# -- reading ----------------------------------------------------------------------------------------------------------


def _read_model(folder: Path, dtype: torch.dtype | None, device: str = CPU) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    with library_errors(folder), telling_when_full(device):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype or torch.float32,
            device_map=None if device == CPU else device,  # each tensor goes there as it is read
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    model, notes = loaded
    _check_loaded(folder, notes)
    model.requires_grad_(False)
    model.eval()
    read: PreTrainedModel = model
    return read


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder.

    Raises:
        ModelDamaged: If it does not load.
    """
    from transformers import AutoTokenizer

    with library_errors(folder):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokenizer.encode("Does it work?")  # some settings are read at the first use only
    read: PreTrainedTokenizerBase = tokenizer
    return read


def _known_tokenizer(folder: Path, card: BaseCard) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a base that has a card: through the general class, where it is the same.

    ``AutoTokenizer`` imports every model of the library to find the class, for 1.5 s.
    """
    from transformers import PreTrainedTokenizerFast

    from .card import same_tokenizer

    if (folder / "tokenizer.json").is_file():
        with library_errors(folder):
            general: Any = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        if same_tokenizer(card, general):
            read: PreTrainedTokenizerBase = general
            return read
    return read_tokenizer(folder)


@contextmanager
def library_errors(folder: Path) -> Iterator[None]:
    """Turn whatever reading a model raises into an error of ours.

    Raises:
        ModelDamaged: With the reason.
    """
    try:
        with quiet_transformers():
            yield
    except (MemoryError, DeviceFull):
        raise
    except Exception as error:
        # What a spoilt file makes these libraries raise has no common root; the tokenizers even raise bare Exception.
        reason = re.sub(r"\s+", " ", str(error))[:200]
        raise ModelDamaged(f"The model in {folder} does not load ({reason}); fetch or copy it again.") from error


def _check_loaded(folder: Path, notes: dict[str, Any]) -> None:
    """Refuse a model of which transformers had to invent, reshape or drop a tensor, which it does with a warning only.

    Raises:
        ModelDamaged: Naming the first such tensor.
    """
    for key, trouble in (("missing_keys", "lacks"), ("mismatched_keys", "has the wrong shape of")):
        for item in sorted(notes.get(key) or [], key=str):
            name = item[0] if isinstance(item, tuple) else item
            raise ModelDamaged(f"The model in {folder} {trouble} the tensor {name}; fetch or copy it again.")
    extra = [name for name in sorted(notes.get("unexpected_keys") or []) if not name.endswith("rotary_emb.inv_freq")]
    if extra:
        raise ModelDamaged(f"The model in {folder} holds {extra[0]}, which config.json does not know; fetch it again.")


def _read_card(folder: Path) -> BaseCard | None:
    path = folder / CARD
    try:
        return BaseCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        raise ModelDamaged(f"{path} does not read back as it was written; remove {folder} and start again.") from error
