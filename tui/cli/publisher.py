"""Commands of the publisher that the user is: keys, and the public file by which others know them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import NotFound, UsageError
from .options import examples, json_option
from .output import table
from .plain import give, home_of

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.keys import PrivateKey
    from ...marketplace.trust.key_set import KeySet
    from ...marketplace.trust.publisher import Publisher

FILE = click.Path(dir_okay=False, path_type=Path)
_key_option = click.option("--key", "keys", type=FILE, multiple=True, help="A private key; may be repeated.")


@click.group(
    epilog=examples(
        "nightschool publisher init ada",
        "nightschool publisher import-key ~/.ssh/id_ed25519 --name ada",
        "nightschool publisher show ada",
    )
)
def publisher() -> None:
    """Make, show, change and revoke the keys that you publish with."""


@publisher.command(
    epilog=examples(
        "nightschool publisher init ada",
        "nightschool publisher init ada --keys 3 --threshold 2",
        "nightschool publisher init ada --key ~/keys/ada.pem",
    )
)
@click.argument("name")
@click.option("--keys", "count", type=click.IntRange(1, 8), default=1, show_default=True, help="How many to make.")
@click.option("--threshold", type=click.IntRange(1, 8), default=1, show_default=True, help="How many must sign.")
@_key_option
@json_option
@click.pass_context
def init(
    context: click.Context, name: str, *, count: int, threshold: int, keys: tuple[Path, ...], as_json: bool
) -> None:
    """Become a publisher: make keys, and the public file that others pin.

    The keys are encrypted with a passphrase (NIGHTSCHOOL_PASSPHRASE, or you are asked). With --keys 3 --threshold 2 no
    single stolen key can speak for you, and no single lost one silences you; keep them in different places.
    """
    from ..publishing import become, check_new

    home = home_of(context)
    target = check_new(home, name)
    signing, files = _keys(home, name, count, keys)
    _key_set(signing, threshold)  # so that no keys are kept of which so many can never sign
    _keep(files, signing, keys)
    made = become(home, name, signing, threshold)
    give(_facts(made, target, files), _lines(made, target, files), as_json=as_json)


@publisher.command(epilog=examples("nightschool publisher show", "nightschool publisher show ada.publisher.json"))
@click.argument("name", metavar="[NAME|FILE]", required=False)
@json_option
@click.pass_context
def show(context: click.Context, name: str | None, *, as_json: bool) -> None:
    """Show a publisher: its fingerprint in words and digits, and how its keys changed."""
    from ..publishing import read_public

    folder = home_of(context).keys
    files = [_file(folder, name)] if name else sorted(folder.glob("*.publisher.json"))
    if not files:
        raise NotFound("You are no publisher yet; make one with `nightschool publisher init NAME`.")
    found = [(read_public(file), file) for file in files]
    lines = [line for one, file in found for line in _lines(one, file, [])]
    give([_facts(one, file, []) for one, file in found], lines, as_json=as_json)


@publisher.command("import-key", epilog=examples("nightschool publisher import-key ~/.ssh/id_ed25519 --name ada"))
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="What the key is called here.")
@json_option
@click.pass_context
def import_key(context: click.Context, file: Path, name: str, *, as_json: bool) -> None:
    """Take over an Ed25519 key of OpenSSH, or one in PEM, encrypted with a passphrase of its own."""
    from ...marketplace.key_file import save_key
    from .passphrase import new_passphrase, open_key

    key = open_key(file)
    target = home_of(context).keys / f"{_plain(name)}.pem"
    save_key(target, key, new_passphrase(target.name))
    facts = {"file": str(target), "fingerprint": key.public.fingerprint, "words": key.public.words}
    give(facts, [f"{target}: {key.public.words} ({key.public.fingerprint})"], as_json=as_json)


@publisher.command(
    epilog=examples("nightschool publisher rotate ada", "nightschool publisher rotate ada --keys 3 --threshold 2")
)
@click.argument("name")
@click.option("--keys", "count", type=click.IntRange(1, 8), default=1, show_default=True, help="How many to make.")
@click.option("--threshold", type=click.IntRange(1, 8), default=1, show_default=True, help="How many must sign.")
@_key_option
@click.option(
    "--old-key", "old", type=FILE, multiple=True, help="One that counts now; without it those in the profile."
)
@json_option
@click.pass_context
def rotate(
    context: click.Context,
    name: str,
    *,
    count: int,
    threshold: int,
    keys: tuple[Path, ...],
    old: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Change to new keys; those who pinned the old ones follow, since the old ones sign the change too."""
    from ...marketplace.trust.publisher import rotate as follow
    from ..publishing import own_keys, read_public
    from .passphrase import open_key

    home = home_of(context)
    target = _file(home.keys, name)
    before = read_public(target)
    signing_old = own_keys(home, before, old, open_key)
    signing, files = _keys(home, f"{before.name}-r{before.seq + 1}", count, keys)
    made = follow(before, _key_set(signing, threshold), [*signing_old, *signing], created=int(time.time()))
    _keep(files, signing, keys)
    _save(target, made)
    give(_facts(made, target, files), _lines(made, target, files), as_json=as_json)


