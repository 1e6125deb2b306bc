"""A version as a repository on the hub: three files, written here first, so that what is shown is what goes out.

The weights go over the hub's LFS route, from an open file: so their bytes can be counted, and the same route is tried
against a server in the tests. What the hub has already it does not ask for again.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import NotConfirmed, PeerRefused, Unauthorised, UsageError
from ...schemas.sharing import HubFile
from ..base.weights import file_sha256
from ..files import storage_errors
from ..slots.generations import CONFIG, WEIGHTS
from .errors import adapter_errors

PAGE = "README.md"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")

Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Upload:
    """What goes where.

    Attributes:
        repository: ``owner/name``.
        folder: With the three files.
        message: Of the commit.
        private: Whether nobody else may see it.
    """

    repository: str
    folder: Path
    message: str
    private: bool = False


def check_repository(name: str) -> None:
    """Refuse what cannot name a repository.

    Raises:
        UsageError: Then.
    """
    if not _REPOSITORY.fullmatch(name) or "--" in name or ".." in name:
        raise UsageError(f"{name[:100]!r} cannot be a repository on the hub; write owner/name.")


def write_files(adapter: Path, folder: Path, page: str, base: str) -> list[HubFile]:
    """Write the three files of a repository into an empty folder and return what they are.

    Args:
        adapter: PEFT folder of the version.
        folder: Where they are written.
        page: ``README.md``.
        base: The base's name on the hub, which stands in the configuration in place of its name here.

    Raises:
        StorageError: If they cannot be read or written.
    """
    with storage_errors(folder):
        config = {**json.loads((adapter / CONFIG).read_bytes()), "base_model_name_or_path": base}
        (folder / PAGE).write_text(page, encoding="utf-8")
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes())
        names = (PAGE, CONFIG, WEIGHTS)
        return [
            HubFile(name=name, bytes=(folder / name).stat().st_size, sha256=file_sha256(folder / name))
            for name in names
        ]


def upload(what: Upload, tell: Tell) -> tuple[str, str]:
    """Put the files into a repository of the user's, made if it is not there; return the commit and its address.

    Raises:
        Unauthorised: If there is no token, or it may not.
        NotConfirmed: If it shall be private and the repository that is there is not.
        Unreachable, NotFound, UsageError, PeerRefused: If the hub does not take it.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HFValidationError

    if get_token() is None:
        raise Unauthorised("The hub wants to know who publishes; log in with `hf auth login`, or set HF_TOKEN.")
    api, name = HfApi(), what.repository
    with adapter_errors(name):
        try:
            tell(f"Asking the hub for {name}", 0.0)
            api.create_repo(name, private=what.private, exist_ok=True)
            if what.private and not api.model_info(name).private:
                raise NotConfirmed(f"{name} is there already and everybody sees it; name another one, or make it so.")
            return _committed(what, tell)
        except HFValidationError:
            raise
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            reason = " ".join(str(error).split())[:300]
            raise PeerRefused(f"The hub refused it for {name}: {reason}.") from error


def _committed(what: Upload, tell: Tell) -> tuple[str, str]:
    from huggingface_hub import CommitOperationAdd, HfApi

    with _Told(what.folder / WEIGHTS, tell) as weights:
        files = [CommitOperationAdd(name, (what.folder / name).read_bytes()) for name in (PAGE, CONFIG)]
        files.append(CommitOperationAdd(WEIGHTS, weights))
        weights.telling = True
        made = HfApi().create_commit(what.repository, files, commit_message=what.message)
    tell("Done", 1.0)
    return str(made.oid), f"{HfApi().endpoint}/{what.repository}"


class _Told(io.BufferedReader):
    """A file that tells how much of it was read, once ``telling`` is set: before that it is hashed."""

    def __init__(self, path: Path, tell: Tell) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._tell, self._size = tell, path.stat().st_size
        self.telling = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.telling:
            there = self.tell()
            self._tell(f"Uploading, {there / 1e6:,.1f} of {self._size / 1e6:,.1f} MB", 0.95 * there / self._size)
        return data
