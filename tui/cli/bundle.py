"""Commands of bundles: versions of slots in one signed file each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...schemas.audit import Audit
from ...schemas.errors import MarketError, StudyError, UsageError
from ...schemas.messages import AuditVersion, DescribeVersion
from ...schemas.sharing import BundleTaken
from . import bundle_export
from .card import FILE, card_options, choice_of
from .desk import Desk, ask_first, talks
from .learning import STUDY_CODES
from .options import examples, json_option
from .output import report_lines
from .plain import give, home_of
from .versions import audit_lines

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.bundle.manifest import Signed
    from ...marketplace.trust.judging import Judgement, Offer
    from ...marketplace.trust.store import TrustStore
    from ..taking import Taker


@click.group(
    epilog=examples(
        "nightschool bundle show captain-1.0.0.slot",
        "nightschool bundle import captain-1.0.0.slot",
        "nightschool bundle pack science --publisher ann --key ~/ann.pem --license CC-BY-4.0",
    )
)
def bundle() -> None:
    """Pack, show, verify, import and export slots in signed files."""


@bundle.command(
    epilog=examples(
        "nightschool bundle pack science --publisher ann --key ~/ann.pem --license CC-BY-4.0",
        'nightschool bundle pack science@3 --to captain.slot --title "Captain" --publisher ann --key ~/ann.pem '
        "--license Apache-2.0 --tag style",
    )
)
@click.argument("version", metavar="SLOT[@GENERATION]")
@click.option(
    "--key", "keys", type=FILE, multiple=True, required=True, help="A private key that signs; may be repeated."
)
@click.option("--publisher", required=True, metavar="NAME", help="Who you are, as those who take it shall know you.")
@click.option("--to", type=FILE, help="The file; without it NAME-VERSION.slot here.")
@click.option("--name", default="", help="Of the slot, for others; without it as it is called here.")
@click.option("--as-version", "version_name", default="", metavar="N.N.N", help="Without it the generation, as N.0.0.")
@click.option(
    "--seq", type=click.IntRange(min=1), help="Number that grows with each bundle; without it the generation."
)
@click.option("--prev", metavar="ID", help="Id of the bundle before it.")
@card_options
@click.option("--ask", "questions", multiple=True, metavar="TEXT", help="A sample turn of your choice, answered here.")
@click.option("--threshold", type=click.IntRange(1, 8), default=1, show_default=True, help="Keys that must sign.")
@click.option("--best", is_flag=True, help="Take a hundred times as long for a file that is 3 % smaller.")
@talks
async def pack(
    desk: Desk,
    version: str,
    *,
    keys: tuple[Path, ...],
    to: Path | None,
    accept: tuple[str, ...],
    questions: tuple[str, ...],
    best: bool,
    **said: Any,
) -> None:
    """Pack a version of a slot into one signed file.

    It holds the adapter, the figures of its study, its base's hashes and what it was made of. Nothing that was said in
    a chat and no lesson is in it, unless you add it by hand. The same version with the same options and keys gives the
    same bytes. First it is audited (`nightschool versions audit`): what the weights could give away of you is told, and
    nothing is written before you accept it or have it forgotten; exit code 106.
    """
    from ...marketplace.bundle.pack import pack as write
    from ..bundle_words import card_lines
    from ..bundles import draft_of, made_samples
    from ..publishing import target_file, weights_of
    from .passphrase import open_key

    name, _, number = version.partition("@")
    if number and not number.isdecimal():
        raise UsageError(f"{number!r} is no generation; write SLOT@NUMBER, as in science@3.")
    slot = await desk.slot(name)
    shared = await desk.ask(DescribeVersion(slot=slot.name, number=int(number) if number else None))
    choice = choice_of(said, slot.system_prompt)
    if questions:
        made = await made_samples(desk.ask, slot.name, shared.number, questions)
        choice = replace(choice, samples=[*choice.samples, *made])
    draft = draft_of(shared, choice)
    target = target_file(draft, to)
    signing = [open_key(key) for key in keys]  # who lacks a key need not wait for an audit
    audit = await desk.ask(AuditVersion(slot=slot.name, number=shared.number), desk.hear)
    check_accepted(desk, audit, accept)
    signed = write(target, weights_of(shared), draft, signing, best=best)
    size = target.stat().st_size
    lines = [*card_lines(signed.manifest, signed.id), "", f"{target} ({size / 1e6:.1f} MB)"]
    accepted = [finding.name for finding in audit.findings]
    audited = {"strings": audit.strings, "replies": audit.replies, "accepted": accepted}
    desk.give({"file": str(target), "bytes": size, "id": signed.id, "audit": audited}, lines)


def check_accepted(desk: Desk, audit: Audit, accepted: tuple[str, ...]) -> None:
    """Refuse what an audit found and nobody accepted.

    Raises:
        GivesAway: If there is any.
    """
    from ..publishing import check_accepted

    if any(finding.name not in accepted for finding in audit.findings):
        for line in audit_lines(audit):
            desk.note(line)
    check_accepted(audit, accepted)


@bundle.command(epilog=examples("nightschool bundle show captain.slot", "nightschool bundle show captain.slot --json"))
@click.argument("file", type=FILE)
@json_option
@click.pass_context
def show(context: click.Context, file: Path, *, as_json: bool) -> None:
    """Show what a bundle says of itself and who signed it.

    Reads the first 257 KiB alone; `nightschool bundle verify` reads the rest.
    """
    from ...marketplace.bundle.reading import read_verified
    from ..bundle_words import card_lines

    home = home_of(context)
    signed = read_verified(file)
    _, offer, judgement = _judged(home, signed)
    lines = [*card_lines(signed.manifest, signed.id), "", *_state_lines(judgement, offer)]
    give({**_facts(signed, judgement, offer), "manifest": _said(signed)}, lines, as_json=as_json)


@bundle.command(epilog=examples("nightschool bundle verify captain.slot"))
@click.argument("file", type=FILE)
@json_option
@click.pass_context
def verify(context: click.Context, file: Path, *, as_json: bool) -> None:
    """Check everything in a bundle, as an import does, and keep nothing of it.

    A publisher that you have not met is no failure here; a wrong signature, a changed key and a revoked bundle are.
    """
    from ..taking import checked, weight_lines

    home = home_of(context)
    judged: list[tuple[Offer, Judgement]] = []

    def trust(signed: Signed) -> None:
        store, offer, judgement = _judged(home, signed)
        judged.append((offer, judgement))
        if judgement.refusal is not None and judgement.refusal.code not in ("new-publisher", "rollback"):
            store.check(offer)

    with checked(file, home, trust) as found:
        offer, judgement = judged[0]
        facts = {
            **_facts(found.signed, judgement, offer),
            "fits": found.fits,
            "scan": found.scan,
            "sha256": found.sha256,
        }
        lines = [
            "Every file in it is as its publisher signed it.",
            *_state_lines(judgement, offer),
            *weight_lines(found),
        ]
        give(facts, lines, as_json=as_json)


@bundle.command(
    "import",
    epilog=examples(
        "nightschool bundle import captain.slot",
        "nightschool bundle import captain.slot --as creative",
        "nightschool bundle import captain.slot --confirm FINGERPRINT --json",
    ),
)
@click.argument("file", type=FILE)
@click.option(
    "--as", "into", metavar="SLOT", help="The slot that keeps it, made if it is not there; else its own name."
)
@click.option("--confirm", default="", metavar="FINGERPRINT", help="Agree to a new publisher with these keys.")
@talks
async def bring(desk: Desk, file: Path, into: str | None, confirm: str) -> int:
    """Take a version of a slot out of a bundle.

    Every check is made before anything is kept; then it passes the gates of a study, where its base is loaded. It does
    not answer until you say so with `nightschool rollback SLOT --to GENERATION`. Of one that is refused nothing stays.
    """
    from ..taking import take_in

    kept = await take_in(taker_of(desk, confirm), file, into)
    desk.give(kept, kept_lines(kept))
    return exit_code(kept)


def taker_of(desk: Desk, confirm: str) -> Taker:
    """Return who takes bundles in for a command.

    Args:
        desk: Of the command.
        confirm: Fingerprint of a new publisher that the user agreed to; empty: the user is asked.
    """
    from ..taking import Taker

    async def agree(offer: Offer, judgement: Judgement) -> str:
        if confirm:
            return confirm.lower().replace(" ", "")
        for line in _state_lines(judgement, offer):
            desk.note(line)
        question = f"Believe {offer.origin.publisher} with these keys from now on?"
        ask_first(desk, question, f"agree to the publisher's keys with --confirm {offer.keys.fingerprint}")
        return offer.keys.fingerprint

    def tell(stage: str, share: float) -> None:
        if share:  # the engine tells of the trial itself
            desk.status.show(f"{stage} {share:.0%}", stage)

    def stopped(kept: BundleTaken) -> None:
        desk.give(kept, kept_lines(kept))

    return Taker(home=desk.profile.home, ask=desk.ask, agree=agree, note=desk.note, tell=tell, stopped=stopped)


def exit_code(kept: BundleTaken) -> int:
    """Return how a command ends that took, or refused, a bundle."""
    if kept.version is not None or kept.study is None:
        return 0
    return STUDY_CODES.get(kept.study.state, StudyError.exit_code)


bundle.add_command(bundle_export.export)


# -- trust ------------------------------------------------------------------------------------------------------------


def _judged(home: Home, signed: Signed) -> tuple[TrustStore, Offer, Judgement]:
    """Return how a bundle stands with what this profile knows of its publisher."""
    from ...marketplace.trust.store import TrustStore

    store, offer = TrustStore(home.trust), _offer(signed)
    return store, offer, store.judge(offer)


def _offer(signed: Signed) -> Offer:
    from ...marketplace.trust.judging import Offer

    return Offer.of(signed)


# -- words ------------------------------------------------------------------------------------------------------------


def kept_lines(kept: BundleTaken) -> list[str]:
    """Return what became of a bundle, in words."""
    lines = []
    if kept.version is not None:
        lines += [
            f"Kept as generation {kept.version.number} of {kept.slot}; it does not answer yet.",
            f"See what would change: nightschool versions preview {kept.slot} {kept.version.number}",
            f"To have it answer: nightschool rollback {kept.slot} --to {kept.version.number}",
        ]
    elif kept.study is not None:
        lines += [f"Refused: nothing of it was kept. {kept.study.reason}"]
    lines += [kept.note] if kept.note else []
    report = kept.study.report if kept.study is not None else None
    return lines + (report_lines(report) if report is not None else [])


def _state_lines(judgement: Judgement, offer: Offer) -> list[str]:
    return [
        f"{judgement.state.value}: {judgement.sentence}",
        f"keys      {offer.keys.words} ({offer.keys.fingerprint})",
    ]


def _facts(signed: Signed, judgement: Judgement, offer: Offer) -> dict[str, Any]:
    refusal: MarketError | None = judgement.refusal
    return {
        "id": signed.id,
        "state": judgement.state.value,
        "sentence": judgement.sentence,
        "code": refusal.code if refusal is not None else None,
        "fingerprint": offer.keys.fingerprint,
        "words": offer.keys.words,
    }


def _said(signed: Signed) -> Any:
    return signed.manifest.model_dump(mode="json", by_alias=True)
