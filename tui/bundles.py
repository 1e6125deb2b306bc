"""Between the marketplace and the engine: what a version may say of itself to others, and which bases are here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from .. import __version__
from ..engine.base.installed import installed, projections
from ..engine.files import storage_errors
from ..marketplace.bundle.importing import Base, FindBase
from ..marketplace.bundle.pack import Draft
from ..schemas.bundle import (
    BasePart,
    CardPart,
    Gate,
    ParentPart,
    ProvenancePart,
    SampleTurn,
    SlotPart,
)
from ..schemas.errors import UsageError
from ..schemas.messages import ListVersions, PreviewVersion
from ..schemas.sharing import ROUTED, Shareable
from .market import in_effect
from .safe_text import safe

if TYPE_CHECKING:
    from ..engine.paths import Home
    from .stopping import Ask

MOST_SAMPLES = 8


@dataclass(frozen=True)
class Choice:
    """What the publisher adds by hand. Nothing that was said in a chat or taught gets into a bundle without it.

    Attributes:
        version_name: Semver; empty: the number of the generation, ``N.0.0``.
        seq: Grows with every bundle of the slot; None: the number of the generation.
    """

    publisher: str
    licence: str
    name: str = ""
    title: str = ""
    summary: str = ""
    version_name: str = ""
    seq: int | None = None
    prev: str | None = None
    language: Sequence[str] = ()
    tags: Sequence[str] = ()
    warnings: Sequence[str] = ()
    samples: Sequence[SampleTurn] = ()
    system_prompt: str | None = None
    card_text: str = ""
    note: str = ""
    threshold: int = field(default=1)


def draft_of(shared: Shareable, choice: Choice) -> Draft:
    """Return what a bundle of a version shall say.

    Raises:
        UsageError: If something that was chosen cannot be said in a bundle.
    """
    with _said_well():
        return _draft(shared, choice)


def card_of(title: str, choice: Choice, *, routed: bool = False) -> CardPart:
    """Return what people read first of a version; ``title`` is the slot's, for where none was chosen.

    Raises:
        UsageError: If something that was chosen cannot be said there.
    """
    with _said_well():
        return CardPart(
            title=choice.title or title,
            summary=choice.summary,
            language=[*choice.language],
            tags=[*choice.tags],
            license=choice.licence,
            samples=[*choice.samples],
            system_prompt=choice.system_prompt,
            warnings=[*choice.warnings, *([ROUTED] if routed else [])],
        )


@contextmanager
def _said_well() -> Iterator[None]:
    """Turn what a record does not take into a sentence for the publisher."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        wrong = "of another form" if first["type"] == "string_pattern_mismatch" else first["msg"].lower()
        raise UsageError(f"This cannot be the {place} of a bundle ({wrong}); docs/bundle.md says what can.") from error


async def made_samples(ask: Ask, slot: str, number: int, questions: Sequence[str]) -> list[SampleTurn]:
    """Return sample turns for questions of the publisher's choice: what the base says, and what the version says.

    Raises:
        UsageError: If there are too many, or another version is in effect, which alone is asked.
    """
    if len(questions) > MOST_SAMPLES:
        raise UsageError(f"A card has at most {MOST_SAMPLES} sample turns, and {len(questions)} questions were given.")
    versions = await ask(ListVersions(slot=slot))
    effective, current = in_effect(versions), next((row.number for row in versions if row.current), None)
    if number not in (effective, current):
        raise UsageError(
            f"Generation {number} of {slot} does not answer now, so that it cannot be asked for samples; write them to "
            f"a file, or have it answer first: `nightschool rollback {slot} --to {number}`."
        )
    found = await ask(PreviewVersion(slot=slot, number=0, prompts=[*questions]))
    return [SampleTurn(prompt=safe(row.prompt), before=safe(row.other), after=safe(row.one)) for row in found.samples]


def read_samples(file: Path) -> list[SampleTurn]:
    """Return the sample turns that a publisher wrote down: a JSON list, or a line each, of prompt, before and after.

    Raises:
        UsageError: If the file holds something else.
        StorageError: If it cannot be read.
    """
    with storage_errors(file):
        text = file.read_text("utf-8")
    try:
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        return TypeAdapter(list[SampleTurn]).validate_python(rows)
    except (ValueError, ValidationError) as error:
        raise UsageError(
            f'{file} holds no sample turns; write one a line, as {{"prompt": "...", "before": "...", "after": "..."}}.'
        ) from error


def bases_here(home: Home) -> FindBase:
    """Return what finds the base of a bundle among those of a profile, by its fingerprint."""

    def find(base: BasePart) -> Base | None:
        cards = [(one, one.card) for one in installed(home) if one.card is not None]
        for one, card in cards:
            if card.fingerprint == base.fingerprint:
                return Base(card.fingerprint, projections(one.folder))
        named = [card for one, card in cards if base.id == card.name]
        return Base(named[0].fingerprint, {}) if named else None

    return find


def fingerprints_here(home: Home) -> frozenset[str]:
    """Return the fingerprints of the bases on this machine."""
    return frozenset(one.card.fingerprint for one in installed(home) if one.card is not None)


def _draft(shared: Shareable, choice: Choice) -> Draft:
    base = shared.base
    _, _, revision = base.source.partition("@")
    return Draft(
        slot=SlotPart(
            name=choice.name or shared.slot,
            version=choice.version_name or f"{shared.number}.0.0",
            seq=choice.seq or shared.number,
            prev=choice.prev,
            created=int(shared.created),
        ),
        publisher=choice.publisher,
        base=BasePart(
            id=base.name,
            revision=revision,
            arch=base.family,
            hidden=base.width,
            layers=base.layers,
            vocab=base.vocabulary,
            config_sha256=base.config_hash,
            tokenizer_sha256=base.tokenizer_hash,
            chat_template_sha256=base.template_hash,
            tensor_index_sha256=base.tensors_hash,
        ),
        card=card_of(shared.title, choice, routed=shared.routed),
        provenance=ProvenancePart(
            trainer=shared.trainer,
            version=f"nightschool {__version__}",
            steps=shared.steps,
            examples=shared.examples,
            data_note=choice.note,
            seed=None,
            parents=[
                ParentPart(
                    manifest=parent.bundle,
                    adapter_sha256=parent.adapter_sha256,
                    weight=parent.weight,
                    method=parent.method.replace(" ", "-"),
                )
                for parent in shared.parents
            ],
        ),
        gates=[Gate(name=gate.name, passed=gate.passed, value=gate.value, limit=gate.limit) for gate in shared.gates],
        curve=shared.curve,
        card_text=choice.card_text,
        threshold=choice.threshold,
    )
