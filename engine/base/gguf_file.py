"""GGUF files: one model in one file, mostly quantised; unpacked once into Hugging Face's format.

The weights are written as float32: rounding unpacked ones to 16 bits would change most of them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.errors import DiskFull, ModelDamaged, ModelError, ModelNotFound, StorageError, UnsupportedFamily
from ..files import storage_errors
from .families import FAMILIES, check_family
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"GGUF"
_BYTES = 4
"""Of one unpacked weight."""
_SIDE_BYTES = 10_000_000
"""Of what lies beside the weights: tokenizer and settings."""


def is_gguf(path: Path) -> bool:
    """Return whether a path names a GGUF file."""
    return path.suffix.casefold() == ".gguf" and path.is_file()


def unpack(gguf: Path, folder: Path, tell: Callable[[str, float | None], None]) -> None:
    """Write the model of a GGUF file into an empty folder, in Hugging Face's format.

    Raises:
        ModelDamaged: If the file does not read.
        ModelNotFound: If it is only a part of a model.
        UnsupportedFamily: If the model cannot be cut, or is packed in a way that nobody here can read.
        ModelError: If this machine's memory cannot hold it unpacked.
        DiskFull: If the folder has no room for it.
    """
    tell("Looking into the file", 0.0)
    _check(gguf, folder)
    logging.getLogger("gguf").setLevel(logging.ERROR)  # it says that it unpacks weights; that is what we came for
    with quiet_transformers():
        with _reading(gguf):
            from transformers import AutoConfig, AutoTokenizer

            tell("Reading the tokenizer", 0.05)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            tell("Reading the configuration", 0.2)
            config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
        check_family({**config.to_dict(), "quantization_config": None})
        tell("Unpacking the weights", 0.4)
        model = _model(gguf, config)
        tell("Writing the model", 0.7)
        _write(model, tokenizer, folder)
    tell("Checking what was written", 0.85)


def _check(gguf: Path, folder: Path) -> None:
    """Refuse what cannot end well, before anything large is read."""
    with storage_errors(gguf), gguf.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ModelDamaged(f"{gguf} does not begin as a GGUF file does; fetch it again.")
    with _reading(gguf):
        from gguf import GGUFReader

        reader = GGUFReader(gguf)
        architecture = _field(reader, "general.architecture")
        parts = _field(reader, "split.count") or 1
        weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    if architecture not in FAMILIES:
        raise UnsupportedFamily(f"The model family {architecture!r} of {gguf.name} is not supported; use another file.")
    if parts > 1:
        raise ModelNotFound(f"{gguf.name} is one part of {parts}; join them first with `llama-gguf-split --merge`.")
    _check_room(weights * _BYTES, gguf, folder)


def _check_room(needed: int, gguf: Path, folder: Path) -> None:
    import psutil

    free, memory = shutil.disk_usage(folder).free, psutil.virtual_memory().total
    if needed > memory:
        raise ModelError(
            f"Unpacking {gguf.name} takes {needed / 1e9:.1f} GB of memory and this machine has {memory / 1e9:.1f} GB; "
            "use the same model's safetensors, or a smaller one."
        )
    if needed + _SIDE_BYTES > free:
        raise DiskFull(
            f"{gguf.name} takes {needed // 1_000_000} MB unpacked and {folder.parent} has {free // 1_000_000} MB; "
            "free some or set NIGHTSCHOOL_HOME to a larger disk."
        )


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()


def _model(gguf: Path, config: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with _reading(gguf):
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, config=config, dtype=torch.float32
        )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.architectures = [type(model).__name__]
    return model


def _write(model: Any, tokenizer: Any, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    with storage_errors(folder):
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        try:
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:
            raise StorageError(f"{folder} cannot be written ({error}); check its disk.") from error


@contextmanager
def _reading(gguf: Path) -> Iterator[None]:
    """Turn whatever a reader raises about the file into an error of ours.

    Raises:
        UnsupportedFamily: If it knows the file and cannot read this kind.
        ModelDamaged: If it cannot make sense of it.
    """
    try:
        yield
    except (MemoryError, ModelError):
        raise
    except NotImplementedError as error:
        raise UnsupportedFamily(f"{gguf.name} is packed in a way that is not read ({error}); use another.") from error
    except Exception as error:
        # What a spoilt file makes these libraries raise has no common root.
        reason = " ".join(str(error).split())[:200]
        raise ModelDamaged(f"{gguf} does not read ({reason}); fetch it again, or another file of the model.") from error
