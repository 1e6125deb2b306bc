"""Commands of the trust store: which publishers are believed, what was revoked, what was refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import ListingGroup, examples, json_option
from .output import table, when
from .plain import agree, give, home_of

if TYPE_CHECKING:
    from ...marketplace.trust.records import Pin
    from ...marketplace.trust.store import TrustStore


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool trust",
        "nightschool trust pin ada.publisher.json",
        "nightschool trust revoked",
        "nightschool trust forget ada",
    ),
)
def trust() -> None:
    """List, pin and forget publishers, and see what was revoked and refused."""


@trust.command("list", epilog=examples("nightschool trust list", "nightschool trust list --json"))
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List the publishers that this profile has met, with their fingerprints."""
    from ..market import listed_keys
    from ..trust_words import pin_state

    store = _store(context)
    found, revoked, listed = store.pins(), store.revocations(), listed_keys(home_of(context))
    states = [pin_state(pin, revoked, listed.get(pin.name, ()))[0].value for pin in found]
    heads = ("PUBLISHER", "STATE", "SINCE", "MET AT", "SIGN", "WORDS", "FINGERPRINT")
    rows = [(pin.name, state, *_row(pin)[1:]) for pin, state in zip(found, states, strict=True)]
    facts = [{**_facts(pin), "state": state} for pin, state in zip(found, states, strict=True)]
    give(facts, table([heads, *rows]), as_json=as_json)


@trust.command(
    epilog=examples(
        "nightschool trust pin ada.publisher.json",
        "nightschool trust pin ada.publisher.json --confirm FINGERPRINT",
        "nightschool trust pin ada.publisher.json --old-fingerprint FINGERPRINT",
    )
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--confirm", default="", metavar="FINGERPRINT", help="Agree to these keys without being asked.")
@click.option("--old-fingerprint", metavar="FINGERPRINT", help="Replace other pinned keys; those that are pinned now.")
@json_option
@click.pass_context
def pin(context: click.Context, file: Path, *, confirm: str, old_fingerprint: str | None, as_json: bool) -> None:
    """Believe a publisher, from its public file; or follow one that is known to its newest keys.

    Compare the six words with the publisher, over another way than the file came. Keys that do not follow from the
    pinned ones are taken only with --old-fingerprint: ask the publisher for it, never the file.
    """
    from ..publishing import read_public

    store, given = _store(context), read_public(file)
    if old_fingerprint is not None:
        made = store.repin(given, old_fingerprint=old_fingerprint)
    else:
        if store.pin(given.name) is None and not confirm:
            click.echo(f"{given.name}: {given.keys.words}\n{given.keys.fingerprint}", err=True)
            agree("Believe this publisher from now on?", f"agree with --confirm {given.keys.fingerprint}")
            confirm = given.keys.fingerprint
        made = store.meet(given, confirmed=confirm.lower().replace(" ", ""))
    give(_facts(made), [f"{made.name} is believed with {made.keys.words}."], as_json=as_json)


@trust.command(epilog=examples("nightschool trust forget ada"))
@click.argument("name")
@json_option
@click.pass_context
def forget(context: click.Context, name: str, *, as_json: bool) -> None:
    """Forget a publisher: it is new again. What was revoked stays revoked."""
    _store(context).forget(name)
    give({"forgotten": name}, [f"{name} is new again; what was revoked stays so."], as_json=as_json)


@trust.command(epilog=examples("nightschool trust revoked", "nightschool trust revoked --json"))
@json_option
@click.pass_context
def revoked(context: click.Context, *, as_json: bool) -> None:
    """List the keys and bundles that must not be used any more, who says so and why. None is ever taken back."""
    found = _store(context).revocations().revocations
    rows = [(row.kind.value, row.id[:16], row.by, when(row.seen), row.reason) for row in found]
    give(list(found), table([("WHAT", "ID", "BY", "SEEN", "REASON"), *rows]), as_json=as_json)


@trust.command(epilog=examples("nightschool trust incidents"))
@json_option
@click.pass_context
def incidents(context: click.Context, *, as_json: bool) -> None:
    """List what was refused and never happens by mistake: changed keys, older states, two things under one number."""
    found = _store(context).incidents()
    rows = [(when(row.at), row.code, row.publisher, row.text) for row in found]
    give(found, table([("WHEN", "CODE", "PUBLISHER", "WHAT"), *rows]), as_json=as_json)


def _store(context: click.Context) -> TrustStore:
    from ...marketplace.trust.store import TrustStore

    return TrustStore(home_of(context).trust)


def _row(pin: Pin) -> tuple[str, ...]:
    keys = pin.keys
    sign = f"{keys.threshold} of {len(keys.keys)}"
    return pin.name, when(pin.first_seen), pin.registry or "a file", sign, keys.words, keys.fingerprint


def _facts(pin: Pin) -> dict[str, Any]:
    keys = pin.keys
    return {
        **pin.model_dump(mode="json", exclude={"steps"}),
        "fingerprint": keys.fingerprint,
        "words": keys.words,
        "threshold": keys.threshold,
        "keys": [key.fingerprint for key in keys.keys],
    }
