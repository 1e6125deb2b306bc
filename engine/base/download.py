"""Files from the Hugging Face hub, none of it twice: a broken download goes on at the byte it broke at.

``huggingface_hub`` begins a broken file anew (its temporary files belong to one process), and the weights of one base
are files of several gigabytes. So the bytes are asked for here, with its session, its token and its errors: they are
appended to ``NAME.incomplete``, compared with the hub's size and sha256, and only then take their name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import ModelDamaged, ModelNotFound
from ..files import storage_errors
from .hub_trouble import Trouble, trouble_of
from .weights import file_sha256

_SECONDS = 30.0
"""Without a byte after which a connection counts as lost."""
_TRIES = 4
"""In a row without a byte, after which a download is given up."""
_SENTENCES = {
    Trouble.GATED: "{0} asks for permission on the hub; accept its terms there, then log in with `hf auth login`.",
    Trouble.OFF: "{0} is not on this machine and the hub is switched off (HF_HUB_OFFLINE).",
    Trouble.AWAY: "{0} is not on this machine and the hub cannot be reached; go online once.",
    Trouble.BUSY: "The hub cannot give {0} just now ({1}); try again later.",
    Trouble.NAME: "{0!r} cannot be a name on the hub; use owner/name.",
    Trouble.TOKEN: "The hub does not accept your token, so {0} was not asked for; log in anew with `hf auth login`.",
    Trouble.FORBIDDEN: "Your token may not read {0} on the hub; make one that may, and log in with `hf auth login`.",
    Trouble.REVISION: "{0} has no such revision on the hub; name one that it has.",
    Trouble.MISSING: "Neither a folder nor a model on the hub is named {0}; check the name.",
}


@dataclass(frozen=True)
class Remote:
    """One file on the hub; ``sha256`` is known for large ones only."""

    name: str
    size: int
    sha256: str | None = None


def bytes_there(file: Remote, folder: Path) -> int:
    """Return how much of a file an earlier download left in a folder."""
    for path in (folder / file.name, _incomplete(file, folder)):
        if path.is_file():
            return min(path.stat().st_size, file.size)
    return 0


def download(file: Remote, url: str, folder: Path, tell: Callable[[int], None], *, shown: str) -> None:
    """Fetch what is missing of a file.

    Args:
        file: What it must be.
        url: Where it is.
        folder: Where it goes; what is there under its name was checked by an earlier call.
        tell: Called with the bytes there so far, often.
        shown: The name of its model, for errors.

    Raises:
        ModelNotFound: If the connection is lost for good, or the hub refuses.
        ModelDamaged: If what came is not what the hub says the file is.
        StorageError: If it cannot be written.
    """
    if (folder / file.name).is_file():
        return
    path = _incomplete(file, folder)
    with storage_errors(path), hub_errors(shown):
        _fetch(file, url, path, tell)
        if path.stat().st_size != file.size or file.sha256 not in (None, file_sha256(path)):
            path.unlink()
            raise ModelDamaged(f"{file.name} of {shown} did not arrive as the hub describes it; fetch it again.")
        path.rename(folder / file.name)


@contextmanager
def hub_errors(shown: str) -> Iterator[None]:
    """Turn what the hub and the network raise about the model ``shown`` into ours, each with a way out."""
    try:
        yield
    except Exception as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        raise ModelNotFound(_SENTENCES.get(trouble, _SENTENCES[Trouble.MISSING]).format(shown, error)) from error


def _fetch(file: Remote, url: str, path: Path, tell: Callable[[int], None]) -> None:
    """Append to ``path`` until it is as long as it must be; a lost connection is taken up again."""
    from httpx2 import TransportError

    stuck = 0
    while (there := _size(path)) < file.size:
        lost: TransportError | None = None
        try:
            _append(url, path, there, tell)
        except TransportError as error:
            lost = error
        stuck = 0 if _size(path) > there else stuck + 1
        if stuck == _TRIES:
            raise ModelNotFound(
                f"The download of {file.name} broke off ({lost or 'nothing came'}); start again, it continues where "
                "it stopped."
            ) from lost
        time.sleep(stuck)


def _append(url: str, path: Path, there: int, tell: Callable[[int], None]) -> None:
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    with get_session().stream("GET", url, headers=headers, timeout=_SECONDS) as response:
        hf_raise_for_status(response)
        with path.open("ab", buffering=0) as stream:
            if response.status_code != 206:  # all of it comes, whatever was asked for
                stream.truncate(0)
                there = 0
            for chunk in response.iter_bytes():
                stream.write(chunk)
                there += len(chunk)
                tell(there)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _incomplete(file: Remote, folder: Path) -> Path:
    return folder / f"{file.name}.incomplete"