@publisher.command(
    epilog=examples(
        'nightschool publisher revoke ada --bundle ID --reason "It was trained on a broken set"',
        "nightschool publisher revoke ada --fingerprint DIGITS --reason stolen",
    )
)
@click.argument("name")
@click.option("--bundle", "bundles", multiple=True, metavar="ID", help="Of a bundle of yours; may be repeated.")
@click.option("--fingerprint", "prints", multiple=True, help="Of a key of yours; may be repeated.")
@click.option("--reason", required=True, help="Why; others see it.")
@_key_option
@json_option
@click.pass_context
def revoke(
    context: click.Context,
    name: str,
    *,
    bundles: tuple[str, ...],
    prints: tuple[str, ...],
    reason: str,
    keys: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say that bundles or old keys of yours must not be used any more. It cannot be taken back."""
    from ...marketplace.bundle.manifest import read_record
    from ...marketplace.trust.publisher import Withdrawn
    from ...marketplace.trust.publisher import revoke as withdraw
    from ..publishing import own_keys, read_public
    from .passphrase import open_key

    if not bundles and not prints:
        raise UsageError("Name what to revoke, with --bundle or --fingerprint.")
    home = home_of(context)
    target = _file(home.keys, name)
    before = read_public(target)
    made = withdraw(
        before,
        own_keys(home, before, keys, open_key),
        created=int(time.time()),
        keys=[read_record(Withdrawn, {"id": one, "reason": reason}) for one in prints],
        bundles=[read_record(Withdrawn, {"id": one, "reason": reason}) for one in bundles],
    )
    _save(target, made)
    give(_facts(made, target, []), _lines(made, target, []), as_json=as_json)


# -- keys -------------------------------------------------------------------------------------------------------------


def _keys(home: Home, name: str, count: int, given: Sequence[Path]) -> tuple[list[PrivateKey], list[Path]]:
    """Return the keys of the files given, or new ones and where they are to lie."""
    from ...marketplace.keys import PrivateKey
    from ..publishing import key_files
    from .passphrase import open_key

    if given:
        return [open_key(file) for file in given], list(given)
    files = key_files(home, name, count)
    return [PrivateKey.generate() for _ in files], files


def _keep(files: Sequence[Path], keys: Sequence[PrivateKey], given: Sequence[Path]) -> None:
    """Save keys that were made, encrypted; those that were given are saved already."""
    from ...marketplace.key_file import save_key
    from .passphrase import new_passphrase

    if given:
        return
    passphrase = new_passphrase(", ".join(file.name for file in files))
    for file, key in zip(files, keys, strict=True):
        save_key(file, key, passphrase)


def _key_set(keys: Sequence[PrivateKey], threshold: int) -> KeySet:
    from ...marketplace.trust.key_set import KeySet

    return KeySet.of([key.public for key in keys], threshold)


def _plain(name: str) -> str:
    import re

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        raise UsageError(f"{name!r} is no name for keys; use a-z, 0-9 and hyphens.")
    return name


# -- files ------------------------------------------------------------------------------------------------------------


def _file(folder: Path, name: str) -> Path:
    given = Path(name)
    file = given if given.suffix == ".json" else folder / f"{_plain(name)}.publisher.json"
    if not file.is_file():
        raise NotFound(f"There is no {file}; make it with `nightschool publisher init`, or name another file.")
    return file


def _save(target: Path, made: Publisher) -> None:
    from ...engine.files import write_atomic

    write_atomic(target, made.dump())


# -- words ------------------------------------------------------------------------------------------------------------


def _facts(made: Publisher, file: Path, keys: Sequence[Path]) -> dict[str, Any]:
    revoked = made.revocations
    return {
        "name": made.name,
        "file": str(file),
        "seq": made.seq,
        "threshold": made.keys.threshold,
        "fingerprint": made.keys.fingerprint,
        "words": made.keys.words,
        "keys": [{"fingerprint": key.fingerprint, "words": key.words} for key in made.keys.keys],
        "key_files": [str(path) for path in keys],
        "revoked_keys": [row.model_dump() for row in revoked.keys] if revoked else [],
        "revoked_bundles": [row.model_dump() for row in revoked.bundles] if revoked else [],
    }


def _lines(made: Publisher, file: Path, keys: Sequence[Path]) -> list[str]:
    revoked = made.revocations
    rows = [(f"  key {place}", key.words, key.fingerprint) for place, key in enumerate(made.keys.keys, start=1)]
    lines = [
        f"{made.name}, document {made.seq}: {made.keys.threshold} of {len(made.keys.keys)} keys must sign.",
        f"fingerprint  {made.keys.words}",
        f"             {made.keys.fingerprint}",
        *table(rows),
    ]
    lines += [f"private key  {path}" for path in keys]
    if revoked:
        lines.append(f"revoked      {len(revoked.keys)} keys, {len(revoked.bundles)} bundles")
    return [*lines, f"public file  {file}: give it to those who shall know you"]
