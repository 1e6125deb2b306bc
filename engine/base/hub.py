"""Fetching a model from the Hugging Face hub: by name and revision, pinned to one commit, safetensors alone."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import DiskFull, ModelNotFound
from .download import Remote, bytes_there, download, hub_errors
from .families import check_family
from .weights import read_config

_SPEC = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_WANTED = re.compile(
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|(config|generation_config)\.json"
    r"|tokenizer[^/]*\.(json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt"
    r"|chat_template\.(jinja|json)"
)
_TELL_SECONDS = 0.2
_SHARE = 0.9
"""Of preparing a model, that is its download."""


@dataclass(frozen=True)
class Address:
    """A model as the user named it."""

    name: str
    revision: str | None


@dataclass(frozen=True)
class Found:
    """A model on the hub, pinned to one commit, and those of its files that are wanted."""

    name: str
    commit: str
    files: tuple[Remote, ...]
    licence: str = ""


def parse(spec: str) -> Address:
    """Read ``owner/name`` or ``owner/name@revision``.

    Raises:
        ModelNotFound: If it can be neither a name on the hub nor a folder, which the caller has looked for.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or spec.startswith((".", "/", "~")):
        raise ModelNotFound(
            f"There is no folder or file {spec!r}; name one that is there, one that `nightschool models` lists, or "
            "owner/name on the Hugging Face hub."
        )
    return Address(match["name"], match["revision"])


def resolve(address: Address) -> Found:
    """Ask the hub which commit a name stands for now.

    Raises:
        ModelNotFound: If the hub cannot be reached, or knows no such model or revision, or it has no safetensors.
    """
    from huggingface_hub import HfApi

    shown = address.name + (f"@{address.revision}" if address.revision else "")
    with hub_errors(shown):
        info = HfApi().model_info(address.name, revision=address.revision, files_metadata=True)
    files = tuple(
        Remote(item.rfilename, item.size or 0, item.lfs.sha256 if item.lfs else None)
        for item in info.siblings or []
        if _WANTED.fullmatch(item.rfilename)
    )
    if not any(file.name.endswith(".safetensors") for file in files):
        raise ModelNotFound(f"{shown} has no safetensors weights on the hub; name a model that has.")
    return Found(address.name, str(info.sha), files, str(getattr(info.card_data, "license", None) or ""))


def fetch(found: Found, folder: Path, tell: Callable[[str, float | None], None]) -> None:
    """Download a model into a folder; what an earlier, broken download left there is not fetched again.

    The configuration comes first, so that gigabytes of an unsupported family are never fetched.

    Raises:
        ModelNotFound: If the connection is lost.
        ModelDamaged: If a file is not what the hub says it is.
        UnsupportedFamily: If the model cannot be cut.
        DiskFull: If there is no room for the rest of it.
    """
    from huggingface_hub import HfApi, hf_hub_url

    total = sum(file.size for file in found.files)
    there = sum(bytes_there(file, folder) for file in found.files)
    free = shutil.disk_usage(folder).free
    if total - there > free:
        raise DiskFull(
            f"{found.name} needs {(total - there) // 1_000_000} MB more and {folder.parent} has {free // 1_000_000} "
            "MB; free some or set NIGHTSCHOOL_HOME to a larger disk."
        )
    done = 0
    files = sorted(found.files, key=lambda file: file.name != "config.json")
    for file in files:
        told = Told(tell, file.name, done, total)
        url = hf_hub_url(found.name, file.name, revision=found.commit, endpoint=HfApi().endpoint)
        told(bytes_there(file, folder))
        download(file, url, folder, told, shown=found.name)
        done += file.size
        if file is files[0]:
            check_family(read_config(folder))


class Told:
    """Tells how far a download is, not more often than anybody can read."""

    def __init__(self, tell: Callable[[str, float | None], None], name: str, before: int, total: int) -> None:
        self._tell, self._name, self._before, self._total = tell, name, before, total
        self._next = 0.0

    def __call__(self, there: int) -> None:
        """Say that so many bytes are there."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_SECONDS
            done = self._before + there
            words = f"Fetching {self._name}, {done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB"
            self._tell(words, _SHARE * done / max(1, self._total))
