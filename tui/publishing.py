"""Publishing: whose keys sign, what a registry that one keeps shall list. The same for the command line and the app."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.files import storage_errors, write_atomic
from ..marketplace.bundle.pack import Draft
from ..marketplace.bundle.reading import read_verified
from ..marketplace.key_file import save_key
from ..marketplace.keys import PrivateKey
from ..marketplace.registry.keeping import Keeper
from ..marketplace.registry.listing import list_bundle
from ..marketplace.trust.key_set import KeySet
from ..marketplace.trust.publisher import MAX_FILE, NAME, Publisher, begin, read_publisher
from ..schemas.errors import GivesAway, NotFound, UsageError
from ..schemas.registry import ListedSlot

if TYPE_CHECKING:
    from ..engine.paths import Home
    from ..schemas.audit import Audit
    from ..schemas.sharing import Shareable

OpenKey = Callable[[Path], PrivateKey]
"""Opens the private key in a file, with a passphrase that it has or asks for.

Raises:
    KeyUnusable: If it does not open.
"""


def read_public(file: Path) -> Publisher:
    """Return the publisher of a public file.

    Raises:
        NotFound: If there is no file.
        Refused: If it is none.
        StorageError: If it cannot be read.
    """
    with storage_errors(file):
        if not file.is_file():
            raise NotFound(f"There is no {file}; name the public file of a publisher.")
        with file.open("rb") as stream:
            return read_publisher(stream.read(MAX_FILE + 1))


def public_file(home: Home, name: str) -> Path:
    """Return where the public file of a publisher of one's own lies."""
    return home.keys / f"{name}.publisher.json"


def own_publishers(home: Home) -> list[Publisher]:
    """Return the publishers that the user is, by name.

    Raises:
        Refused: If a file of one does not read.
    """
    return [read_public(file) for file in sorted(home.keys.glob("*.publisher.json"))]


def own_keys(home: Home, known: Publisher, given: Sequence[Path], open_key: OpenKey) -> list[PrivateKey]:
    """Return private keys that may sign for a publisher: those given, else those of it in the profile.

    Raises:
        NotFound: If there are too few.
        KeyUnusable: If one does not open.
    """
    own = (*home.keys.glob(f"{known.name}.pem"), *home.keys.glob(f"{known.name}-*.pem"))
    found: dict[str, PrivateKey] = {}
    for file in given or sorted(own):
        key = open_key(file)
        if key.public in known.keys.keys:
            found[key.public.fingerprint] = key
    if len(found) < known.keys.threshold:
        raise NotFound(
            f"{known.keys.threshold} keys of {known.name} must sign and {len(found)} were found; name their files."
        )
    return list(found.values())


def key_files(home: Home, name: str, count: int = 1) -> list[Path]:
    """Return where new keys of a publisher are to lie.

    Raises:
        UsageError: If it cannot be called so, or there is one already.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(f"{name!r} is no name for keys; use a-z, 0-9 and hyphens.")
    numbers = [""] if count == 1 else [f"-{number}" for number in range(1, count + 1)]
    files = [home.keys / f"{name}{number}.pem" for number in numbers]
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already; use it with --key, or move it away.")
    return files


def make_keys(files: Sequence[Path], passphrase: str) -> list[PrivateKey]:
    """Make keys and save them, encrypted.

    Raises:
        UsageError: If the passphrase would protect nothing.
        StorageError: If they cannot be written.
    """
    made = [PrivateKey.generate() for _ in files]
    for file, key in zip(files, made, strict=True):
        save_key(file, key, passphrase)
    return made


def check_new(home: Home, name: str) -> Path:
    """Return where the public file of a new publisher is to lie.

    Raises:
        UsageError: If there is one of this name.
    """
    target = public_file(home, name)
    if target.exists():
        raise UsageError(f"{target} is there already; `nightschool publisher rotate {name}` changes its keys.")
    return target


def become(home: Home, name: str, keys: Sequence[PrivateKey], threshold: int = 1) -> Publisher:
    """Become a publisher with these keys: write the public file that others pin.

    Raises:
        UsageError: As ``check_new``.
    """
    target = check_new(home, name)
    key_set = KeySet.of([key.public for key in keys], threshold)
    made = begin(name, key_set, keys, created=int(time.time()))
    write_atomic(target, made.dump())
    return made


def target_file(draft: Draft, wanted: Path | None) -> Path:
    """Return the file that a bundle is packed to; without a wish NAME-VERSION.slot in the current folder.

    Raises:
        UsageError: If there is one.
        StorageError: If it cannot be looked for.
    """
    target = (wanted or Path(f"{draft.slot.name}-{draft.slot.version}.slot")).absolute()
    with storage_errors(target):
        if target.exists():
            raise UsageError(f"{target} is there already; name another file with --to, or remove it.")
    return target


def weights_of(shared: Shareable) -> Path:
    """Return the weights of a version that is to be shared."""
    return Path(shared.folder) / "adapter_model.safetensors"


def check_accepted(audit: Audit, accepted: Sequence[str]) -> None:
    """Refuse what an audit found and nobody accepted.

    Raises:
        GivesAway: If there is any.
    """
    open_ = [finding for finding in audit.findings if finding.name not in accepted]
    if open_:
        each = " ".join(f"--accept {finding.name}" for finding in open_)
        raise GivesAway(
            f"This version could give away {len(open_)} of your own words; have them forgotten (`nightschool lessons "
            f"forget {open_[0].lesson}`) and pack what comes of it, or accept each: {each}."
        )


# -- a registry that one keeps ----------------------------------------------------------------------------------------


def keeper_of(folder: Path) -> Keeper:
    """Return the registry in a folder.

    Raises:
        Refused: ``not-a-registry``.
    """
    made = Keeper(folder.resolve())
    made.face()
    return made


def introduced(home: Home, keeper: Keeper, name: str) -> Publisher:
    """Return the publisher of a bundle: as the registry knows it, or where it is the user's own, from the profile.

    Raises:
        NotFound: If it is neither.
    """
    own = public_file(home, name)
    try:
        return keeper.publisher(name)
    except NotFound:
        if not own.is_file():
            raise
    found = read_public(own)
    keeper.introduce(found)
    return found


def list_in(home: Home, keeper: Keeper, file: Path) -> ListedSlot:
    """Note a bundle for the next publication; it is checked as an import would check it.

    Raises:
        NotFound: If its publisher is not known to the registry.
        Refused: If nobody could take it, or the registry cannot list it.
    """
    name = read_verified(file).manifest.publisher.name
    listed = list_bundle(file, introduced(home, keeper, name))
    keeper.add(file, listed)
    return listed


def online_file(home: Home, name: str) -> Path:
    """Return where the key lies that signs what a registry publishes, as it was made first."""
    return home.keys / f"registry-{name}.pem"


def online_key(home: Home, keeper: Keeper, open_key: OpenKey) -> PrivateKey:
    """Return the key of the profile that signs what a registry publishes.

    Raises:
        NotFound: If it is not there.
        KeyUnusable: If one does not open.
    """
    name, wanted = keeper.face().name, keeper.roots().online
    for file in (online_file(home, name), *sorted(home.keys.glob(f"registry-{name}-r*.pem"))):
        if file.is_file() and "-root-" not in file.name:
            key = open_key(file)
            if key.public == wanted:
                return key
    raise NotFound(f"The key that signs {name} ({wanted.words}) is not in this profile; name its file with --key.")
