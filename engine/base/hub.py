"""Fetching a model from the Hugging Face hub: by name and revision, pinned to one commit, safetensors alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import ModelNotFound
from .families import check_family
from .weights import read_config

_SPEC = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_WANTED = re.compile(
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|(config|generation_config)\.json"
    r"|tokenizer[^/]*\.(json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt"
    r"|chat_template\.(jinja|json)"
)


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
    files: tuple[str, ...]


def parse(spec: str) -> Address:
    """Read ``owner/name`` or ``owner/name@revision``.

    Raises:
        ModelNotFound: If it can be neither a name on the hub nor a folder, which the caller has looked for.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or spec.startswith((".", "/", "~")):
        raise ModelNotFound(
            f"There is no folder {spec!r}; name one that exists, or owner/name on the Hugging Face hub."
        )
    return Address(match["name"], match["revision"])


def resolve(address: Address) -> Found:
    """Ask the hub which commit a name stands for now.

    Raises:
        ModelNotFound: If the hub cannot be reached, or knows no such model or revision, or it has no safetensors.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    shown = address.name + (f"@{address.revision}" if address.revision else "")
    try:
        info = HfApi().model_info(address.name, revision=address.revision)
    except GatedRepoError as error:
        raise ModelNotFound(f"{shown} asks for permission on the hub; accept its terms there and log in.") from error
    except OfflineModeIsEnabled as error:
        raise ModelNotFound(f"{shown} is not on this machine and the hub is switched off (HF_HUB_OFFLINE).") from error
    except HfHubHTTPError as error:
        raise ModelNotFound(f"Neither a folder nor a model on the hub is named {shown}; check the name.") from error
    except HFValidationError as error:
        raise ModelNotFound(f"{shown!r} cannot be a name on the hub; use owner/name.") from error
    except (HTTPError, OSError) as error:
        raise ModelNotFound(f"{shown} is not on this machine and the hub cannot be reached; go online once.") from error
    files = tuple(item.rfilename for item in info.siblings or [] if _WANTED.fullmatch(item.rfilename))
    if not any(name.endswith(".safetensors") for name in files):
        raise ModelNotFound(f"{shown} has no safetensors weights on the hub; name a model that has.")
    return Found(address.name, str(info.sha), files)


def fetch(found: Found, folder: Path, tell: Callable[[str, float | None], None]) -> None:
    """Download a model into a folder; what an earlier, broken download left there is not fetched again.

    The configuration comes first, so that gigabytes of an unsupported family are never fetched.

    Raises:
        ModelNotFound: If the connection is lost.
        UnsupportedFamily: If the model cannot be cut.
    """
    _download(found, folder, ["config.json"])
    check_family(read_config(folder))
    for number, name in enumerate(found.files):
        tell(f"Fetching {name}", number / len(found.files))
        _download(found, folder, [name])


def _download(found: Found, folder: Path, names: list[str]) -> None:
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(found.name, revision=found.commit, local_dir=folder, allow_patterns=names)
    except (HTTPError, HfHubHTTPError, OSError) as error:
        raise ModelNotFound(
            f"The download of {found.name} broke off ({error}); start again, it continues where it stopped."
        ) from error
