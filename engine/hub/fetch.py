"""Fetching an adapter from the hub: pinned to one commit, safetensors alone, nothing of it believed before it is read.

Of a repository two files are asked for, the configuration first, so that gigabytes of what cannot be used are never
fetched. Both are compared with the hub's sizes, the weights with its sha256; a broken download goes on at its byte.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import DiskFull, NotFound, UsageError
from ...schemas.sharing import ON_HUB
from ..base.download import Remote, bytes_there, download
from ..base.hub import Told
from ..files import storage_errors
from ..slots.foreign_config import LARGEST, read_scale
from ..slots.generations import CONFIG, WEIGHTS
from .errors import adapter_errors

_ADDRESS = re.compile(r"(?P<name>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>[\w./-]{1,200}))?")
_PICKLED = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")


@dataclass(frozen=True)
class Address:
    """An adapter as the user named it; ``revision`` None: the newest."""

    name: str
    revision: str | None

    def __str__(self) -> str:
        return self.name + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class Found:
    """An adapter on the hub, pinned to one commit; ``base`` and ``licence``, as its card says, decide nothing."""

    name: str
    commit: str
    files: tuple[Remote, ...]
    base: str = ""
    licence: str = ""

    @property
    def source(self) -> str:
        """How it is named for good."""
        return f"{ON_HUB}{self.name}@{self.commit}"


def parse(spec: str) -> Address:
    """Read ``hub:owner/name`` or ``hub:owner/name@revision``.

    Raises:
        UsageError: If it is none.
    """
    match = _ADDRESS.fullmatch(spec.removeprefix(ON_HUB))
    if match is None:
        raise UsageError(f"{spec!r} is no adapter on the hub; write hub:owner/name or hub:owner/name@revision.")
    return Address(match["name"], match["revision"])


def resolve(address: Address) -> Found:
    """Ask the hub which commit a name stands for now, and whether there is an adapter in it.

    Raises:
        NotFound: If there is none in safetensors.
        UsageError: If it is larger than any that can be used.
        Unreachable, Unauthorised, PeerRefused: If the hub does not say.
    """
    from huggingface_hub import HfApi

    with adapter_errors(str(address)):
        info = HfApi().model_info(address.name, revision=address.revision, files_metadata=True)
    listed = {item.rfilename: item for item in info.siblings or []}
    if WEIGHTS not in listed and any(name in listed for name in _PICKLED):
        raise NotFound(f"{address} holds pickled weights alone, which can run code; only safetensors are ever read.")
    if not (CONFIG in listed and WEIGHTS in listed):
        missing = CONFIG if CONFIG not in listed else WEIGHTS
        raise NotFound(f"{address} is no PEFT adapter in safetensors ({missing} is missing); name another one.")
    files = tuple(
        Remote(name, listed[name].size or 0, lfs.sha256 if (lfs := listed[name].lfs) else None)
        for name in (CONFIG, WEIGHTS)
    )
    for file in files:
        if file.size > LARGEST[file.name]:
            raise UsageError(
                f"{file.name} of {address} has {file.size / 1e6:,.0f} MB and at most {LARGEST[file.name] / 1e6:,.0f} "
                "MB can be used; name a smaller adapter."
            )
    base = getattr(info.card_data, "base_model", None) or ""
    licence = getattr(info.card_data, "license", None) or ""
    return Found(address.name, str(info.sha), files, _line(base), _line(licence))


def fetch(found: Found, folder: Path, tell: Callable[[str, float | None], None]) -> Path:
    """Download an adapter into a folder of its own under ``folder`` and return that.

    Raises:
        UsageError: If its configuration is not that of a plain LoRA; the weights are not fetched then.
        ModelDamaged: If a file is not what the hub says it is.
        DiskFull: If there is no room for it.
        Unreachable, Unauthorised, NotFound, PeerRefused: If the hub does not give it.
    """
    from huggingface_hub import HfApi, hf_hub_url

    target = folder / f"{found.name.replace('/', '--')}-{found.commit[:12]}"
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    total = sum(file.size for file in found.files)
    wanted = total - sum(bytes_there(file, target) for file in found.files)
    if wanted > (free := shutil.disk_usage(target).free):
        raise DiskFull(
            f"{found.name} needs {wanted // 1_000_000} MB more and {target} has {free // 1_000_000} MB; free some or "
            "set NIGHTSCHOOL_HOME to a larger disk."
        )
    done = 0
    for file in found.files:
        told = Told(tell, file.name, done, total)
        url = hf_hub_url(found.name, file.name, revision=found.commit, endpoint=HfApi().endpoint)
        told(bytes_there(file, target))
        with adapter_errors(found.name):
            download(file, url, target, told, shown=found.name)
        done += file.size
        if file.name == CONFIG:
            _check_config(target, found.name)
    return target


def _check_config(target: Path, shown: str) -> None:
    """Refuse what is no plain LoRA, and leave nothing of it."""
    try:
        read_scale(target / CONFIG, shown)
    except UsageError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _line(said: object) -> str:
    """Return what a stranger's card says, on one line; several values with commas between."""
    text = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:200]
