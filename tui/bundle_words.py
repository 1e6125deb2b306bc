"""What is said of a bundle, in lines for a terminal. Its texts are a stranger's, so that each is made harmless here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from ..schemas.bundle import Manifest, ScanPart
from .safe_text import one_line, set_in

REVIEW = "Look at it closely before you use it: its weights are unlike those of other adapters."
NOTHING_FOUND = "Nothing odd was found in its weights, which proves nothing: ordinary-looking ones can do harm too."


def card_lines(manifest: Manifest, identity: str) -> list[str]:
    """Return what a bundle says of itself."""
    said, slot, card = manifest.predicate, manifest.slot, manifest.card
    size = sum(file.raw_size for file in said.files)
    rows = [
        ("slot", f"{slot.name} {slot.version} (number {slot.seq}) by {said.publisher.name}"),
        ("made", f"{datetime.fromtimestamp(slot.created, UTC):%Y-%m-%d}"),
        ("base", f"{said.base.id} ({said.base.fingerprint[:12]}), {said.base.layers} blocks of {said.base.hidden}"),
        ("adapter", f"LoRA of rank {said.adapter.r} on {', '.join(said.adapter.targets)}, {said.adapter.dtype}"),
        ("size", f"{size / 1e6:.1f} MB"),
        ("licence", card.license),
        ("language", ", ".join(card.language)),
        ("tags", ", ".join(card.tags)),
        ("made by", _making(manifest)),
        (
            "made of",
            "; ".join(f"{p.weight:g} of {p.adapter_sha256[:12]} ({p.method})" for p in said.provenance.parents),
        ),
        ("data", said.provenance.data_note),
        ("id", identity),
    ]
    lines = [one_line(card.title, 80), *([one_line(card.summary)] if card.summary else []), ""]
    lines += [f"{name:9} {one_line(value, 400)}" for name, value in rows if value]
    if said.safety.gate is not None:
        gates = (
            f"{gate.name} {'passed' if gate.passed else 'FAILED'} ({gate.value:.3g}, limit {gate.limit:.3g})"
            for gate in said.safety.gate.results
        )
        lines.append(f"{'gates':9} {one_line('; '.join(gates), 1000)}")
    elif said.metrics.values:
        figures = "; ".join(f"{name} {value:.3g}" for name, value in said.metrics.values.items())
        lines.append(f"{'figures':9} {one_line(figures, 1000)}")
    lines += [f"{'warning':9} {one_line(warning)}" for warning in card.warnings]
    if card.system_prompt:
        lines += ["", *set_in("system", card.system_prompt)]
    lines += _samples(manifest)
    return lines


def fit_words(fingerprint: str, name: str, answers: str, here: Collection[str]) -> str:
    """Return how the base of a bundle stands with those of the profile.

    Args:
        fingerprint: Of the base of the bundle.
        name: What people call that base.
        answers: Fingerprint of the base that answers now; empty: none does.
        here: Fingerprints of those on this machine.
    """
    if fingerprint == answers:
        return "It is for the model that answers here."
    if fingerprint in here:
        return f"It is for {one_line(name, 60)}, which is here."
    return f"Its base is not here: {one_line(name, 60)} ({one_line(fingerprint[:12], 12)})."


def scan_words(scan: ScanPart) -> str:
    """Return what a look at the weights found."""
    return REVIEW if scan.verdict == "review" else NOTHING_FOUND


def _making(manifest: Manifest) -> str:
    """Return how it was trained."""
    made = manifest.predicate.provenance
    figures = [f"{made.examples} examples"] if made.examples else []
    figures += [f"{made.steps} steps"] if made.steps else []
    return ", ".join([*filter(None, (made.trainer, made.version)), *figures])


def _samples(manifest: Manifest) -> Iterator[str]:
    """Give sample turns, every line of them set in, so that none can pass for a line of ours."""
    for sample in manifest.card.samples:
        yield ""
        for who, text in (("asked", sample.prompt), ("base", sample.before), ("slot", sample.after)):
            yield from set_in(who, text)
