"""Commands of those who keep a registry: a folder, which is a web site as soon as a web server shows it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import NotFound, UsageError
from .options import examples, json_option
from .output import StatusLine, when
from .plain import give, home_of

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.keys import PrivateKey
    from ...marketplace.registry.keeping import Keeper, State

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
_key_option = click.option("--key", type=FILE, help="The private key that signs; without it the one in the profile.")


@click.group(
    epilog=examples(
        "nightschool registry init ./site --name team --title 'Team registry'",
        "nightschool registry add ./site captain-1.0.0.slot --publisher ada.publisher.json",
        "nightschool registry publish ./site",
        "nightschool registry check ./site",
    )
)
def registry() -> None:
    """Keep a registry of your own: a folder, or the same behind a web server."""


@registry.command(
    epilog=examples(
        "nightschool registry init ./site --name team",
        "nightschool registry init /media/stick --name team --root-keys 1 --root-threshold 1",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="What readers call it; a-z, 0-9 and hyphens.")
@click.option("--title", default="", help="For people; without it the name.")
@click.option("--root-keys", "count", type=click.IntRange(1, 8), default=3, show_default=True, help="How many to make.")
@click.option("--root-threshold", "threshold", type=click.IntRange(1, 8), default=2, show_default=True)
@json_option
@click.pass_context
def init(
    context: click.Context, folder: Path, *, name: str, title: str, count: int, threshold: int, as_json: bool
) -> None:
    """Begin a registry in a folder, and make its keys.

    The root keys say who may sign; take them away from this machine, each to another place. One more key signs what is
    published, and stays here.
    """
    from ...marketplace.key_file import save_key
    from ...marketplace.keys import PrivateKey, words_of
    from ...marketplace.registry.keeping import Keeper
    from ...marketplace.trust.key_set import KeySet
    from ..publishing import online_file
    from .passphrase import new_passphrase

    home = home_of(context)
    keeper = Keeper(folder.resolve())
    if (folder / "registry.json").exists():
        raise UsageError(f"{folder} holds a registry already; choose another folder.")
    files = [home.keys / f"registry-{name}-root-{number}.pem" for number in range(1, count + 1)]
    signing = online_file(home, name)
    for file in (*files, signing):
        if file.exists():
            raise UsageError(f"{file} is there already; move it away, or give the registry another name.")
    passphrase = new_passphrase(f"the keys of {name}")
    roots, online = [PrivateKey.generate() for _ in files], PrivateKey.generate()
    keys = KeySet.of([key.public for key in roots], threshold)
    for file, key in zip([*files, signing], [*roots, online], strict=True):
        save_key(file, key, passphrase)
    face = keeper.begin(name, title or name, keys, roots, online)
    facts = {
        **face.model_dump(),
        "folder": str(keeper.folder),
        "words": words_of(face.root),
        "root_keys": [str(file) for file in files],
        "key": str(signing),
    }
    lines = [
        f"{face.title} is in {keeper.folder}; readers add it with `nightschool market add`.",
        f"fingerprint  {words_of(face.root)}",
        f"             {face.root}",
        *(f"root key     {file}: take it to a place of its own" for file in files),
        f"signing key  {signing}",
    ]
    give(facts, lines, as_json=as_json)


@registry.command(
    epilog=examples(
        "nightschool registry add ./site captain-1.0.0.slot",
        "nightschool registry add ./site *.slot --publisher ada.publisher.json",
    )
)
@click.argument("folder", type=FOLDER)
@click.argument("files", type=FILE, nargs=-1)
@click.option("--publisher", "public", type=FILE, multiple=True, help="The public file of a publisher; needed once.")
@json_option
@click.pass_context
def add(
    context: click.Context, folder: Path, *, files: tuple[Path, ...], public: tuple[Path, ...], as_json: bool
) -> None:
    """Note bundles and publishers for the next publication. Each is checked as an import would check it."""
    from ..publishing import keeper_of, list_in, read_public

    if not files and not public:
        raise UsageError("Name bundles to add, or a publisher's file with --publisher.")
    keeper = keeper_of(folder)
    for path in public:
        keeper.introduce(read_public(path))
    added = [list_in(home_of(context), keeper, file) for file in files]
    lines = [f"{row.name} {row.latest.version} of {row.publisher}, {row.latest.length / 1e6:.1f} MB" for row in added]
    lines.append("Nothing is seen before `nightschool registry publish`.")
    give({"added": added, "publishers": len(public)}, lines, as_json=as_json)


@registry.command(epilog=examples("nightschool registry publish ./site"))
@click.argument("folder", type=FOLDER)
@_key_option
@json_option
@click.pass_context
def publish(context: click.Context, folder: Path, *, key: Path | None, as_json: bool) -> None:
    """Sign and show what was noted. Readers see the old state or the new one, whenever this is cut off.

    Do it at least once in 30 days, also when there is nothing new: older states are not installed from.
    """
    from ..publishing import keeper_of

    keeper = keeper_of(folder)
    state = keeper.publish(_online(home_of(context), keeper, key))
    give(_facts(state), _lines(state, keeper), as_json=as_json)


@registry.command(
    epilog=examples(
        "nightschool registry rotate ./site --new-key",
        "nightschool registry rotate ./site --root-keys 3 --root-threshold 2",
        "nightschool registry rotate ./site",
    )
)
@click.argument("folder", type=FOLDER)
@_key_option
@click.option("--new-key", is_flag=True, help="Make another key that signs; the old one counts no more.")
@click.option(
    "--root-keys", "count", type=click.IntRange(1, 8), help="Make so many new root keys; without it they stay."
)
@click.option("--root-threshold", "threshold", type=click.IntRange(1, 8), help="How many of the new ones must sign.")
@click.option("--root-key", "old", type=FILE, multiple=True, help="A root key of now; without it those in the profile.")
@json_option
@click.pass_context
def rotate(
    context: click.Context,
    folder: Path,
    *,
    key: Path | None,
    new_key: bool,
    count: int | None,
    threshold: int | None,
    old: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Change the keys of a registry; as many of its root keys as must sign are needed for it.

    Without any of the options it is only believed for another year.
    """
    from ...marketplace.trust.key_set import KeySet
    from ..publishing import keeper_of

    home, keeper = home_of(context), keeper_of(folder)
    name, before = keeper.face().name, keeper.roots()
    signing, stem = _root_keys(home, keeper, old), f"registry-{name}-r{before.version + 1}"
    made: list[Path] = []
    root_keys, new_online = None, None
    if count is not None:
        roots, files = _made(home, [f"{stem}-root-{number}" for number in range(1, count + 1)])
        root_keys, made = KeySet.of([one.public for one in roots], threshold or (count + 1) // 2), files
        signing += roots
    online = _online(home, keeper, key)
    if new_key:
        (new_online,), files = _made(home, [stem])
        made += files
    after = keeper.rotate(online, signing, root_keys=root_keys, new_online=new_online)
    lines = [
        f"Root {after.version}: {after.keys.threshold} of {len(after.keys.keys)} root keys, until {after.expires:%F}.",
        f"signing key  {after.online.words}",
        *(f"new key      {file}" for file in made),
    ]
    facts = {"root": after.version, "expires": after.expires.timestamp(), "new_keys": [str(file) for file in made]}
    give(facts, lines, as_json=as_json)


@registry.command(
    epilog=examples(
        "nightschool registry revoke ./site --bundle ID --reason 'It was poisoned'",
        "nightschool registry revoke ./site --fingerprint DIGITS --reason stolen",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--bundle", "bundles", multiple=True, metavar="ID", help="Of a bundle; may be repeated.")
@click.option("--fingerprint", "prints", multiple=True, help="Of a publisher's key; may be repeated.")
@click.option("--reason", required=True, help="Why; readers see it.")
@json_option
def revoke(folder: Path, *, bundles: tuple[str, ...], prints: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Note that bundles or keys must not be used any more. It cannot be taken back once it is published."""
    from ...schemas.trust import RevokedKind
    from ..publishing import keeper_of

    if not bundles and not prints:
        raise UsageError("Name what to revoke, with --bundle or --fingerprint.")
    keeper = keeper_of(folder)
    for kind, rows in ((RevokedKind.BUNDLE, bundles), (RevokedKind.KEY, prints)):
        for row in rows:
            keeper.revoke(kind, row, reason)
    words = "Noted; readers learn of it with `nightschool registry publish`."
    give({"bundles": bundles, "keys": prints}, [words], as_json=as_json)


@registry.command(epilog=examples("nightschool registry check ./site", "nightschool registry check https://host/site"))
@click.argument("address", metavar="FOLDER|ADDRESS")
@json_option
def check(address: str, *, as_json: bool) -> int:
    """Look at a whole registry as a reader who meets it now: every signature, every file, and until when it counts."""
    from ...marketplace.registry.checking import check as look

    status = StatusLine(sys.stderr)
    try:
        found = look(address, lambda share: status.show(f"Checking {share:.0%}"))
    finally:
        status.clear()
    lines = [
        f"{found.slots} slots in {found.bundles} bundles of {found.publishers} publishers, {found.bytes / 1e6:.1f} MB; "
        f"believed until {when(found.expires)}.",
        *(f"{'WRONG' if row.wrong else 'Note'}: {row.text}" for row in found.findings),
    ]
    give({**vars(found), "findings": [vars(row) for row in found.findings]}, lines, as_json=as_json)
    return 101 if any(row.wrong for row in found.findings) else 0


# -- keys -------------------------------------------------------------------------------------------------------------


def _online(home: Home, keeper: Keeper, given: Path | None) -> PrivateKey:
    """Return the key that signs what is published: the one given, or the one of the profile that fits."""
    from ..publishing import online_key
    from .passphrase import open_key

    if given is not None:
        return open_key(given)
    return online_key(home, keeper, open_key)


def _root_keys(home: Home, keeper: Keeper, given: Sequence[Path]) -> list[PrivateKey]:
    from .passphrase import open_key

    name, wanted = keeper.face().name, keeper.roots().keys
    files = list(given) or sorted(home.keys.glob(f"registry-{name}-*root-*.pem"))
    found = {key.public: key for key in map(open_key, files) if key.public in wanted.keys}
    if len(found) < wanted.threshold:
        raise NotFound(
            f"{wanted.threshold} root keys must sign and {len(found)} were found; name them with --root-key."
        )
    return list(found.values())


def _made(home: Home, names: Sequence[str]) -> tuple[list[PrivateKey], list[Path]]:
    """Make keys and save them under these names."""
    from ...marketplace.key_file import save_key
    from ...marketplace.keys import PrivateKey
    from .passphrase import new_passphrase

    passphrase = new_passphrase("the new keys")
    files, keys = [home.keys / f"{name}.pem" for name in names], [PrivateKey.generate() for _ in names]
    for file, key in zip(files, keys, strict=True):
        save_key(file, key, passphrase)
    return keys, files


# -- words ------------------------------------------------------------------------------------------------------------


def _facts(state: State) -> dict[str, Any]:
    return {
        "version": state.version,
        "slots": len(state.slots),
        "publishers": len(state.publishers),
        "revoked_bundles": len(state.revoked.bundles),
        "revoked_keys": len(state.revoked.keys),
    }


def _lines(state: State, keeper: Keeper) -> list[str]:
    count = sum(len(slot.versions) for slot in state.slots)
    revoked = len(state.revoked.bundles) + len(state.revoked.keys)
    return [
        f"Publication {state.version} of {keeper.face().title}: {len(state.slots)} slots in {count} bundles"
        + (f", {revoked} revocations." if revoked else ".")
    ]
